"""`run`: the service as systemd and an operator see it."""

import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial

import pytest

from agent.common.events import Event, EventKind, Severity
from agent.daemon.agent import RecoveryExhausted
from agent.journal.journal import Journal

COMMAND = [sys.executable, "-c", "from agent.cli import main; main()"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_service_starts_without_a_module_and_stops_cleanly(cli_env, end):
    """READY, the absent port logged once, a reload, exit status 0, and no control socket left."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(20)
        receiver.bind(str(cli_env.folder / "notify"))
        environ = {"NOTIFY_SOCKET": str(cli_env.folder / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [*COMMAND, "run", "--config", str(cli_env.config)],
            env=os.environ | environ | {"JOURNAL_STREAM": "8:1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            notifications = []
            while not {"READY=1", "WATCHDOG=1"} <= set(notifications) or len(notifications) < 4:
                notifications.append(receiver.recv(4096).decode())
            assert (cli_env.folder / "control.sock").is_socket()
            process.send_signal(signal.SIGHUP)
            while not receiver.recv(4096).startswith(b"RELOADING=1"):
                pass
            while receiver.recv(4096) != b"READY=1":
                pass
            process.send_signal(end)
            _, log = process.communicate(timeout=20)
            while "STOPPING=1" not in notifications:
                notifications.append(receiver.recv(4096).decode())
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert any(text.startswith("STATUS=port /dev/nowhere") for text in notifications)
    lines = log.splitlines()
    assert lines[0].startswith("<6>ready: modem-agent ")
    assert re.match(r"<4>port: port /dev/nowhere", lines[1])
    assert lines[2].startswith("<6>reloaded: handlers ")
    assert len(lines) == 3
    assert not (cli_env.folder / "control.sock").exists()
    Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0).close()


def test_second_agent_on_a_journal_is_refused(cli_env):
    """The holder is named; exit status 1, because the configuration is valid."""
    holder = Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0)
    try:
        result = cli_env.run("run")
    finally:
        holder.close()
    assert result.exit_code == 1
    held = f"journal {cli_env.folder}/journal.db is written by another modem-agent (process {os.getpid()})"
    assert result.stderr.startswith(f"modem-agent: {held}")


def test_journal_of_a_newer_agent_is_refused(cli_env):
    """The sentence names what to install."""
    journal = Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0)
    journal.connection.execute("PRAGMA user_version = 99")
    journal.close()
    result = cli_env.run("run")
    assert result.exit_code == 1
    assert "install the newer modem-agent again" in result.stderr


class FakeAgent:
    """Emits a few events and ends, or raises `error`."""

    def __init__(self, _config, emit, dependencies, error=None):
        self.emit = emit
        self.dependencies = dependencies
        self.error = error

    def stop(self):
        """Never called."""

    def reload(self):
        """Never called."""

    async def run(self):
        self.emit(Event(EventKind.PORT, "nothing there", severity=Severity.DEBUG))
        self.emit(Event(EventKind.RECEIVED, command_id=1, content="open \x1b[2Jsesame"))
        self.emit(Event(EventKind.UNKNOWN, "no result", reply_id=1, severity=Severity.WARNING))
        if self.dependencies.trace is not None:
            self.dependencies.trace.log_sent(b"AT\r", 1.0)
        if self.error is not None:
            raise self.error


@pytest.fixture
def run_fake_agent(cli_env, monkeypatch):
    """Run `modem-agent run` with a FakeAgent."""
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)

    def run(*options, error=None):
        return cli_env.run("run", *options, make_agent=partial(FakeAgent, error=error))

    return run


def test_log_has_no_message_content(run_fake_agent):
    """One line with its time for each event; debug events and message content are left out."""
    result = run_fake_agent()
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} received command 1", lines[0])
    assert lines[1].endswith(" unknown reply 1: no result")


def test_show_content_logs_escaped_content(run_fake_agent):
    """Control characters are escaped."""
    lines = run_fake_agent("--show-content").stderr.splitlines()
    assert lines[0].endswith(r" received command 1 'open \x1b[2Jsesame'")


def test_trace_logs_every_byte(run_fake_agent):
    """Together with debug events."""
    log = run_fake_agent("--trace").stderr
    assert "port: nothing there" in log
    assert r"AT\r" in log


def test_log_lines_have_priorities_under_systemd(run_fake_agent, monkeypatch):
    """The priority in front of each line, and no time, which the systemd journal adds."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert run_fake_agent().stderr.splitlines() == [
        "<6>received command 1",
        "<4>unknown reply 1: no result",
    ]


def with_traceback(error):
    """Return the error after it was raised."""

    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        fail()
    return caught.value


def test_internal_error_is_one_line_for_a_bug_report(run_fake_agent):
    """Type, text and place; exit status 1, and a traceback only with --trace."""
    inner = ExceptionGroup("inner", [with_traceback(ZeroDivisionError("of\nours"))])
    outer = ExceptionGroup("outer", [inner, with_traceback(ValueError("other"))])
    result = run_fake_agent(error=outer)
    assert result.exit_code == 1
    errors = [line for line in result.stderr.splitlines() if line.startswith("modem-agent: ")]
    assert re.fullmatch(
        r"modem-agent: internal error: ZeroDivisionError: of\\nours \(.*test_run.py:\d+\)",
        errors[0],
    )
    assert "ValueError: other" in errors[1]
    assert "Traceback" not in result.stderr
    assert "Traceback" in run_fake_agent("--trace", error=outer).stderr


def test_exhausted_recovery_ends_the_process(run_fake_agent):
    """Exit status 1: systemd then restarts the agent, which it would not after status 2."""
    result = run_fake_agent(error=RecoveryExhausted("the module does not answer"))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "modem-agent: the module does not answer"


def test_until_idle_ends_with_status_3_after_the_longest_time(cli_env):
    """There is no module. The message says what is left."""
    result = cli_env.run("run", "--until-idle", "--quiet-time", "0.1", "--max-time", "0.5")
    assert result.exit_code == 3
    assert "modem-agent: not idle within 0.5 s: Commands cannot be received or answered" in result.stderr
