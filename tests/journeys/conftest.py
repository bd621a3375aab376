"""A sandbox on real pseudo-terminals, and agents that live, are killed and start again on one journal."""

import asyncio
import random
import sqlite3
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.app import Agent
from agent.config import load
from hardware.sim.network.events import EventKind
from hardware.sim.sandbox import Sandbox, SimSpec

HERE = Path(__file__).parent
SERVICE = {
    "super-sim": "/supersim/v1/SmsCommands",
    "programmable-wireless": "/wireless/v1/Commands",
    "super-sim-beta": "/supersim/v1/Commands",
}


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
        return self._ask("SELECT state FROM commands ORDER BY id")

    def replies(self):
        """The states of all replies in the journal."""
        return self._ask("SELECT state FROM replies ORDER BY id")

    def _ask(self, query):
        path = self.folder / "journal.db"
        if not path.exists():
            return []
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return [row[0] for row in connection.execute(query)]
        except sqlite3.OperationalError:  # killed before the tables stood
            return []
        finally:
            connection.close()

    async def agent(self, kind="never", number=0):
        """Start the agent as a process; it is killed after its Nth commit or write."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            HERE / "crashing.py",
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


@pytest.fixture
def message_format():
    """The format in which agent and module speak of messages; a test may name another."""
    return "pdu"


@pytest.fixture(params=["programmable-wireless"])
async def house(request, tmp_path, message_format):
    """A module in a sandbox, and an agent's folder with a handler `count` that notes each of its runs."""
    service = request.param
    (tmp_path / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        [SimSpec(service=service, unique_name="sim")],
        ("127.0.0.1", 0),
        link_dir=tmp_path,
        wall=lambda: datetime.now(UTC),
        rng=random.Random(7),
    )
    house = Field(sandbox, tmp_path, service)
    sandbox.observe(house.observe)
    house.handler("count", f'echo "$COMMAND_SID $1" >> {tmp_path}/runs; echo "counted $1"')
    house.config.write_text(
        f'[modem]\nport = "{house.port}"\nmessage_format = "{message_format}"\n'
        f'[service]\nname = "{service}"\nmax_per_minute = 1000\n'
        '[handlers]\ndirectory = "handlers"\ntimeout_s = 2\n[journal]\npath = "journal.db"\n'
        '[control]\nsocket = "control.sock"\n'
    )
    await sandbox.start()
    yield house
    await sandbox.stop()
