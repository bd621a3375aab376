"""A module in a sandbox and the folder of its agent: configuration, handlers, journal."""

import asyncio
import os
import sqlite3
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent.app import Agent
from agent.config import load
from hardware.sim.network.events import EventKind
from hardware.sim.sandbox import Sandbox

CRASHING = Path(__file__).with_name("crashing.py")
INSTALLED = Path(sys.executable).with_name("modem-agent")
"""The command as users have it."""


@dataclass
class Field:
    """One SIM in the sandbox, the folder of its agent, and what happened there."""

    sandbox: Sandbox
    folder: Path
    service: str
    happened: list = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self):
        return self.folder / "sim"

    @property
    def config(self):
        return self.folder / "agent.toml"

    def observe(self, _sim, event):
        self.happened.append(event)
        self.changed.set()

    def create(self, text, **parameters):
        """A Command from the service to the SIM; answers its SID."""
        key = "Payload" if self.service == "super-sim" else "Command"
        return self.sandbox.services[self.service].create({"Sim": "sim", key: text, **parameters}).sid

    def answers(self):
        """What has left the module, as texts in order."""
        return [event.body for event in self.happened if event.kind is EventKind.ORIGINATED]

    def runs(self):
        """The lines that the handlers wrote, one a run."""
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []

    async def until(self, true, seconds=10):
        """Wait for something that an event of the sandbox makes true."""
        async with asyncio.timeout(seconds):
            while not true():
                self.changed.clear()
                await self.changed.wait()

    async def run(self, program=None, **environment):
        """Start the agent as users do; `program` stands for the installed command."""
        return await asyncio.create_subprocess_exec(
            *(program or (INSTALLED,)),
            "run",
            "--config",
            self.config,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )

    def stored(self):
        """How many messages are left in the module."""
        return sum(len(store) for store in self.sandbox.sim("sim").module.stores.values())

    async def emptied(self, seconds=5):
        """Wait for the last delete; nothing tells of it but the store itself."""
        async with asyncio.timeout(seconds):
            while self.stored():  # noqa: ASYNC110  (a store sends no event)
                await asyncio.sleep(0.01)

    def states(self):
        """The states of all Commands in the journal."""
        return [state for (state,) in self.ask("SELECT state FROM commands ORDER BY id")]

    def replies(self):
        """The states of all replies in the journal."""
        return [state for (state,) in self.ask("SELECT state FROM replies ORDER BY id")]

    def ask(self, query):
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

    async def agent(self, kind="never", number=0):
        """Start the agent as a process; it is killed after its Nth commit or write."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            CRASHING,
            self.config,
            kind,
            str(number),
            stderr=asyncio.subprocess.PIPE,
        )

    @asynccontextmanager
    async def living(self):
        """An agent in this process, from its first session to its stop; yields its steps."""
        steps = []
        session = asyncio.Event()

        def tell(step):
            steps.append(step)
            self.changed.set()
            if step.what == "session":
                session.set()

        agent = Agent(load(self.config), tell)
        task = asyncio.create_task(agent.run())
        async with asyncio.timeout(10):
            await session.wait()
        try:
            yield steps
        finally:
            agent.stop()
            async with asyncio.timeout(6):
                await task

    async def idle(self, process, commands, seconds=20):
        """Read the log until so many Commands have ended and nothing is to be sent, or the agent has."""
        async with asyncio.timeout(seconds):
            async for _ in process.stderr:
                done = self.states()
                if (
                    len(done) >= commands
                    and not {"received", "running"} & set(done)
                    and not {"queued", "sending"} & set(self.replies())
                ):
                    return

    def handler(self, name, text):
        """An executable handler, or a Python file."""
        path = self.folder / "handlers" / name
        path.write_text(text if name.endswith(".py") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o644 if name.endswith(".py") else 0o755)
