"""What is asked of the keeper and what its answers mean."""

from __future__ import annotations

import errno
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.handlers import protocol
from agent.handlers.api import Command
from agent.handlers.framing import split_nul
from agent.handlers.protocol import CannotEncodeArguments, decode_result
from agent.handlers.results import Failed, Finished, NotStarted, RetryLater, TimedOut
from agent.handlers.spec import HandlerSpec

LED = HandlerSpec("led", "executable", file=Path("/h/led"), then=Path("/h/led.then"))
PLAIN = HandlerSpec("plain", "executable", file=Path("/h/plain"))
AGAIN = HandlerSpec("again", "executable", file=Path("/h/again"), repeatable=True)
PYTHON = HandlerSpec("x.py:f", "python", file=Path("/h/x.py"), function="f")
PYTHON_AGAIN = HandlerSpec("x.py:f", "python", file=Path("/h/x.py"), function="f", repeatable=True)


def exited_frame(status, output=b""):
    return {"verb": b"ended", "status": str(status).encode(), "output": output}


@pytest.mark.parametrize(
    ("entry", "answer", "expected"),
    [
        (PLAIN, exited_frame(0, b"ok\n"), Finished("ok")),
        (PLAIN, exited_frame(0, b"ok"), Finished("ok")),
        (PLAIN, exited_frame(0, b"two\nlines\n\n"), Finished("two\nlines\n")),
        (PLAIN, exited_frame(0, b""), Finished(None)),
        (PLAIN, exited_frame(0, b"\n"), Finished(None)),
        (PLAIN, exited_frame(0, b"gr\xfcn \xc3\xa4"), Finished("gr?n \u00e4")),
        (LED, exited_frame(0, b"on"), Finished("on", "then")),
        (LED, exited_frame(1, b"on"), Failed("exit status 1")),
        (PLAIN, exited_frame(75), Failed("exit status 75")),
        (AGAIN, exited_frame(75), RetryLater("exit status 75")),
        (PLAIN, exited_frame(-9), Failed("killed by SIGKILL")),
        (PLAIN, exited_frame(-63), Failed("killed by signal 63")),
        (PLAIN, {"verb": b"overdue"}, TimedOut()),
        (PYTHON, {"verb": b"finished"}, Finished(None)),
        (PYTHON, {"verb": b"finished", "text": b""}, Finished(None)),
        (PYTHON, {"verb": b"finished", "data": b""}, Finished(None)),
        (PYTHON, {"verb": b"finished", "text": b"ok", "then": b"go"}, Finished("ok", "go")),
        (PYTHON, {"verb": b"finished", "data": b"\x01"}, Finished(b"\x01")),
        (PYTHON, {"verb": b"finished", "text": b"\xed\xa0\x80"}, Finished("\ud800")),
        (PYTHON, {"verb": b"failed", "reason": b"why"}, Failed("why")),
        (PYTHON, {"verb": b"broken", "sentence": b"why"}, Failed("why")),
        (PYTHON_AGAIN, {"verb": b"later", "reason": b"busy"}, RetryLater("busy")),
        (PYTHON, {"verb": b"ended", "status": b"-11"}, Failed("its process ended: killed by SIGSEGV")),
    ],
)
def test_what_an_answer_means(entry, answer, expected):
    """Exit status, output and words of a worker become one of four outcomes."""
    assert decode_result(entry, answer) == expected


@pytest.mark.parametrize(
    ("entry", "answer", "reason"),
    [
        (PLAIN, {"verb": b"unstarted", "errno": b"8"}, "Exec format error (its first line must name"),
        (PLAIN, {"verb": b"unstarted", "errno": b"2"}, "it is gone, or the interpreter"),
        (
            PYTHON,
            {"verb": b"later", "reason": b"busy"},
            "busy (TryLater from a handler that is not repeatable)",
        ),
    ],
)
def test_a_reason_that_helps(entry, answer, reason):
    """What went wrong comes with what is probably behind it."""
    found = decode_result(entry, answer)
    assert isinstance(found, Failed)
    assert reason in found.reason


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
@pytest.mark.parametrize("entry", [PLAIN, PYTHON])
def test_a_host_that_has_nothing_left(entry, number):
    """Nothing of the handler has run, and that is certain."""
    found = decode_result(entry, {"verb": b"unstarted", "errno": b"%d" % number})
    assert found == NotStarted(f"cannot be started: {os.strerror(number)}")


def test_what_an_executable_gets():
    """Remaining words, the body, and only those COMMAND_ settings that there are."""
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    full = Command.of("led on  2", sid="DC1", sender="2936", timestamp=when, attempt=2)
    frame = protocol.executable_request(LED, None, full, 1.5)
    assert (frame["path"], split_nul(frame["arguments"]), frame["body"]) == (
        b"/h/led",
        [b"on", b"2"],
        b"led on  2",
    )
    assert frame["limit"] == b"1.5"
    assert split_nul(frame["environment"]) == [
        b"COMMAND_SID=DC1",
        b"COMMAND_SENDER=2936",
        b"COMMAND_TIMESTAMP=2026-05-04T03:02:01+00:00",
        b"COMMAND_MODE=text",
        b"COMMAND_ATTEMPT=2",
    ]
    bare = protocol.executable_request(LED, "then", Command.of(b"\0\xff", sender="000"), 1)
    assert (bare["path"], bare["arguments"], bare["body"]) == (b"/h/led.then", b"", b"\0\xff")
    assert split_nul(bare["environment"]) == [
        b"COMMAND_SENDER=000",
        b"COMMAND_MODE=binary",
        b"COMMAND_ATTEMPT=1",
    ]


def test_the_body_may_hold_what_arguments_cannot():
    """Standard input takes everything; half a surrogate pair has no UTF-8 and becomes `?`."""
    assert protocol.executable_request(LED, None, Command.of("\0 "), 1)["body"] == b"\0 "
    assert protocol.stdin_bytes(Command.of("a\ud800b")) == b"a?b"


@pytest.mark.parametrize("text", ["led a\0b", "led \ud800", "led=\0"])
def test_what_cannot_be_passed_fails(text):
    """An argument is never cut short."""
    with pytest.raises(CannotEncodeArguments, match="no argument of a program can"):
        protocol.executable_request(LED, None, Command.of(text), 1)


def test_a_setting_that_cannot_be_passed_fails():
    """The environment takes no NUL either."""
    with pytest.raises(CannotEncodeArguments):
        protocol.executable_request(LED, None, Command.of("led", sender="a\0b"), 1)


@pytest.mark.parametrize(("entry", "action"), [(PLAIN, "then"), (LED, "other")])
def test_an_action_that_there_is_not(entry, action):
    """Kept in the journal over a restart, after which the file is gone."""
    with pytest.raises(CannotEncodeArguments, match="nothing to do after its answer"):
        protocol.executable_request(entry, action, Command.of("x"), 1)


def test_the_environment_is_cleaned():
    """What systemd meant for the agent alone does not reach handlers, nor do old COMMAND_ settings."""
    outer = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "2",
        "CREDENTIALS_DIRECTORY": "/run/c",
        "COMMAND_SID": "HC1",
        "PATH": "/bin",
        "HOME": "/",
    }
    assert protocol.handler_environment(outer) == {"PATH": "/bin", "HOME": "/"}
