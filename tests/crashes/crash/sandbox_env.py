"""A module in a sandbox and the folder of its agent: configuration, handlers, journal."""

import asyncio
import os
import random
import sqlite3
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.common.config import load_config
from agent.daemon.agent import Agent, Dependencies
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SimSpec

CRASH_AFTER_PROGRAM = Path(__file__).with_name("crash_after.py")
INSTALLED_COMMAND = Path(sys.executable).with_name("modem-agent")
"""The installed command `modem-agent`."""


def build_sandbox_env(folder, service="programmable-wireless", *, seed=7, sim=(), **sandbox_options):
    """Create the folder of an agent and a sandbox, not started, with one SIM named `sim`.

    `sim` are further fields of its `SimSpec`. The agent has no handlers and no configuration yet.
    """
    (folder / "handlers").mkdir(mode=0o755)
    sandbox = Sandbox(
        sims=[SimSpec(service=service, unique_name="sim", **dict(sim))],
        link_dir=folder,
        clock=SandboxClock(lambda: datetime.now(UTC)),
        rng=random.Random(seed),
        **sandbox_options,
    )
    env = SandboxEnv(sandbox, folder, service)
    sandbox.records.add_observer(env.on_network_event)
    return env


@dataclass
class SandboxEnv:
    """One SIM in the sandbox, the folder of its agent, and the events of the network."""

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
        """Create a Command to the SIM and return its SID."""
        key = "Payload" if self.service == "super-sim" else "Command"
        return self.sandbox.services[self.service].create({"Sim": "sim", key: text, **parameters}).sid

    def sent_bodies(self):
        """Return the bodies of the messages that the network received from the module, in order."""
        return [event.body for event in self.network_events if event.kind is NetworkEventKind.ORIGINATED]

    def handler_log_lines(self):
        """Return the lines that the handlers wrote, one for each run."""
        path = self.folder / "runs"
        return path.read_text().splitlines() if path.exists() else []

    async def wait_until(self, condition, timeout_s=10):
        """Wait until the condition holds. It is checked after each event of the sandbox."""
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def start_agent(self, program=None, **environment):
        """Start the installed command, or `program` instead of it."""
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
        """Return the number of messages in the stores of the module."""
        return sum(len(store) for store in self.sandbox.find_sim("sim").module.stores.values())

    async def wait_store_empty(self, timeout_s=5):
        """Wait until all messages are deleted from the module."""
        async with asyncio.timeout(timeout_s):
            while self.stored_count():  # noqa: ASYNC110  (a store sends no event)
                await asyncio.sleep(0.01)

    def command_states(self):
        """Return the states of all Commands in the journal."""
        return [state for (state,) in self.query_journal("SELECT state FROM commands ORDER BY id")]

    def reply_states(self):
        """Return the states of all replies in the journal."""
        return [state for (state,) in self.query_journal("SELECT state FROM replies ORDER BY id")]

    def query_journal(self, query):
        """Return the rows of a query; none if the journal has no tables yet."""
        path = self.folder / "journal.db"
        if not path.exists():
            return []
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before the tables existed
            return []
        finally:
            connection.close()

    async def start_crashing_agent(self, crash_point="never", number=0):
        """Start an agent that is killed after its Nth commit or write; see `crash_after.py`."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            CRASH_AFTER_PROGRAM,
            self.config,
            crash_point,
            str(number),
            stderr=asyncio.subprocess.PIPE,
        )

    @asynccontextmanager
    async def run_in_process(self, dependencies=None, on_event=lambda event: None):
        """Run an agent in this process; the context begins with its first session and yields its events."""
        events = []
        session = asyncio.Event()

        def emit(event):
            events.append(event)
            on_event(event)
            self.changed.set()
            if event.kind == "session":
                session.set()

        agent = Agent(load_config(self.config), emit, dependencies or Dependencies())
        task = asyncio.create_task(agent.run())
        async with asyncio.timeout(10):
            await session.wait()
        try:
            yield events
        finally:
            agent.stop()
            async with asyncio.timeout(6):
                await task

    async def wait_idle(self, process, commands, timeout_s=20):
        """Read the log until this many Commands have ended and no reply waits, or until the agent has
        ended."""
        async with asyncio.timeout(timeout_s):
            async for _ in process.stderr:
                states = self.command_states()
                if (
                    len(states) >= commands
                    and not {"received", "running"} & set(states)
                    and not {"queued", "sending"} & set(self.reply_states())
                ):
                    return

    def write_handler(self, name, text):
        """Write an executable handler, or a Python file if the name ends in .py."""
        path = self.folder / "handlers" / name
        path.write_text(text if name.endswith(".py") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o644 if name.endswith(".py") else 0o755)
