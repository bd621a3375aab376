"""Fixtures for the command line: a folder with agent.toml, a runner, a fake agent on the control socket."""

import asyncio
import json

import pytest
from click.testing import CliRunner

import pdu
from agent.cli.commands import group
from agent.daemon.control_socket import ControlServer
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore
from agent.service.message import IgnoredMessage, ReceivedCommand

EPOCH = 1_795_348_800.0  # 2026-11-22 12:00 UTC


class CliEnv:
    """A folder with agent.toml, in which commands are run."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "agent.toml"
        (folder / "handlers").mkdir(mode=0o755)
        self.write()

    def write(self, text="", **tables):
        """Write agent.toml; `tables` replace whole tables of the default one, or add to them."""
        default_tables = {
            "modem": '[modem]\nport = "/dev/nowhere"',
            "service": '[service]\nname = "super-sim"',
            "handlers": '[handlers]\ndirectory = "handlers"',
            "journal": '[journal]\npath = "journal.db"\nallow_volatile = true',
            "control": '[control]\nsocket = "control.sock"',
        }
        self.config.write_text(text or "\n".join((default_tables | tables).values()) + "\n")

    def run(self, *words, make_agent=None):
        """Run a command with this configuration; an exception fails the test.

        `make_agent` makes the agent of the command `run`.
        """
        return self.run_bare(*words, "--config", str(self.config), obj=make_agent)

    def run_bare(self, *words, obj=None):
        """Run a command without adding --config."""
        result = CliRunner().invoke(group, words, prog_name="modem-agent", catch_exceptions=True, obj=obj)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def make_journal(self):
        """Make a journal with two Commands, an ignored message, two replies; return the first SID."""
        journal = Journal(self.folder / "journal.db", lambda: EPOCH, lambda: 0.0)
        outbox = OutboxStore(journal)
        inbox = CommandStore(journal, outbox)
        sid = "HC" + "0" * 32
        control_characters = "led \x1b[2J\x9b31m\u202eon\n\x07"
        inbox.store(None, "00", lambda _: ReceivedCommand("000", sid, "led on", None, None, answerable=True))
        inbox.store(
            None,
            "01",
            lambda _: ReceivedCommand("000", None, control_characters, None, None, answerable=True),
        )
        inbox.store(None, "02", lambda _: IgnoredMessage("not from 000", "+15\x1b[2J", control_characters))
        inbox.mark_running(1, "led", repeatable=False)
        inbox.finish(1, "done", None, [OutgoingMessage("000", pdu.segment("led is on")[0], 1, 1)])
        outbox.mark_sending(1)
        outbox.mark_sent(1, 7)
        outbox.enqueue([OutgoingMessage("000", pdu.segment("a\nb")[0], 1, 1)])
        journal.close()
        return sid

    async def run_beside_agent(self, answers, *words):
        """Run a command while a fake agent gives these answers; return the result and its requests."""
        requests = []

        def make_handler(answer):
            async def handle(request):
                requests.append(dict(request))
                return answer

            return handle

        server = ControlServer(
            self.folder / "control.sock", {name: make_handler(answer) for name, answer in answers.items()}
        )
        await server.start()
        try:
            result = await asyncio.to_thread(self.run, *words)
        finally:
            await server.stop()
        return result, requests


@pytest.fixture
def cli_env(tmp_path):
    return CliEnv(tmp_path)


@pytest.fixture
def parse_json_output():
    """Parses the JSON document that a command printed on one line."""

    def parse(result):
        assert result.stdout.count("\n") == 1
        return json.loads(result.stdout)

    return parse
