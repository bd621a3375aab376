"""Executables, each run in a real process."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import pytest

from agent.handlers.runner import Failed, Finished, ProcessRunner, RetryLater


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("show", []),
        ("show a  b\nc", ["a", "b", "c"]),
        ("SHOW=a b", ["a", "b"]),
        ("show $(touch x) `touch y` ;touch z", ["$(touch", "x)", "`touch", "y`", ";touch", "z"]),
        ("show 'a b' \"c\" *", ["'a", "b'", '"c"', "*"]),
        ("show ../x /etc/passwd ~", ["../x", "/etc/passwd", "~"]),
        ("show -n --help", ["-n", "--help"]),
        ("show \u00e4\u20ac", ["\u00e4\u20ac"]),
        ("show" + " " * 156, []),
    ],
)
async def test_words_arrive_as_arguments(
    handler_directory, handler_env, monkeypatch, tmp_path, text, arguments
):
    """Unchanged, one by one: no shell ever sees them."""
    monkeypatch.chdir(tmp_path)
    handler_directory.write_executable("show", 'for word in "$@"; do printf "<%s>" "$word"; done')
    expected = "".join(f"<{word}>" for word in arguments) or None
    assert await handler_env.run(text) == Finished(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["handlers"]


@pytest.mark.parametrize("text", ["cat ../x", "cat a;b\n c  ", "cat" + " " * 157, "cat \u00e4\r\n", "CAT=1"])
async def test_the_body_is_standard_input(handler_directory, handler_env, text):
    """As it came, to the last blank."""
    handler_directory.write_executable("cat", "cat; echo")
    assert await handler_env.run(text) == Finished(text)


async def test_octets_are_standard_input(handler_directory, handler_env):
    """Of a binary Command, NUL and newlines included."""
    handler_directory.write_executable("binary", 'od -An -tx1; echo "$COMMAND_MODE $#"')
    assert await handler_env.run(b"\0\n\xff x") == Finished(" 00 0a ff 20 78\nbinary 0")


async def test_a_long_body_blocks_nobody(handler_directory, handler_env):
    """Longer than a pipe holds, and nobody reads it."""
    handler_directory.write_executable("deaf", "echo ok")
    handler_directory.write_executable("count", "wc -c")
    assert await handler_env.run("deaf " + "x" * 100_000) == Finished("ok")
    assert await handler_env.run("count=" + "\n" * 100_000) == Finished("100006")


@pytest.mark.parametrize("text", ["show a\0b", "show \0"])
async def test_a_nul_among_the_words_is_a_failure(handler_directory, handler_env, text):
    """Not a shorter argument."""
    handler_directory.write_executable("show", "echo run")
    outcome = await handler_env.run(text)
    assert isinstance(outcome, Failed)
    assert "NUL" in outcome.reason


async def test_the_environment(handler_directory, runner, handler_env, monkeypatch):
    """COMMAND_ settings beside the agent's own environment."""
    handler_directory.write_executable("env", "env | grep -E '^(COMMAND_|WATCHDOG|NOTIFY|MINE)' | sort")
    monkeypatch.setattr(runner, "_environment", runner._environment | {"MINE": "a b"})
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    outcome = await handler_env.run("env", sid="DC12", timestamp=when, attempt=3)
    assert outcome.reply.split("\n") == [
        "COMMAND_ATTEMPT=3",
        "COMMAND_MODE=text",
        "COMMAND_SENDER=2936",
        "COMMAND_SID=DC12",
        "COMMAND_TIMESTAMP=2026-05-04T03:02:01+00:00",
        "MINE=a b",
    ]
    assert "SID" not in (await handler_env.run("env")).reply


async def test_systemds_words_to_the_agent_are_not_for_handlers(handler_directory, handler_env, monkeypatch):
    """A handler that could notify systemd or feed the watchdog would speak for the agent."""
    for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY", "COMMAND_SID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HANDLER_SEES", "1")
    handler_env.runner = ProcessRunner(lambda _: None, os.environ)
    handler_directory.write_executable("env", "env")
    names = {line.partition("=")[0] for line in (await handler_env.run("env")).reply.split("\n")}
    await handler_env.runner.close()
    assert "HANDLER_SEES" in names
    assert {name for name in names if name.startswith("COMMAND")} == {
        *("COMMAND_SENDER", "COMMAND_MODE", "COMMAND_ATTEMPT")
    }
    assert not names & {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"}


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("echo ok; exit 0", Finished("ok")),
        ("echo ok; exit 3", Failed("exit status 3")),
        ("echo ok; exit 75", Failed("exit status 75")),
        ("kill -SEGV $$", Failed("killed by SIGSEGV")),
        ("printf 'gr\\374n'", Finished("gr?n")),
        ("true", Finished(None)),
    ],
)
async def test_how_it_ends(handler_directory, handler_env, script, outcome):
    """Only exit status 0 is success, and only then is the output a reply."""
    handler_directory.write_executable("do", script)
    assert await handler_env.run("do") == outcome


async def test_a_later_attempt_for_those_that_may(handler_directory, handler_env):
    """Exit status 75 of a repeatable one."""
    handler_directory.write_executable("do", "exit 75")
    handler_directory.write("do.toml", "repeatable = true")
    assert await handler_env.run("do") == RetryLater("exit status 75")


async def test_standard_error_goes_to_the_log(handler_directory, handler_env, log_lines):
    """Line by line, what cannot be printed escaped, and not into the reply."""
    handler_directory.write_executable("do", "printf 'one\\n\\033[1mtwo\\nthree' >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert log_lines == ["do: one", "do: \\x1b[1mtwo", "do: three"]


async def test_the_log_is_bounded(handler_directory, handler_env, log_lines):
    """A handler that writes on and on fills no disk."""
    handler_directory.write_executable("do", "yes complaint 2>/dev/null | head -c 1000000 >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert sum(map(len, log_lines)) < 20_000
    assert log_lines[-1] == "do: (what it wrote after this is left out)"


async def test_the_output_is_bounded(handler_directory, handler_env):
    """What is beyond 128 KiB is read and dropped; the handler does its work to the end."""
    handler_directory.write_executable(
        "do", f"yes 2>/dev/null | head -c 3000000; touch {handler_directory.path}/.done"
    )
    outcome = await handler_env.run("do")
    assert len(outcome.reply) in (128 * 1024, 128 * 1024 - 1)
    assert (handler_directory.path / ".done").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("#!/no/such/interpreter\n", "interpreter"),
        ("#!/bin/sh\r\necho\r\n", "interpreter"),
        ("echo no first line", "its first line must name"),
        ("", "its first line must name"),
    ],
)
async def test_what_cannot_be_started(handler_directory, handler_env, content, reason):
    """The reason says what is missing."""
    handler_directory.write("do", content, 0o755)
    outcome = await handler_env.run("do")
    assert isinstance(outcome, Failed)
    assert reason in outcome.reason
    handler_directory.write_executable("do", "echo ok")
    assert await handler_env.run("do") == Finished("ok")


async def test_one_that_has_gone_since_the_start(handler_directory, handler_env):
    """A failure with its reason, not a crash."""
    handler_directory.write_executable("do", "echo ok")
    await handler_env.registry()
    (handler_directory.path / "do").unlink()
    assert "it is gone" in (await handler_env.run("do")).reason


async def test_signals_are_as_in_a_shell(handler_directory, handler_env):
    """Nothing that Python or the keeper ignores stays ignored: `yes | head` ends quietly.

    Only the signals that have a name (1 to 31): what the C library keeps to itself is handed down as it is.
    """
    handler_directory.write_executable("do", "grep -E '^Sig(Ign|Blk)' /proc/self/status")
    _, blocked, _, ignored = (await handler_env.run("do")).reply.split()
    assert (int(blocked, 16) | int(ignored, 16)) & 0x7FFFFFFF == 0


async def test_it_leads_a_session(handler_directory, handler_env):
    """Of its own, without a terminal; so do Python files."""
    handler_directory.write_executable("do", "cut -d ' ' -f 1,5,6,7 < /proc/$$/stat")  # proc_pid_stat(5)
    handler_directory.write_python(
        "x.py", '@handler("x")\ndef x(c): return f"{os.getpid() == os.getsid(0) == os.getpgid(0)}"'
    )
    pid, group, session, terminal = (await handler_env.run("do")).reply.split()
    assert pid == group == session
    assert terminal == "0"
    assert await handler_env.run("x") == Finished("True")


async def test_it_holds_nothing_of_others(handler_directory, handler_env):
    """Three open files: its own."""
    handler_directory.write_executable("do", "ls /proc/self/fd | wc -l")
    handler_directory.write_python("x.py", '@handler("x")\ndef x(command): ...')
    await handler_env.run("x")
    assert await handler_env.run("do") == Finished("4")  # the fourth is the directory that ls reads


async def test_a_run_ends_with_its_process(handler_directory, handler_env, fifo):
    """A child in the background may hold its pipes, and may go on writing to them."""
    fifo = fifo.path.parent / "go"
    os.mkfifo(fifo)
    handler_directory.write_executable(
        "do", f"(read go <{fifo}; echo more; echo more >&2; echo alive >{fifo.quoted}) & echo started"
    )
    assert await handler_env.run("do") == Finished("started")
    fifo.write_text("go\n")
    assert await fifo.read_line() == "alive"


async def test_answer_then_act(handler_directory, handler_env, fifo):
    """NAME.then is asked for after exit status 0, gets the same Command, and its output is no reply."""
    handler_directory.write_executable("do", "exit $2; echo ok")
    handler_directory.write_executable("do.then", f'echo "$1 $(cat)" >{fifo.quoted}; echo output')
    assert await handler_env.run("do a 0") == Finished(None, "then")
    assert await handler_env.run("do a 1") == Failed("exit status 1")
    assert await handler_env.run_action("do a 0", "then") == Finished(None)
    assert await fifo.read_line() == "a do a 0"
    assert await handler_env.run_action("do a 0", "other") == Failed("do has nothing to do after its answer")


async def test_an_action_that_fails(handler_directory, handler_env):
    """Is told like a run that fails."""
    handler_directory.write_executable("do", "true")
    handler_directory.write_executable("do.then", "exit 2")
    assert await handler_env.run_action("do", "then") == Failed("exit status 2")


async def test_several_run_side_by_side(handler_directory, handler_env):
    """Each waits for the other to have begun."""
    here, there = handler_directory.path / ".here", handler_directory.path / ".there"
    os.mkfifo(here)
    os.mkfifo(there)
    handler_directory.write_executable("a", f"echo x >{here}; read x <{there}; echo a")
    handler_directory.write_executable("b", f"read x <{here}; echo x >{there}; echo b")
    await handler_env.registry()
    assert await asyncio.gather(handler_env.run("a"), handler_env.run("b")) == [Finished("a"), Finished("b")]
