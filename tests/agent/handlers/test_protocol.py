"""Requests to the handler manager and its responses."""

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
REPEATABLE = HandlerSpec("again", "executable", file=Path("/h/again"), repeatable=True)
PYTHON = HandlerSpec("x.py:f", "python", file=Path("/h/x.py"), function="f")
PYTHON_REPEATABLE = HandlerSpec("x.py:f", "python", file=Path("/h/x.py"), function="f", repeatable=True)


def exited_frame(status, output=b""):
    return {"verb": b"exited", "status": str(status).encode(), "output": output}


@pytest.mark.parametrize(
    ("spec", "response", "expected"),
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
        (REPEATABLE, exited_frame(75), RetryLater("exit status 75")),
        (PLAIN, exited_frame(-9), Failed("killed by SIGKILL")),
        (PLAIN, exited_frame(-63), Failed("killed by signal 63")),
        (PLAIN, {"verb": b"timed_out"}, TimedOut()),
        (PYTHON, {"verb": b"finished"}, Finished(None)),
        (PYTHON, {"verb": b"finished", "text": b""}, Finished(None)),
        (PYTHON, {"verb": b"finished", "data": b""}, Finished(None)),
        (PYTHON, {"verb": b"finished", "text": b"ok", "then": b"go"}, Finished("ok", "go")),
        (PYTHON, {"verb": b"finished", "data": b"\x01"}, Finished(b"\x01")),
        (PYTHON, {"verb": b"finished", "text": b"\xed\xa0\x80"}, Finished("\ud800")),
        (PYTHON, {"verb": b"failed", "reason": b"why"}, Failed("why")),
        (PYTHON, {"verb": b"load_failed", "error": b"why"}, Failed("why")),
        (PYTHON_REPEATABLE, {"verb": b"retry_later", "reason": b"busy"}, RetryLater("busy")),
        (PYTHON, {"verb": b"exited", "status": b"-11"}, Failed("its process ended: killed by SIGSEGV")),
    ],
)
def test_response_becomes_result(spec, response, expected):
    """Exit status, output and the frames of a worker give the result of the run."""
    assert decode_result(spec, response) == expected


@pytest.mark.parametrize(
    ("spec", "response", "reason"),
    [
        (PLAIN, {"verb": b"not_started", "errno": b"8"}, "Exec format error (its first line must name"),
        (PLAIN, {"verb": b"not_started", "errno": b"2"}, "the file is gone, or the interpreter"),
        (
            PYTHON,
            {"verb": b"retry_later", "reason": b"busy"},
            "busy (TryLater from a handler that is not repeatable)",
        ),
    ],
)
def test_reason_has_a_hint(spec, response, reason):
    """The failure comes with its probable cause."""
    found = decode_result(spec, response)
    assert isinstance(found, Failed)
    assert reason in found.reason


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN])
@pytest.mark.parametrize("spec", [PLAIN, PYTHON])
def test_exhausted_host_means_not_started(spec, number):
    """The handler has certainly not run."""
    found = decode_result(spec, {"verb": b"not_started", "errno": b"%d" % number})
    assert found == NotStarted(f"cannot be started: {os.strerror(number)}")


def test_executable_request_has_arguments_input_and_environment():
    """The request has the remaining words, the body, and only the COMMAND_ variables that are known."""
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    full = Command.of("led on  2", sid="DC1", sender="2936", timestamp=when, attempt=2)
    frame = protocol.executable_request(LED, None, full, 1.5)
    assert (frame["path"], split_nul(frame["arguments"]), frame["body"]) == (
        b"/h/led",
        [b"on", b"2"],
        b"led on  2",
    )
    assert frame["timeout"] == b"1.5"
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


def test_executable_gets_all_words_of_a_message_to_its_port():
    """Its first word is not the name of the executable."""
    frame = protocol.executable_request(LED, None, Command.of("on 2", sender="000", port=2948), 1)
    assert split_nul(frame["arguments"]) == [b"on", b"2"]
    assert b"COMMAND_PORT=2948" in split_nul(frame["environment"])


def test_standard_input_takes_any_text():
    """Standard input may contain NUL; a lone surrogate has no UTF-8 and becomes `?`."""
    assert protocol.executable_request(LED, None, Command.of("\0 "), 1)["body"] == b"\0 "
    assert protocol.stdin_bytes(Command.of("a\ud800b")) == b"a?b"


@pytest.mark.parametrize("text", ["led a\0b", "led \ud800", "led=\0"])
def test_word_that_cannot_be_an_argument_raises(text):
    """An argument is never truncated."""
    with pytest.raises(CannotEncodeArguments, match="no program argument can hold"):
        protocol.executable_request(LED, None, Command.of(text), 1)


def test_nul_in_environment_raises():
    """An environment variable cannot contain a NUL either."""
    with pytest.raises(CannotEncodeArguments):
        protocol.executable_request(LED, None, Command.of("led", sender="a\0b"), 1)


@pytest.mark.parametrize(("spec", "action"), [(PLAIN, "then"), (LED, "other")])
def test_missing_action_raises(spec, action):
    """The journal may still have an action whose file is gone after a restart."""
    with pytest.raises(CannotEncodeArguments, match="has no action"):
        protocol.executable_request(spec, action, Command.of("x"), 1)


def test_environment_is_filtered():
    """Neither the variables that systemd sets for the agent nor old COMMAND_ variables reach handlers."""
    environment = {
        "NOTIFY_SOCKET": "/run/x",
        "WATCHDOG_USEC": "1",
        "WATCHDOG_PID": "2",
        "CREDENTIALS_DIRECTORY": "/run/c",
        "COMMAND_SID": "HC1",
        "PATH": "/bin",
        "HOME": "/",
    }
    assert protocol.handler_environment(environment) == {"PATH": "/bin", "HOME": "/"}
