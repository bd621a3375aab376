"""Fixture: an agent as a whole with fake module and handlers."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from agent.common.config import parse_config
from agent.daemon.agent import Agent, Dependencies
from agent.handlers.results import HandlerDeclaration
from agent.journal.executor import InlineExecutor
from agent.journal.journal import Journal


class AgentEnv:
    """An agent in virtual time with fake modems and a fake handler runner."""

    def __init__(self, harness, factories):
        self.harness = harness
        self.factories = factories
        self.folder = harness.folder
        self.port = factories.port()
        self.notifications = []
        self.watchdog_s = None
        self.until_idle = None
        self.modems = []
        self.journal = None
        self.tables = {
            "service": {"name": "programmable-wireless"},
            "handlers": {"directory": "handlers"},
            "journal": {"path": "journal.db", "allow_volatile": True},
            "control": {"socket": "control.sock"},
        }
        (self.folder / "handlers").mkdir()
        (self.folder / "handlers" / "device.py").write_text("")
        harness.runner.declarations["device.py"] = [HandlerDeclaration("led", words=("led",))]

    def modem(self):
        """Return the modem of the next session."""
        self.modems.append(self.factories.modem(self.harness))
        return self.modems[-1]

    def _make_modem(self, _client, options):
        self.modem_options = options
        return self.modems.pop(0) if self.modems else self.factories.modem(self.harness)

    def _open_journal(self, *arguments):
        self.journal = Journal(*arguments, open_file=self.harness.open_journal_with_failures)
        self.harness._original_transaction = self.journal.transaction
        self.journal.transaction = self.harness._logged_transaction
        return self.journal

    def agent(self):
        """Return a new agent process on the same directory."""
        self.harness.journal.close()
        return Agent(
            self.read_config(),
            self.harness.emit,
            Dependencies(
                opener=self.port,
                make_modem=self._make_modem,
                open_journal=self._open_journal,
                db_executor=self._db_executor,
                runner=lambda emit: self.harness.runner,
                wall_clock=self.harness.wall_clock,
                random=self.harness.random,
                notify=self.notifications.append,
                watchdog_interval_s=self.watchdog_s,
                read_config=self.read_config,
                until_idle=self.until_idle,
            ),
        )

    def read_config(self):
        """Return the configuration as agent.toml has it now."""
        return parse_config(self.tables, "agent.toml", self.folder)

    def _db_executor(self):
        executor = InlineExecutor()
        executor.close = lambda: self.harness.call_log.append(("executor closed",))
        return executor

    @asynccontextmanager
    async def running(self, seconds=1):
        """Run an agent. At the end it is stopped and must return within 5 s."""
        agent = self.agent()
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(seconds)
        try:
            yield agent
        finally:
            if not task.done():
                agent.stop()
            await asyncio.wait_for(task, 5)
            self.harness.runner.stopped.clear()

    async def request(self, **request):
        """Send one request to the control socket and return the response."""
        reader, writer = await asyncio.open_unix_connection(self.folder / "control.sock")
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            return json.loads(await reader.readline())
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.fixture
def agent_env(pipeline, factories):
    return AgentEnv(pipeline, factories)
