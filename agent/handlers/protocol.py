"""What the agent asks of the keeper and what the answers mean. Pure: values to frames and back."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping

from agent.handlers.api import Command
from agent.handlers.framing import Frame, join_nul, split_nul
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
    errno.ENOENT: "it is gone, or the interpreter in its first line is not there",
    errno.ENOEXEC: "its first line must name an interpreter, as #!/bin/sh does",
    errno.EACCES: "it, or the interpreter in its first line, may not be executed",
    errno.E2BIG: "an argument is too long",
}


class CannotEncodeArguments(ValueError):  # noqa: N818  (its text is the sentence)
    """Something of the Command cannot be handed to an executable; nothing is ever cut off instead."""


def handler_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The agent's environment without what systemd meant for the agent alone, and without COMMAND_..."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")
        and not name.startswith(("WATCHDOG_", "COMMAND_"))
    }


def executable_request(spec: HandlerSpec, action: str | None, command: Command, timeout_s: float) -> Frame:
    """Have an executable, or NAME.then as its action, carry a Command out. Raises CannotPass."""
    path = spec.file if action is None else spec.then
    if path is None or action not in (None, "then"):
        raise CannotEncodeArguments(f"{spec.name} has nothing to do after its answer")
    settings = {
        "COMMAND_SID": command.sid,
        "COMMAND_SENDER": command.sender,
        "COMMAND_TIMESTAMP": None if command.timestamp is None else command.timestamp.isoformat(),
        "COMMAND_MODE": command.mode,
        "COMMAND_ATTEMPT": str(command.attempt),
    }
    return {
        "verb": b"program",
        "path": os.fsencode(path),
        "arguments": _encode_arguments(command.words[1:]),
        "environment": _encode_arguments(
            f"{name}={value}" for name, value in settings.items() if value is not None
        ),
        "body": stdin_bytes(command),
        "limit": encode_seconds(timeout_s),
    }


def stdin_bytes(command: Command) -> bytes:
    """Standard input of an executable. Half a surrogate pair, which UTF-8 cannot express, becomes `?`."""
    return command.data if command.data is not None else (command.text or "").encode(errors="replace")


def _encode_arguments(parts: Iterable[str]) -> bytes:
    octets = []
    for part in parts:
        if "\0" in part:
            raise CannotEncodeArguments("it holds a NUL, which no argument of a program can")
        try:
            octets.append(part.encode())
        except UnicodeEncodeError:
            raise CannotEncodeArguments(
                "it holds half a character, which no argument of a program can"
            ) from None
    return join_nul(octets)


def load_request(path: bytes, timeout_s: float) -> Frame:
    """Have a worker load a Python file."""
    return {"verb": b"load", "path": path, "load_limit": encode_seconds(timeout_s)}


def call_request(
    spec: HandlerSpec, action: str | None, command: Command, timeout_s: float, load_timeout_s: float
) -> Frame:
    """Have the function of a Python file, or another of it as an action, carry a Command out."""
    frame: Frame = {
        "verb": b"call",
        "path": os.fsencode(str(spec.file)),
        "function": (action or spec.function or "").encode("utf-8", "surrogatepass"),
        "sender": command.sender.encode("utf-8", "surrogatepass"),
        "attempt": str(command.attempt).encode(),
        "limit": encode_seconds(timeout_s),
        "load_limit": encode_seconds(load_timeout_s),
    }
    if action is not None:
        frame["action"] = b""
    if command.sid is not None:
        frame["sid"] = command.sid.encode()
    if command.timestamp is not None:
        frame["timestamp"] = command.timestamp.isoformat().encode()
    if command.data is not None:
        frame["data"] = command.data
    else:
        frame["text"] = (command.text or "").encode("utf-8", "surrogatepass")
    return frame


def encode_seconds(value: float) -> bytes:
    """A time limit in a frame."""
    return str(float(value)).encode()


def decode_result(spec: HandlerSpec, response: Frame) -> HandlerResult:
    """What an answer means for the Command."""
    match response["verb"]:
        case b"overdue":
            return TimedOut()
        case b"ended" if spec.kind == "executable":
            return _exit_result(spec, int(response["status"]), response["output"])
        case b"finished":
            text, then = response.get("text"), response.get("then")
            reply = response.get("data") if text is None else text.decode("utf-8", "surrogatepass")
            return Finished(reply or None, None if then is None else then.decode())
        case b"later" if spec.repeatable:
            return RetryLater(response["reason"].decode())
        case b"later":
            return Failed(f"{response['reason'].decode()} (TryLater from a handler that is not repeatable)")
        case b"failed":
            return Failed(response["reason"].decode())
        case b"broken":
            return Failed(response["sentence"].decode())
        case b"unstarted" if is_resource_exhausted(response):
            return NotStarted(describe_failure(response))
        case _:
            return Failed(describe_failure(response))


def is_resource_exhausted(response: Frame) -> bool:
    """Whether nothing was started, because the host had no files, memory or processes left."""
    return response["verb"] == b"unstarted" and int(response["errno"]) in EXHAUSTION_ERRNOS


def _exit_result(spec: HandlerSpec, status: int, output: bytes) -> HandlerResult:
    if status == 0:
        # What is no UTF-8 becomes `?`, as every character does that an SMS cannot carry.
        text = output.removesuffix(b"\n").decode(errors="replace").replace("\ufffd", "?")
        return Finished(text or None, None if spec.then is None else "then")
    if status == EX_TEMPFAIL and spec.repeatable:
        return RetryLater("exit status 75")
    return Failed(_describe_exit_status(status))


def describe_failure(response: Frame) -> str:
    """Why a process that should have answered did not."""
    if response["verb"] == b"unstarted":
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
    """What a worker says of one function."""

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
        default="default" in frame,
        repeatable="repeatable" in frame,
        timeout_s=number("timeout_s"),
        max_age_s=number("max_age_s"),
        reply_to=frame["reply_to"].decode() if "reply_to" in frame else None,
        errors=texts("faults"),
    )
