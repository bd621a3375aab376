"""The environment of the demo: a sandbox with a SIM for each service and an agent on each module.

All of it runs in one process, but no step is left out: the agents send AT commands over pseudo-terminals,
keep their journals on disk, run handlers in separate processes, and Commands are created and listed through
the REST API.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp

from agent.common.config import (
    Config,
    ControlConfig,
    HandlersConfig,
    JournalConfig,
    ModemConfig,
    ServiceConfig,
)
from agent.common.events import Event, EventKind
from agent.daemon.agent import Agent
from agent.daemon.event_stream import event_to_json
from hardware.sim.console.agent_reports import AgentReporter
from hardware.sim.network.events import NetworkEvent
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock
from hardware.sim.sandbox_sim import SandboxSim, SimSpec

SIMS = (
    ("meter-1", "super-sim"),
    ("meter-2", "programmable-wireless"),
    ("meter-3", "super-sim-beta"),
)
READY_TIMEOUT_S = 15.0
"""Time for all agents to start their first session."""

HANDLER_SOURCE = '''"""Handlers of the demo; on a device they are in /etc/modem-agent/handlers."""

from agent import Command, handler


@handler("led")
def led(command: Command) -> str:
    return f"led is {command.words[1]}"


@handler(binary_prefix=bytes([1]))
def registers(command: Command) -> bytes:
    return bytes([1, len(command.data)]) + command.data[::-1]


@handler("pump")
def pump(command: Command) -> str:
    raise RuntimeError("the pump does not answer")
'''

DemoObserver = Callable[[str, "Event | NetworkEvent"], None]
"""Receives the name of a SIM and an event of its agent, or of the network and service."""


@dataclass(slots=True)
class DemoEnvironment:
    """The sandbox, an HTTP client for its REST API and the folder of the demo, for the scenarios."""

    server: SandboxServer
    http: aiohttp.ClientSession
    folder: Path

    async def create_command(self, collection: str, **parameters: str) -> dict[str, Any]:
        """Create a Command by POST and return the resource. Raises aiohttp.ClientError."""
        async with self.http.post(f"{self.server.url}{collection}", data=parameters) as response:
            resource: dict[str, Any] = await response.json()
            response.raise_for_status()
            return resource

    async def list_replies(self, collection: str, sim: str) -> list[dict[str, Any]]:
        """Return the messages that the service lists from a SIM, newest first. Raises aiohttp.ClientError."""
        parameters = {"Sim": sim, "Direction": "from_sim"}
        async with self.http.get(f"{self.server.url}{collection}", params=parameters) as response:
            response.raise_for_status()
            page = await response.json()
            rows: list[dict[str, Any]] = page[page["meta"]["key"]]
            return rows

    def get_sim(self, name: str) -> SandboxSim:
        """Return the SIM of that name."""
        return self.sandbox.find_sim(name)

    @property
    def sandbox(self) -> Sandbox:
        """The simulated modules, network and services."""
        return self.server.sandbox


@asynccontextmanager
async def run_environment(
    folder: Path, listen: tuple[str, int], observe: DemoObserver
) -> AsyncIterator[DemoEnvironment]:
    """Start the sandbox and one agent for each of `SIMS` in `folder`, and stop them at the end.

    Raises TimeoutError if an agent has no session within `READY_TIMEOUT_S`.
    """
    handlers = folder / "handlers"
    handlers.mkdir()
    (handlers / "demo.py").write_text(HANDLER_SOURCE)
    ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name, _ in SIMS}

    reporters: dict[str, AgentReporter] = {}

    def on_agent_event(name: str, event: Event) -> None:
        reporters[name].report(event_to_json(event))
        if event.kind == EventKind.SESSION:
            ready[name].set()
        observe(name, event)

    async with AsyncExitStack() as stack:
        sandbox = Sandbox(
            sims=[SimSpec(service=service, unique_name=name) for name, service in SIMS],
            link_dir=folder,
            clock=SandboxClock(lambda: datetime.now(UTC)),
            rng=random.Random(),  # noqa: S311  (the SIDs of a simulation are not secret)
        )
        sandbox.records.add_observer(lambda sim, event: observe(sim.unique_name if sim else "", event))
        server = SandboxServer(sandbox, listen)
        await server.start()
        stack.push_async_callback(server.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for name, _ in SIMS:
            reporters[name] = server.console.add_agent(name)
            reporters[name].set_state(sandbox.find_sim(name), "in the demo", is_connected=True)
        agents = [
            Agent(_make_config(folder, name, service), partial(on_agent_event, name))
            for name, service in SIMS
        ]
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for agent in agents:
            group.create_task(agent.run())
            stack.callback(agent.stop)
        async with asyncio.timeout(READY_TIMEOUT_S):
            for event in ready.values():
                await event.wait()
        yield DemoEnvironment(server, http, folder)


def _make_config(folder: Path, name: str, service: str) -> Config:
    return Config(
        modem=ModemConfig(port=str(folder / name)),
        service=ServiceConfig(name=service),  # type: ignore[arg-type]  # one of SIMS
        handlers=HandlersConfig(directory=folder / "handlers"),
        journal=JournalConfig(path=folder / f"{name}.db", allow_volatile=True),
        control=ControlConfig(socket=folder / f"{name}.sock"),
    )
