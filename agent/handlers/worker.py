"""The worker: the process of one Python file of the user.

It loads the file, then runs one Command at a time until the handler manager closes the pipe.
"""

# ruff: noqa: PTH116, PTH118, PTH119, PTH120, PTH123, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import os
import sys
from _frozen_importlib_external import PathFinder  # importlib.machinery would cost each process memory

from agent.handlers import api
from agent.handlers.checks import check_permissions
from agent.handlers.framing import Frame, FrameDecoder, encode_frame, join_nul

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import TextIO

MAX_REASON_CHARS = 160
"""Limit of a failure reason in characters; the whole traceback goes to the log."""


def serve(path: str, incoming: int, outgoing: int) -> None:
    """Load the file, send its declarations, then handle calls. Ends the process and never returns."""
    # The streams of the manager belong to other files.
    sys.stdout = _open_log(1)
    sys.stderr = _open_log(2)
    module = type(sys)("handlers_" + os.path.basename(path)[:-3].replace(".", "_"))
    try:
        load_file(path, module)
    except BaseException as error:  # noqa: BLE001  (user code may raise anything)
        _write_frame(
            outgoing,
            {"verb": b"load_failed", "error": _describe_load_error(path, error).encode(errors="replace")},
        )
        os._exit(0)
    for declaration in api.declared_functions:
        _write_frame(outgoing, _encode_declaration(declaration))
    _write_frame(outgoing, {"verb": b"loaded"})
    decoder = FrameDecoder()
    own_pid = os.getpid()
    while data := os.read(incoming, 65536):
        for frame in decoder.feed(data):
            response = handle_call(module, frame)
            if os.getpid() != own_pid:  # a child that the handler forked has returned from it
                os._exit(0)
            _write_frame(outgoing, response)
    os._exit(0)


def load_file(path: str, module: ModuleType) -> None:
    """Run the file as `module`. Raises every exception that the file raises.

    Handler files can import files with a leading _ from their directory, which is searched last, so that none
    of them hides a module of Python. No bytecode is written for the file.
    """
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    module.__file__ = path
    sys.modules[module.__name__] = module
    sys.meta_path.append(_HandlerDirectoryFinder(os.path.dirname(path)))
    exec(code, module.__dict__)  # noqa: S102  (this process exists to run the user's file)


class _HandlerDirectoryFinder:
    """Finds the modules in the directory of handlers. Refuses those that other users can write."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return the spec of a top-level module, see importlib.abc. Raises ImportError."""
        found = PathFinder.find_spec(name, [self._directory]) if path is None else None
        for file in () if found is None else _list_files(found):
            for error in check_permissions(file, os.stat(file)):
                raise ImportError(error, name=name)
        return found


def _list_files(spec: ModuleSpec) -> list[str]:
    """Return the file of a module, or all files and folders of a package: it finds its modules by itself."""
    if spec.submodule_search_locations is None:
        return [spec.origin] if spec.origin is not None and spec.has_location else []
    return [
        os.path.join(folder, name)
        for location in spec.submodule_search_locations
        for folder, _, names in os.walk(location)
        for name in ("", *names)
        if not name.startswith(".")  # not a module, perhaps the lock of an editor
    ]


def handle_call(module: ModuleType, frame: Frame) -> Frame:
    """Run one call and return the response frame. Never raises: every exception becomes a response."""
    try:
        try:
            function = _find_function(module, frame["function"].decode(), action="action" in frame)
            result = function(_decode_command(frame))
            if hasattr(result, "__await__"):
                result = _run_async(result)
            return _encode_result(module, result)
        finally:
            _flush_streams()
    except api.TryLater as later:
        return {
            "verb": b"retry_later",
            "reason": _one_line(str(later) or "TryLater").encode(errors="replace"),
        }
    except BaseException as error:  # noqa: BLE001  (also SystemExit: it ends this Command, not the worker)
        try:
            sys.__excepthook__(type(error), error, error.__traceback__)
        except BaseException:  # noqa: BLE001, S110  (str() of the error failed; the reason copes with that)
            pass
        reason = _describe_failure(error, str(module.__file__))
        return {"verb": b"failed", "reason": reason.encode(errors="replace")}


def _flush_streams() -> None:
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except Exception:  # noqa: BLE001, S110  (the handler closed or replaced a stream, which is not a failure)
        pass


class HandlerContractError(Exception):
    """The handler file does not have the requested function, or the function returned a wrong type."""


def _find_function(module: ModuleType, name: str, *, action: bool) -> Callable[[api.Command], object]:
    """Return the handler or action with that name. Raises HandlerContractError if the file has none."""
    if action:
        found = vars(module).get(name)
        if callable(found) and getattr(found, "__module__", None) == module.__name__:
            return found  # type: ignore[no-any-return]  # callable
        raise HandlerContractError(f"this file has no function {name} to run after the reply")
    for declaration in api.declared_functions:
        if declaration.name == name:
            return declaration.function
    raise HandlerContractError(
        f"the file has changed and no longer has the handler {name}: reload modem-agent"
    )


def _decode_command(frame: Frame) -> api.Command:
    sid = frame.get("sid")
    timestamp = frame.get("timestamp")
    when = None
    if timestamp is not None:
        from datetime import datetime  # noqa: PLC0415  (half a megabyte that few workers never need)

        when = datetime.fromisoformat(timestamp.decode())
    text = frame.get("text")
    return api.Command.of(
        frame["data"] if text is None else text.decode("utf-8", "surrogatepass"),
        sid=None if sid is None else sid.decode(),
        sender=frame["sender"].decode("utf-8", "surrogatepass"),
        timestamp=when,
        attempt=int(frame["attempt"]),
        port=int(frame["port"]) if "port" in frame else None,
    )


def _run_async(result: object) -> object:
    """Await the result of an async handler, in a new event loop."""
    import asyncio  # noqa: PLC0415  (seven megabytes that plain handlers do not need)

    async def wait(awaitable: Awaitable[object]) -> object:
        return await awaitable

    return asyncio.run(wait(result))  # type: ignore[arg-type]  # it has __await__


def _encode_result(module: ModuleType, result: object) -> Frame:
    """Return the response frame for the value that a handler returned."""
    frame: Frame = {"verb": b"finished"}
    content = result
    if isinstance(result, api.Reply):
        content = result.content
        if result.then is not None:
            _find_function(module, result.then, action=True)  # a wrong name fails now, not after the reply
            frame["then"] = result.then.encode()
    if isinstance(content, str):
        frame["text"] = content.encode("utf-8", "surrogatepass")
    elif isinstance(content, bytes | bytearray):
        frame["data"] = bytes(content)
    elif content is not None:
        raise HandlerContractError(
            f"it returned {type(content).__name__}; a handler returns str, bytes, Reply or None"
        )
    return frame


def _encode_declaration(declaration: api.HandlerFunction) -> Frame:
    options = declaration.options if not declaration.errors else {}
    frame = {
        "verb": b"declaration",
        "function": declaration.name.encode(),
        "line": str(declaration.line).encode(),
        "words": join_nul(word.encode("utf-8", "surrogatepass") for word in declaration.words),
        "json_keys": join_nul(key.encode("utf-8", "surrogatepass") for key in declaration.json_keys),
        "prefixes": join_nul(prefix.hex().encode() for prefix in declaration.prefixes),
        "ports": join_nul(str(port).encode() for port in declaration.ports),
        "errors": join_nul(error.replace("\0", "").encode(errors="replace") for error in declaration.errors),
    }
    if declaration.default:
        frame["default"] = b""
    return frame | {name: str(value).encode() for name, value in options.items()}


def _open_log(fd: int) -> TextIO:
    return open(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def _write_frame(outgoing: int, frame: Frame) -> None:
    data = memoryview(encode_frame(frame))
    while data:
        data = data[os.write(outgoing, data) :]


# One-line descriptions of errors


def _describe_load_error(path: str, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        return f"{path} line {error.lineno}: {_one_line(error.msg)}"
    if isinstance(error, OSError) and error.filename == path:
        return f"{path} cannot be read: {error.strerror}"
    line = _error_line(error, path)
    location = f"{path} line {line}" if line else path
    return f"{location}: {_format_exception(error)}"


def _describe_failure(error: BaseException, path: str) -> str:
    line = _error_line(error, path)
    name = os.path.basename(path)
    location = f" ({name} line {line})" if line else f" ({name})"
    if isinstance(error, HandlerContractError):
        return _one_line(str(error)) + location
    return _format_exception(error) + location


def _format_exception(error: BaseException) -> str:
    try:
        text = _one_line(str(error))
    except BaseException:  # noqa: BLE001  (user code: even str() of an error can raise)
        text = ""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({text})"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _error_line(error: BaseException, path: str) -> int:
    """Return the last line of the file in the traceback; 0 if the file is not in it."""
    line = 0
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 2] + ".."
