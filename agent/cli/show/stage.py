"""The stage: a sandbox with a SIM for each service, and an agent on each module; all in one process.

Nothing is shortened: the agents talk AT commands over pseudo-terminals, keep their journals on disk, run
handlers in processes of their own, and Commands are created and listed through the REST API.
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

from agent.app import Agent
from agent.config import Config, Control, Handlers, Journal, Modem, Service
from agent.story import Step
from hardware.sim.network.events import Event
from hardware.sim.sandbox import Sandbox, SandboxSim, SimSpec

SIMS = (
    ("meter-1", "super-sim"),
    ("meter-2", "programmable-wireless"),
    ("meter-3", "super-sim-beta"),
)
READY_S = 15.0

HANDLERS = '''"""Handlers of the demo; on a device they stand in /etc/modem-agent/handlers."""

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

Told = Callable[[str, "Step | Event"], None]
"""Takes the name of a SIM and what happened there."""


@dataclass(slots=True)
class Stage:
    """Everything that a tour needs."""

    sandbox: Sandbox
    http: aiohttp.ClientSession
    folder: Path

    async def create(self, collection: str, **parameters: str) -> dict[str, Any]:
        """POST a Command; returns the resource."""
        async with self.http.post(f"{self.sandbox.url}{collection}", data=parameters) as response:
            resource: dict[str, Any] = await response.json()
            response.raise_for_status()
            return resource

    async def answers(self, collection: str, sim: str) -> list[dict[str, Any]]:
        """GET the list of what a SIM has sent, newest first."""
        parameters = {"Sim": sim, "Direction": "from_sim"}
        async with self.http.get(f"{self.sandbox.url}{collection}", params=parameters) as response:
            response.raise_for_status()
            page = await response.json()
            rows: list[dict[str, Any]] = page[page["meta"]["key"]]
            return rows

    def sim(self, name: str) -> SandboxSim:
        """The SIM of that name."""
        return self.sandbox.sim(name)


@asynccontextmanager
async def stage(folder: Path, listen: tuple[str, int], told: Told) -> AsyncIterator[Stage]:
    """Set everything up in a folder of its own, and take it all away again."""
    handlers = folder / "handlers"
    handlers.mkdir()
    (handlers / "demo.py").write_text(HANDLERS)
    ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name, _ in SIMS}

    def step_told(name: str, step: Step) -> None:
        if step.what == "session":
            ready[name].set()
        told(name, step)

    async with AsyncExitStack() as stack:
        sandbox = Sandbox(
            [SimSpec(service=service, unique_name=name) for name, service in SIMS],
            listen,
            link_dir=folder,
            wall=lambda: datetime.now(UTC),
            rng=random.Random(),  # noqa: S311  (SIDs of a simulation are no secrets)
            observer=lambda sim, event: told(sim.unique_name, event),
        )
        await sandbox.start()
        stack.push_async_callback(sandbox.stop)
        http = await stack.enter_async_context(aiohttp.ClientSession())
        agents = [Agent(_config(folder, name, service), partial(step_told, name)) for name, service in SIMS]
        group = await stack.enter_async_context(asyncio.TaskGroup())
        for agent in agents:
            group.create_task(agent.run())
            stack.callback(agent.stop)
        async with asyncio.timeout(READY_S):
            for event in ready.values():
                await event.wait()
        yield Stage(sandbox, http, folder)


def _config(folder: Path, name: str, service: str) -> Config:
    return Config(
        modem=Modem(port=str(folder / name)),
        service=Service(name=service),  # type: ignore[arg-type]  # one of SIMS
        handlers=Handlers(directory=folder / "handlers"),
        journal=Journal(path=folder / f"{name}.db"),
        control=Control(socket=folder / f"{name}.sock"),
    )
