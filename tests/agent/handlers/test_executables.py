"""Executable handlers, run in real processes."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

import pytest

from agent.handlers.api import Command
from agent.handlers.runner import Failed, Finished, ProcessRunner, RetryLater, TimedOut


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
    """They arrive unchanged, one by one, because no shell is involved."""
    monkeypatch.chdir(tmp_path)
    handler_directory.write_executable("show", 'for word in "$@"; do printf "<%s>" "$word"; done')
    expected = "".join(f"<{word}>" for word in arguments) or None
    assert await handler_env.run(text) == Finished(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["handlers"]


@pytest.mark.parametrize("text", ["cat ../x", "cat a;b\n c  ", "cat" + " " * 157, "cat \u00e4\r\n", "CAT=1"])
async def test_text_is_standard_input(handler_directory, handler_env, text):
    """The text is unchanged, including its white space."""
    handler_directory.write_executable("cat", "cat; echo")
    assert await handler_env.run(text) == Finished(text)


async def test_binary_data_is_standard_input(handler_directory, handler_env):
    """The octets of a binary Command are unchanged, including NUL and newline."""
    handler_directory.write_executable("binary", 'od -An -tx1; echo "$COMMAND_MODE $#"')
    assert await handler_env.run(b"\0\n\xff x") == Finished(" 00 0a ff 20 78\nbinary 0")


async def test_unread_long_input_does_not_block(handler_directory, handler_env):
    """The input may be longer than a pipe holds, whether the handler reads it or not."""
    handler_directory.write_executable("deaf", "echo ok")
    handler_directory.write_executable("count", "wc -c")
    assert await handler_env.run("deaf " + "x" * 100_000) == Finished("ok")
    assert await handler_env.run("count=" + "\n" * 100_000) == Finished("100006")


@pytest.mark.parametrize("text", ["show a\0b", "show \0"])
async def test_nul_in_a_word_fails(handler_directory, handler_env, text):
    """The argument is not truncated."""
    handler_directory.write_executable("show", "echo run")
    result = await handler_env.run(text)
    assert isinstance(result, Failed)
    assert "NUL" in result.reason


async def test_environment_describes_command(handler_directory, handler_env):
    """The COMMAND_ variables are added to the agent's environment."""
    handler_directory.write_executable("env", "env | grep -E '^(COMMAND_|WATCHDOG|NOTIFY|MINE)' | sort")
    handler_env.runner = ProcessRunner(lambda _: None, {**os.environ, "MINE": "a b"})
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    result = await handler_env.run("env", sid="DC12", timestamp=when, attempt=3)
    assert result.reply.split("\n") == [
        "COMMAND_ATTEMPT=3",
        "COMMAND_MODE=text",
        "COMMAND_SENDER=2936",
        "COMMAND_SID=DC12",
        "COMMAND_TIMESTAMP=2026-05-04T03:02:01+00:00",
        "MINE=a b",
    ]
    assert "SID" not in (await handler_env.run("env")).reply
    await handler_env.runner.close()


async def test_systemd_variables_are_removed(handler_directory, handler_env, monkeypatch):
    """A handler must not notify systemd or its watchdog in place of the agent."""
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
    ("script", "result"),
    [
        ("echo ok; exit 0", Finished("ok")),
        ("echo ok; exit 3", Failed("exit status 3")),
        ("echo ok; exit 75", Failed("exit status 75")),
        ("kill -SEGV $$", Failed("killed by SIGSEGV")),
        ("printf 'gr\\374n'", Finished("gr?n")),
        ("true", Finished(None)),
    ],
)
async def test_exit_status_decides_result(handler_directory, handler_env, script, result):
    """Only exit status 0 is success, and only then the output is the reply."""
    handler_directory.write_executable("do", script)
    assert await handler_env.run("do") == result


async def test_exit_status_75_asks_for_retry(handler_directory, handler_env):
    """A repeatable executable gets the Command again later."""
    handler_directory.write_executable("do", "exit 75")
    handler_directory.write("do.toml", "repeatable = true")
    assert await handler_env.run("do") == RetryLater("exit status 75")


async def test_standard_error_goes_to_the_log(handler_directory, handler_env, log_lines):
    """It is logged line by line, unprintable characters escaped, and not part of the reply."""
    handler_directory.write_executable("do", "printf 'one\\n\\033[1mtwo\\nthree' >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert log_lines == ["do: one", "do: \\x1b[1mtwo", "do: three"]


@pytest.mark.parametrize(("end", "result"), [("exit 3", Failed("exit status 3")), ("sleep 9", TimedOut())])
async def test_result_has_the_end_of_the_standard_error(handler_directory, handler_env, end, result):
    """Also of a run that was killed, and also what the log no longer takes."""
    handler_directory.write_executable("do", f"(seq 10000; printf 'disk\\033 on fire\\n') >&2; {end}")
    found = await handler_env.run("do", timeout_s=0.5)
    assert found == result
    assert found.stderr.endswith("9999\n10000\ndisk\\x1b on fire")
    assert 900 < len(found.stderr) < 1100


async def test_log_output_is_limited(handler_directory, handler_env, log_lines):
    """A handler that writes continuously must not fill the disk."""
    handler_directory.write_executable("do", "yes complaint 2>/dev/null | head -c 1000000 >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert sum(map(len, log_lines)) < 20_000
    assert log_lines[-1] == "do: (further output of this run is dropped)"


async def test_reply_output_is_limited(handler_directory, handler_env):
    """Output beyond 128 KiB is read and dropped, and the handler runs to its end."""
    handler_directory.write_executable(
        "do", f"yes 2>/dev/null | head -c 3000000; touch {handler_directory.path}/.done"
    )
    result = await handler_env.run("do")
    assert len(result.reply) in (128 * 1024, 128 * 1024 - 1)
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
async def test_executable_that_cannot_start_fails(handler_directory, handler_env, content, reason):
    """The reason names what is missing, and a corrected file works."""
    handler_directory.write("do", content, 0o755)
    result = await handler_env.run("do")
    assert isinstance(result, Failed)
    assert reason in result.reason
    handler_directory.write_executable("do", "echo ok")
    assert await handler_env.run("do") == Finished("ok")


async def test_deleted_executable_fails(handler_directory, handler_env):
    """It is a failure with a reason, not a crash."""
    handler_directory.write_executable("do", "echo ok")
    await handler_env.registry()
    (handler_directory.path / "do").unlink()
    assert "the file is gone" in (await handler_env.run("do")).reason


async def test_signal_handlers_are_default(handler_directory, handler_env):
    """Signals that Python or the manager ignores are not ignored in handlers: `yes | head` ends quietly.

    Only signals 1 to 31 count: the C library uses some of the others itself.
    """
    handler_directory.write_executable("do", "grep -E '^Sig(Ign|Blk)' /proc/self/status")
    _, blocked, _, ignored = (await handler_env.run("do")).reply.split()
    assert (int(blocked, 16) | int(ignored, 16)) & 0x7FFFFFFF == 0


async def test_handler_leads_its_own_session(handler_directory, handler_env):
    """Executables and Python files have sessions of their own, without a terminal."""
    handler_directory.write_executable("do", "cut -d ' ' -f 1,5,6,7 < /proc/$$/stat")  # proc_pid_stat(5)
    handler_directory.write_python(
        "x.py", '@handler("x")\ndef x(c): return f"{os.getpid() == os.getsid(0) == os.getpgid(0)}"'
    )
    pid, group, session, terminal = (await handler_env.run("do")).reply.split()
    assert pid == group == session
    assert terminal == "0"
    assert await handler_env.run("x") == Finished("True")


async def test_executable_inherits_no_files(handler_directory, handler_env):
    """It has only its three standard files open."""
    handler_directory.write_executable("do", "ls /proc/self/fd | wc -l")
    handler_directory.write_python("x.py", '@handler("x")\ndef x(command): ...')
    await handler_env.run("x")
    assert await handler_env.run("do") == Finished("4")  # the fourth is the directory that ls reads


async def test_run_ends_with_its_process(handler_directory, handler_env, fifo):
    """A background child may keep its pipes open, and may write to them later."""
    go = fifo.path.parent / "go"
    os.mkfifo(go)
    handler_directory.write_executable(
        "do", f"(read go <{go}; echo more; echo more >&2; echo alive >{fifo.quoted}) & echo started"
    )
    assert await handler_env.run("do") == Finished("started")
    go.write_text("go\n")
    assert await fifo.read_line() == "alive"


async def test_action_runs_after_success(handler_directory, handler_env, fifo):
    """NAME.then is requested after exit status 0, gets the same Command, and its output is ignored."""
    handler_directory.write_executable("do", "exit $2; echo ok")
    handler_directory.write_executable("do.then", f'echo "$1 $(cat)" >{fifo.quoted}; echo output')
    assert await handler_env.run("do a 0") == Finished(None, "then")
    assert await handler_env.run("do a 1") == Failed("exit status 1")
    assert await handler_env.run_action("do a 0", "then") == Finished(None)
    assert await fifo.read_line() == "a do a 0"
    assert await handler_env.run_action("do a 0", "other") == Failed("do has no action other")


async def test_failing_action_is_reported(handler_directory, handler_env):
    """It has the same result as a failing run."""
    handler_directory.write_executable("do", "true")
    handler_directory.write_executable("do.then", "exit 2")
    assert await handler_env.run_action("do", "then") == Failed("exit status 2")


async def test_executables_run_concurrently(handler_directory, handler_env):
    """Two runs that wait for each other both finish."""
    here, there = handler_directory.path / ".here", handler_directory.path / ".there"
    os.mkfifo(here)
    os.mkfifo(there)
    handler_directory.write_executable("a", f"echo x >{here}; read x <{there}; echo a")
    handler_directory.write_executable("b", f"read x <{here}; echo x >{there}; echo b")
    await handler_env.registry()
    assert await asyncio.gather(handler_env.run("a"), handler_env.run("b")) == [Finished("a"), Finished("b")]


async def test_default_executable_gets_what_no_other_handler_takes(handler_directory, handler_env):
    """All words are its arguments, and its own name is no word. Octets are its standard input."""
    handler_directory.write_executable("other", 'echo "$COMMAND_MODE:$#:$*"; cat >&2')
    handler_directory.write("other.toml", "default = true\n")
    handler_directory.write_executable("led", "echo led")
    assert await handler_env.run("led on") == Finished("led")
    assert await handler_env.run("pump on 2") == Finished("text:3:pump on 2")
    assert await handler_env.run("other on") == Finished("text:2:other on")
    assert await handler_env.run("") == Finished("text:0:")
    assert await handler_env.run(b"\x01\x02") == Finished("binary:0:")
    assert (await handler_env.registry()).trigger_names == ["help", "led", "ping", "status"]


async def test_handler_of_ignored_messages_gets_no_commands(handler_directory, handler_env):
    """Not even those that begin with its name."""
    handler_directory.write_executable("alert", "echo no")
    handler_directory.write("alert.toml", "ignored = true\ntimeout_s = 5\n")
    registry = await handler_env.registry()
    assert registry.ignored_handler.name == "alert"
    assert registry.ignored_handler.timeout_s == 5
    assert registry.match(Command.of("alert")) is None


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("default = 1", "b.toml: default must be true or false"),
        ('ignored = "yes"', "b.toml: ignored must be true or false"),
        ("ignored = true\ndefault = true", "b.toml: a handler of ignored messages gets no Commands"),
        ("ignored = true\nport = 1", "b.toml: a handler of ignored messages gets no Commands"),
        ('user = "root"', "handlers cannot have rights of their own"),
        (
            "defualt = true",
            "(the options are repeatable, timeout_s, max_age_s, reply_to, port, default, ignored)",
        ),
    ],
)
async def test_wrong_option_of_a_default_executable_is_an_error(
    handler_directory, handler_env, options, error
):
    """The handler is not used, and the sentence names the file."""
    handler_directory.write_executable("b", "echo b")
    handler_directory.write("b.toml", options)
    registry = await handler_env.registry()
    assert any(error in sentence for sentence in registry.unusable["b"])
    assert registry.ignored_handler is None


@pytest.mark.parametrize(
    ("option", "what"), [("default", "all other Commands (default)"), ("ignored", "ignored messages")]
)
async def test_two_default_executables_are_not_used(handler_directory, handler_env, option, what):
    """As with two handlers for one word."""
    for name in ("a", "b"):
        handler_directory.write_executable(name, "echo")
        handler_directory.write(f"{name}.toml", f"{option} = true")
    registry = await handler_env.registry()
    assert registry.unusable["b"][0].startswith(f"two handlers for {what}: ")
    assert registry.ignored_handler is None
