"""What the agent asks of the keeper and what the answers mean. Pure: values to frames and back."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable, Mapping

from agent.handlers.api import Command
from agent.handlers.entry import Entry
from agent.handlers.frames import Frame, join, split
from agent.handlers.outcome import (
    EXHAUSTED,
    Declared,
    Failed,
    Finished,
    Later,
    NotStarted,
    Outcome,
    TimedOut,
)

TRY_LATER = 75
"""Exit status EX_TEMPFAIL of sysexits.h."""

_HINTS = {
    errno.ENOENT: "it is gone, or the interpreter in its first line is not there",
    errno.ENOEXEC: "its first line must name an interpreter, as #!/bin/sh does",
    errno.EACCES: "it, or the interpreter in its first line, may not be executed",
    errno.E2BIG: "an argument is too long",
}


class CannotPass(ValueError):  # noqa: N818  (its text is the sentence)
    """Something of the Command cannot be handed to an executable; nothing is ever cut off instead."""


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """The agent's environment without what systemd meant for the agent alone, and without COMMAND_..."""
    return {
        name: value
        for name, value in environment.items()
        if name not in ("NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY")
        and not name.startswith(("WATCHDOG_", "COMMAND_"))
    }


def program(entry: Entry, action: str | None, command: Command, limit_s: float) -> Frame:
    """Have an executable, or NAME.then as its action, carry a Command out. Raises CannotPass."""
    path = entry.file if action is None else entry.then
    if path is None or action not in (None, "then"):
        raise CannotPass(f"{entry.name} has nothing to do after its answer")
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
        "arguments": _passed(command.words[1:]),
        "environment": _passed(f"{name}={value}" for name, value in settings.items() if value is not None),
        "body": body(command),
        "limit": seconds(limit_s),
    }


def body(command: Command) -> bytes:
    """Standard input of an executable. Half a surrogate pair, which UTF-8 cannot express, becomes `?`."""
    return command.data if command.data is not None else (command.text or "").encode(errors="replace")


def _passed(parts: Iterable[str]) -> bytes:
    octets = []
    for part in parts:
        if "\0" in part:
            raise CannotPass("it holds a NUL, which no argument of a program can")
        try:
            octets.append(part.encode())
        except UnicodeEncodeError:
            raise CannotPass("it holds half a character, which no argument of a program can") from None
    return join(octets)


def load(path: bytes, limit_s: float) -> Frame:
    """Have a worker load a Python file."""
    return {"verb": b"load", "path": path, "load_limit": seconds(limit_s)}


def call(entry: Entry, action: str | None, command: Command, limit_s: float, load_limit_s: float) -> Frame:
    """Have the function of a Python file, or another of it as an action, carry a Command out."""
    frame: Frame = {
        "verb": b"call",
        "path": os.fsencode(str(entry.file)),
        "function": (action or entry.function or "").encode("utf-8", "surrogatepass"),
        "sender": command.sender.encode("utf-8", "surrogatepass"),
        "attempt": str(command.attempt).encode(),
        "limit": seconds(limit_s),
        "load_limit": seconds(load_limit_s),
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


def seconds(value: float) -> bytes:
    """A time limit in a frame."""
    return str(float(value)).encode()


def outcome(entry: Entry, answer: Frame) -> Outcome:
    """What an answer means for the Command."""
    match answer["verb"]:
        case b"overdue":
            return TimedOut()
        case b"ended" if entry.kind == "executable":
            return _exited(entry, int(answer["status"]), answer["output"])
        case b"finished":
            text, then = answer.get("text"), answer.get("then")
            reply = answer.get("data") if text is None else text.decode("utf-8", "surrogatepass")
            return Finished(reply or None, None if then is None else then.decode())
        case b"later" if entry.repeatable:
            return Later(answer["reason"].decode())
        case b"later":
            return Failed(f"{answer['reason'].decode()} (TryLater from a handler that is not repeatable)")
        case b"failed":
            return Failed(answer["reason"].decode())
        case b"broken":
            return Failed(answer["sentence"].decode())
        case b"unstarted" if exhausted(answer):
            return NotStarted(ending(answer))
        case _:
            return Failed(ending(answer))


def exhausted(answer: Frame) -> bool:
    """Whether nothing was started, because the host had no files, memory or processes left."""
    return answer["verb"] == b"unstarted" and int(answer["errno"]) in EXHAUSTED


def _exited(entry: Entry, status: int, output: bytes) -> Outcome:
    if status == 0:
        # What is no UTF-8 becomes `?`, as every character does that an SMS cannot carry.
        text = output.removesuffix(b"\n").decode(errors="replace").replace("\ufffd", "?")
        return Finished(text or None, None if entry.then is None else "then")
    if status == TRY_LATER and entry.repeatable:
        return Later("exit status 75")
    return Failed(_status(status))


def ending(answer: Frame) -> str:
    """Why a process that should have answered did not."""
    if answer["verb"] == b"unstarted":
        number = int(answer["errno"])
        hint = _HINTS.get(number)
        return f"cannot be started: {os.strerror(number)}" + (f" ({hint})" if hint else "")
    return f"its process ended: {_status(int(answer['status']))}"


def _status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def declared(frame: Frame) -> Declared:
    """What a worker says of one function."""

    def texts(name: str) -> tuple[str, ...]:
        return tuple(part.decode("utf-8", "surrogatepass") for part in split(frame[name]))

    def number(name: str) -> float | None:
        return float(frame[name]) if name in frame else None

    return Declared(
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
        faults=texts("faults"),
    )
