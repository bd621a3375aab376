"""Requests to the handler manager and its responses: values to frames and frames to values, without I/O.

The value `verb` of a frame is its kind; `request_id` connects a response with its request.

From the agent: `run_executable`, `load` (a Python file), `activate` (use the files as they were loaded last),
`call` (a function of a Python file), `cancel` (a request), `stop`.

From the manager: `ready` (once, at its start), `log` (one line of a handler), `not_started` (with the errno),
`exited` (with status and output), `timed_out`. It forwards the frames of workers: `declaration` (one handler
function), `loaded`, `load_failed`, `finished` (with the reply), `failed`, `retry_later`. Each frame that
ends a run has in `log` the end of what the handler wrote to its standard error.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping

from agent.handlers.api import Command
from agent.handlers.framing import Frame, join_nul, split_nul
from agent.handlers.program import Program
from agent.handlers.results import (
    EXHAUSTION_ERRNOS,
    Failed,
    Finished,
    HandlerDeclaration,
    HandlerResult,
    NotStarted,
    RetryLater,
    TimedOut,
)
from agent.handlers.spec import HandlerSpec

EX_TEMPFAIL = 75
"""Exit status EX_TEMPFAIL of sysexits.h."""

_ERRNO_HINTS = {
    errno.ENOENT: "the file is gone, or the interpreter in its first line does not exist",
    errno.ENOEXEC: "its first line must name an interpreter, as #!/bin/sh does",
    errno.EACCES: "the file, or the interpreter in its first line, is not executable",
    errno.E2BIG: "an argument is too long",
}


class CannotEncodeArguments(ValueError):  # noqa: N818  (the Command is at fault, not the program)
    """A part of the Command cannot be passed to an executable. No argument is ever truncated."""


def handler_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the agent's environment without COMMAND_... and the variables of systemd for the agent alone."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")
        and not name.startswith(("WATCHDOG_", "COMMAND_"))
    }


def executable_request(spec: HandlerSpec, action: str | None, command: Command, timeout_s: float) -> Frame:
    """Return the request to run an executable, or its action NAME.then, for a Command.

    Raises CannotEncodeArguments.
    """
    path = spec.file if action is None else spec.then
    if path is None or action not in (None, "then"):
        raise CannotEncodeArguments(f"{spec.name} has no action {action}")
    variables = {
        "COMMAND_SID": command.sid,
        "COMMAND_SENDER": command.sender,
        "COMMAND_TIMESTAMP": None if command.timestamp is None else command.timestamp.isoformat(),
        "COMMAND_MODE": command.mode,
        "COMMAND_ATTEMPT": str(command.attempt),
        "COMMAND_PORT": None if command.port is None else str(command.port),
    }
    set_variables = {name: value for name, value in variables.items() if value is not None}
    arguments = command.words if command.port is not None or spec.default else command.words[1:]
    return program_request(Program((str(path), *arguments), timeout_s, set_variables, stdin_bytes(command)))


def program_request(program: Program) -> Frame:
    """Return the request to run a program. Raises CannotEncodeArguments."""
    return {
        "verb": b"run_executable",
        "path": os.fsencode(program.words[0]),
        "arguments": _encode_arguments(program.words[1:]),
        "environment": _encode_arguments(f"{name}={value}" for name, value in program.environment.items()),
        "body": program.stdin,
        "timeout": encode_seconds(program.timeout_s),
    }


def stdin_bytes(command: Command) -> bytes:
    """Return the standard input of an executable. A lone surrogate, which has no UTF-8, becomes `?`."""
    return command.data if command.data is not None else (command.text or "").encode(errors="replace")


def _encode_arguments(parts: Iterable[str]) -> bytes:
    octets = []
    for part in parts:
        if "\0" in part:
            raise CannotEncodeArguments("the Command contains a NUL, which no program argument can hold")
        try:
            octets.append(part.encode())
        except UnicodeEncodeError:
            raise CannotEncodeArguments(
                "the Command contains a lone surrogate, which no program argument can hold"
            ) from None
    return join_nul(octets)


def load_request(path: bytes, timeout_s: float) -> Frame:
    """Return the request to load a Python file into a worker."""
    return {"verb": b"load", "path": path, "load_timeout": encode_seconds(timeout_s)}


def activate_request(paths: Iterable[bytes]) -> Frame:
    """Return the request to use the last loaded version of these Python files, and no other file."""
    return {"verb": b"activate", "paths": join_nul(list(paths))}


def call_request(
    spec: HandlerSpec, action: str | None, command: Command, timeout_s: float, load_timeout_s: float
) -> Frame:
    """Return the request to call the handler function, or another function of its file as an action."""
    frame: Frame = {
        "verb": b"call",
        "path": os.fsencode(str(spec.file)),
        "function": (action or spec.function or "").encode("utf-8", "surrogatepass"),
        "sender": command.sender.encode("utf-8", "surrogatepass"),
        "attempt": str(command.attempt).encode(),
        "timeout": encode_seconds(timeout_s),
        "load_timeout": encode_seconds(load_timeout_s),
    }
    if action is not None:
        frame["action"] = b""
    if command.sid is not None:
        frame["sid"] = command.sid.encode()
    if command.port is not None:
        frame["port"] = str(command.port).encode()
    if command.timestamp is not None:
        frame["timestamp"] = command.timestamp.isoformat().encode()
    if command.data is not None:
        frame["data"] = command.data
    else:
        frame["text"] = (command.text or "").encode("utf-8", "surrogatepass")
    return frame


def encode_seconds(value: float) -> bytes:
    """Return a time limit as the value of a frame."""
    return str(float(value)).encode()


def decode_result(spec: HandlerSpec, response: Frame) -> HandlerResult:
    """Return the result of a run from the manager's response."""
    result = _decode_outcome(spec, response)
    if isinstance(result, NotStarted) or not (log := response.get("log")):
        return result
    return result.replace(stderr="\n".join(map(printable_line, log.strip().split(b"\n"))))


def printable_line(octets: bytes) -> str:
    """Return the octets that a handler wrote as one printable line."""
    text = octets.decode(errors="replace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _decode_outcome(spec: HandlerSpec, response: Frame) -> HandlerResult:
    match response["verb"]:
        case b"timed_out":
            return TimedOut()
        case b"exited" if spec.kind == "executable":
            return _exit_result(spec, int(response["status"]), response["output"])
        case b"finished":
            text, then = response.get("text"), response.get("then")
            reply = response.get("data") if text is None else text.decode("utf-8", "surrogatepass")
            return Finished(reply or None, None if then is None else then.decode())
        case b"retry_later" if spec.repeatable:
            return RetryLater(response["reason"].decode())
        case b"retry_later":
            return Failed(f"{response['reason'].decode()} (TryLater from a handler that is not repeatable)")
        case b"failed":
            return Failed(response["reason"].decode())
        case b"load_failed":
            return Failed(response["error"].decode())
        case b"not_started" if is_resource_exhausted(response):
            return NotStarted(describe_failure(response))
        case _:
            return Failed(describe_failure(response))


def is_resource_exhausted(response: Frame) -> bool:
    """Return True if no process was started because the host is out of files, memory or processes."""
    return response["verb"] == b"not_started" and int(response["errno"]) in EXHAUSTION_ERRNOS


def _exit_result(spec: HandlerSpec, status: int, output: bytes) -> HandlerResult:
    if status == 0:
        # Invalid UTF-8 becomes `?`, like every character that an SMS cannot carry.
        text = output.removesuffix(b"\n").decode(errors="replace").replace("\ufffd", "?")
        return Finished(text or None, None if spec.then is None else "then")
    if status == EX_TEMPFAIL and spec.repeatable:
        return RetryLater("exit status 75")
    return Failed(_describe_exit_status(status))


def describe_failure(response: Frame) -> str:
    """Return the reason why a process sent no response."""
    if response["verb"] == b"not_started":
        number = int(response["errno"])
        hint = _ERRNO_HINTS.get(number)
        return f"cannot be started: {os.strerror(number)}" + (f" ({hint})" if hint else "")
    return f"its process ended: {_describe_exit_status(int(response['status']))}"


def _describe_exit_status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def decode_declaration(frame: Frame) -> HandlerDeclaration:
    """Return the declaration of one handler function from a worker's frame."""

    def texts(name: str) -> tuple[str, ...]:
        return tuple(part.decode("utf-8", "surrogatepass") for part in split_nul(frame[name]))

    def number(name: str) -> float | None:
        return float(frame[name]) if name in frame else None

    return HandlerDeclaration(
        function=frame["function"].decode(),
        line=int(frame["line"]),
        words=texts("words"),
        json_keys=texts("json_keys"),
        prefixes=tuple(bytes.fromhex(text) for text in texts("prefixes")),
        ports=tuple(map(int, texts("ports"))),
        default="default" in frame,
        repeatable="repeatable" in frame,
        timeout_s=number("timeout_s"),
        max_age_s=number("max_age_s"),
        reply_to=frame["reply_to"].decode() if "reply_to" in frame else None,
        errors=texts("errors"),
    )
