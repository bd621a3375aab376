"""Fixtures: receivers on loopback that record requests, and a sandbox with its REST API."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import aiohttp
import pytest

import pdu
from hardware.sim.callbacks.sender import CallbackRules
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
async def server(tmp_path):
    """A started sandbox with its REST API; its modules are attached."""
    sandbox = Sandbox(
        link_dir=tmp_path,
        clock=SandboxClock(lambda: START),
        rng=random.Random(1),
        timing=NetworkTiming(transit_s=0.0),
    )
    server = SandboxServer(sandbox, ("127.0.0.1", 0), callback_rules=CallbackRules(retry_delays_s=(0.01,)))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def wait_until(server):
    """Return a function that waits for a condition, which is checked at each event of the sandbox."""
    changed = asyncio.Event()
    server.sandbox.records.add_observer(lambda _sim, _event: changed.set())

    async def until(condition):
        async with asyncio.timeout(10):
            while not condition():
                await changed.wait()
                changed.clear()

    return until


@pytest.fixture
async def sandbox(server, wait_until):
    """The sandbox, with all modules attached."""
    sandbox = server.sandbox
    await wait_until(
        lambda: all(sandbox.network.is_reachable(sim.sim_card.imsi) for sim in sandbox.sims.values())
    )
    return sandbox


@pytest.fixture
async def http(server, sandbox):
    """Return a function that sends a request and returns status and JSON."""
    async with aiohttp.ClientSession() as session:

        async def call(method, path, form=None, **how):
            url = path if path.startswith("http") else server.url + path
            async with session.request(method, url, data=form, **how) as answer:
                return answer.status, await answer.json()

        yield call


@pytest.fixture
def send_from_sim(sandbox, wait_until):
    """Return a function that lets the module of a SIM send a text or octets."""
    originated = []
    sandbox.records.add_observer(lambda _sim, event: originated.append(event.kind == "originated"))

    async def send(name, number, content):
        module = sandbox.find_sim(name).module
        for part in pdu.segment(content, reference=1):
            submit = pdu.Submit(
                destination_address=pdu.Address.parse(number),
                user_data=part,
                data_coding_scheme=part.data_coding_scheme,
            )
            octets = pdu.encode(submit, sca=False).octets
            count = sum(originated)
            module.receive(b"AT+CMGF=0\r")
            module.receive(b"AT+CMGS=%d\r" % len(octets))
            module.receive(b"00" + octets.hex().encode() + b"\x1a")
            await wait_until(lambda count=count: sum(originated) > count)

    return send
