"""A module in a sandbox and the folder of its agent: configuration, handlers, journal."""

import asyncio
import os
import sqlite3
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.common.config import load_config
from agent.daemon.agent import Agent
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.sandbox import Sandbox

CRASH_AFTER_PROGRAM = Path(__file__).with_name("crash_after.py")
INSTALLED_COMMAND = Path(sys.executable).with_name("modem-agent")
"""The command as users have it."""


@dataclass
class SandboxEnv:
    """One SIM in the sandbox, the folder of its agent, and what happened there."""

    sandbox: Sandbox
    folder: Path
    service: str
    network_events: list = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self):
        return self.folder / "sim"

    @property
    def config(self):
        return self.folder / "agent.toml"

    def on_network_event(self, _sim, event):
        self.network_events.append(event)
        self.changed.set()

    def create_command(self, text, **parameters):
        """A Command from the service to the SIM; answers its SID."""
        key = "Payload" if self.service == "super-sim" else "Command"
        return self.sandbox.services[self.service].create({"Sim": "sim", key: text, **parameters}).sid

    def sent_bodies(self):
        """What has left the module, as texts in order."""
        return [event.body for event in self.network_events if event.kind is NetworkEventKind.ORIGINATED]

    def handler_log_lines(self):
        """The lines that the handlers wrote, one a run."""
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []

    async def wait_until(self, condition, timeout_s=10):
        """Wait for something that an event of the sandbox makes true."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def start_agent(self, program=None, **environment):
        """Start the agent as users do; `program` stands for the installed command."""
        return await asyncio.create_subprocess_exec(
            *(program or (INSTALLED_COMMAND,)),
            "run",
            "--config",
            self.config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )

    def stored_count(self):
        """How many messages are left in the module."""
        return sum(len(store) for store in self.sandbox.find_sim("sim").module.stores.values())

    async def wait_store_empty(self, timeout_s=5):
        """Wait for the last delete; nothing tells of it but the store itself."""
        async with asyncio.timeout(timeout_s):
            while self.stored_count():  # noqa: ASYNC110  (a store sends no event)
                await asyncio.sleep(0.01)

    def command_states(self):
        """The states of all Commands in the journal."""
        return [state for (state,) in self.query_journal("SELECT state FROM commands ORDER BY id")]

    def reply_states(self):
        """The states of all replies in the journal."""
        return [state for (state,) in self.query_journal("SELECT state FROM replies ORDER BY id")]

    def query_journal(self, query):
        """Rows of the journal, read-only; none before there are tables."""
        path = self.folder / "journal.db"
        if not path.exists():
            return []
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before the tables stood
            return []
        finally:
            connection.close()

    async def start_crashing_agent(self, crash_point="never", number=0):
        """Start the agent as a process; it is killed after its Nth commit or write."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            CRASH_AFTER_PROGRAM,
            self.config,
            crash_point,
            str(number),
            stderr=asyncio.subprocess.PIPE,
        )

    @asynccontextmanager
    async def run_in_process(self):
        """An agent in this process, from its first session to its stop; yields its steps."""
        steps = []
        session = asyncio.Event()

        def tell(step):
            steps.append(step)
            self.changed.set()
            if step.kind == "session":
                session.set()

        agent = Agent(load_config(self.config), tell)
        task = asyncio.create_task(agent.run())
        async with asyncio.timeout(10):
            await session.wait()
        try:
            yield steps
        finally:
            agent.stop()
            async with asyncio.timeout(6):
                await task

    async def wait_idle(self, process, commands, timeout_s=20):
        """Read the log until so many Commands have ended and nothing is to be sent, or the agent has."""
        async with asyncio.timeout(timeout_s):
            async for _ in process.stderr:
                done = self.command_states()
                if (
                    len(done) >= commands
                    and not {"received", "running"} & set(done)
                    and not {"queued", "sending"} & set(self.reply_states())
                ):
                    return

    def write_handler(self, name, text):
        """An executable handler, or a Python file."""
        path = self.folder / "handlers" / name
        path.write_text(text if name.endswith(".py") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o644 if name.endswith(".py") else 0o755)
