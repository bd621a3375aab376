"""Fixtures: a sandbox with its console."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import pytest

from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock


class PageModel:
    """What a page knows that has read the messages of the console."""

    def __init__(self, console, last_id=""):
        self._messages = console.follow(last_id)
        self.last_id = last_id
        self.resets = 0
        self.forget()

    def forget(self):
        self.sims, self.commands, self.callbacks, self.agents = {}, {}, {}, {}
        self.steps, self.answers, self.port = [], {}, []

    async def read_until(self, condition):
        """Read messages until `condition(self)` is true."""
        async with asyncio.timeout(10):
            while not condition(self):
                self.last_id, message = await anext(self._messages)
                self.apply(message)

    def apply(self, message):
        if message.get("reset"):
            self.resets += 1
            self.forget()
        self.sims.update({row["name"]: row for row in message.get("sims", ())})
        self.agents.update({row["name"]: row for row in message.get("agents", ())})
        self.commands.update({row["sid"]: row for row in message.get("commands", ())})
        self.callbacks.update({row["callback"]: row for row in message.get("callbacks", ())})
        self.steps += message.get("steps", ())
        self.answers.update(message.get("answers", ()))
        self.port += message.get("port", ())

    def path(self, sid):
        """Return stage and title of each step in the path of a Command."""
        return [(step["stage"], step["title"]) for step in self.steps if step["sid"] == sid]


@pytest.fixture
async def server(tmp_path):
    """A started sandbox with its REST API."""
    sandbox = Sandbox(
        link_dir=tmp_path,
        clock=SandboxClock(lambda: datetime.now(UTC)),
        rng=random.Random(1),
        timing=NetworkTiming(transit_s=0.0, alert_delay_s=0.0),
    )
    server = SandboxServer(sandbox, ("127.0.0.1", 0))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def sandbox(server):
    return server.sandbox


@pytest.fixture
def open_page(server):
    """Return a function that opens a page; its argument is the id of the last message that it has read."""
    return lambda last_id="": PageModel(server.console, last_id)


@pytest.fixture
def create(sandbox):
    """Return a function that creates a Command and returns its SID."""

    def create(body, service="super-sim", **parameters):
        offered = sandbox.services[service]
        parameters = {"Sim": service, offered.product.body_parameter: body, **parameters}
        return offered.create(parameters).sid

    return create


@pytest.fixture
def send_from_sim(sandbox):
    """Return a function with which the module of a SIM sends a text, by AT commands."""

    def send(text, sim="super-sim"):
        module = sandbox.find_sim(sim).module
        module.receive(b'AT+CMGF=1;+CSCS="IRA"\r')
        module.receive(f'AT+CMGS="{sandbox.find_sim(sim).service.product.short_code}"\r'.encode())
        module.receive(text.encode() + b"\x1a")

    return send
