"""`run`: the service, as systemd and people meet it."""

import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from agent.common.events import Event, Severity
from agent.daemon import agent
from agent.journal.journal import Journal

COMMAND = [sys.executable, "-c", "from agent.cli import main; main()"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
def test_the_service(cli_env, end):
    """READY without a module, the trouble of the port said once, a clean end with exit status 0."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.settimeout(20)
        line.bind(str(cli_env.folder / "notify"))
        environ = {"NOTIFY_SOCKET": str(cli_env.folder / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [*COMMAND, "run", "--config", str(cli_env.config)],
            env=os.environ | environ | {"JOURNAL_STREAM": "8:1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            heard = []
            while not {"READY=1", "WATCHDOG=1"} <= set(heard) or len(heard) < 4:
                heard.append(line.recv(4096).decode())
            assert (cli_env.folder / "control.sock").is_socket()
            process.send_signal(end)
            _, log = process.communicate(timeout=20)
            while "STOPPING=1" not in heard:
                heard.append(line.recv(4096).decode())
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0
    assert any(note.startswith("STATUS=port /dev/nowhere") for note in heard)
    lines = log.splitlines()
    assert lines[0].startswith("<6>ready: modem-agent ")
    assert re.match(r"<4>port: port /dev/nowhere", lines[1])
    assert len(lines) == 2
    assert not (cli_env.folder / "control.sock").exists()
    Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0).close()


def test_a_second_agent_is_told_who_holds_the_journal(cli_env):
    """Exit status 1: it is no mistake of the configuration."""
    holder = Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0)
    try:
        result = cli_env.run("run")
    finally:
        holder.close()
    assert result.exit_code == 1
    held = f"journal {cli_env.folder}/journal.db is written by another modem-agent (process {os.getpid()})"
    assert result.stderr.startswith(f"modem-agent: {held}")


def test_a_journal_of_a_newer_agent(cli_env):
    """Said with what to do; starting again helps nobody, installing does."""
    journal = Journal(cli_env.folder / "journal.db", lambda: 0.0, lambda: 0.0)
    journal.connection.execute("PRAGMA user_version = 99")
    journal.close()
    result = cli_env.run("run")
    assert result.exit_code == 1
    assert "install the newer modem-agent again" in result.stderr


class FakeAgent:
    """Stands for the agent: tells a few steps and ends, or stumbles."""

    error = None

    def __init__(self, config, emit, dependencies):
        self.emit = emit
        self.dependencies = dependencies

    def stop(self):
        """Never asked to."""

    async def run(self):
        self.emit(Event("port", "nothing there", severity=Severity.DEBUG))
        self.emit(Event("received", command_id=1, content="open \x1b[2Jsesame"))
        self.emit(Event("unknown", "no result", reply_id=1, severity=Severity.WARNING))
        if self.dependencies.trace is not None:
            self.dependencies.trace.log_sent(b"AT\r", 1.0)
        if self.error is not None:
            raise self.error


@pytest.fixture
def fake_agent(monkeypatch):
    monkeypatch.setattr(agent, "Agent", FakeAgent)
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    monkeypatch.setattr(FakeAgent, "error", None)


def test_the_log_holds_no_content(cli_env, fake_agent):
    """A line each with its time; details and what messages say are left out."""
    result = cli_env.run("run")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} received command 1", lines[0])
    assert lines[1].endswith(" unknown reply 1: no result")


def test_content_is_shown_where_it_is_asked_for(cli_env, fake_agent):
    """And still moves no cursor."""
    lines = cli_env.run("run", "--show-content").stderr.splitlines()
    assert lines[0].endswith(r" received command 1 'open \x1b[2Jsesame'")


def test_the_trace_shows_every_byte(cli_env, fake_agent):
    """With the details."""
    log = cli_env.run("run", "--trace").stderr
    assert "port: nothing there" in log
    assert r"AT\r" in log


def test_priorities_for_the_journal_of_systemd(cli_env, fake_agent, monkeypatch):
    """In front of each line, and no time: systemd has its own."""
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    assert cli_env.run("run").stderr.splitlines() == [
        "<6>received command 1",
        "<4>unknown reply 1: no result",
    ]


def raised(error):
    """With a place where it came from."""

    def stumble():
        raise error

    with pytest.raises(type(error)) as caught:
        stumble()
    return caught.value


def test_a_mistake_of_our_own_is_a_line_for_a_report(cli_env, fake_agent, monkeypatch):
    """What and where; exit status 1, no traceback unless it is asked for."""
    inner = ExceptionGroup("inner", [raised(ZeroDivisionError("of\nours"))])
    monkeypatch.setattr(FakeAgent, "error", ExceptionGroup("outer", [inner, raised(ValueError("other"))]))
    result = cli_env.run("run")
    assert result.exit_code == 1
    said = [line for line in result.stderr.splitlines() if line.startswith("modem-agent: ")]
    assert re.fullmatch(
        r"modem-agent: stopped by a mistake of its own: ZeroDivisionError: of\\nours \(.*test_run.py:\d+\)",
        said[0],
    )
    assert "ValueError: other" in said[1]
    assert "Traceback" not in result.stderr
    assert "Traceback" in cli_env.run("run", "--trace").stderr


def test_an_agent_that_gave_up_ends_with_a_sentence(cli_env, fake_agent, monkeypatch):
    """Exit status 1: systemd starts another one, which it would not after 2."""
    monkeypatch.setattr(FakeAgent, "error", agent.RecoveryExhausted("the module does not answer"))
    result = cli_env.run("run")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "modem-agent: the module does not answer"
