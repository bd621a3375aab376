"""Fixtures: a sandbox with its REST API on a free port, and an HTTP client for it."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock

FAST_TIMING = NetworkTiming(transit_s=0.0, alert_delay_s=0.0)


class FakeWallClock:
    """A wall clock that changes only in `advance`, so that dates can be compared."""

    def __init__(self):
        self.now = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self):
        return self.now

    def advance(self, **how):
        self.now += timedelta(**how)


@pytest.fixture
def wall_clock():
    return FakeWallClock()


@pytest.fixture
async def server(tmp_path, wall_clock):
    """A started sandbox with its REST API."""
    clock = SandboxClock(wall_clock)
    sandbox = Sandbox(link_dir=tmp_path, clock=clock, rng=random.Random(1), timing=FAST_TIMING)
    server = SandboxServer(
        sandbox, ("127.0.0.1", 0), product_ports={"/supersim": 0, "/wireless": 0}, allowed_hosts=["pi.local"]
    )
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def sandbox(server):
    return server.sandbox


@pytest.fixture
def wait_until(sandbox):
    """Return a function that waits for a condition, which is checked at each network event."""
    changed = asyncio.Event()
    sandbox.records.add_observer(lambda _sim, _event: changed.set())

    async def until(condition):
        async with asyncio.timeout(10):
            while not condition():
                await changed.wait()
                changed.clear()

    return until


class HttpClient:
    """Sends requests to the sandbox; returns status and JSON, and keeps headers and text."""

    def __init__(self, session, root):
        self._session = session
        self.root = root

    async def __call__(self, method, path, **how):
        url = path if path.startswith("http") else self.root + path
        async with self._session.request(method, url, **how) as answer:
            self.headers = answer.headers
            text = await answer.text()
            self.text = text
            return answer.status, await answer.json() if "json" in answer.content_type else text

    async def post(self, path, **form):
        return await self("POST", path, data=form)

    async def get(self, path, **query):
        return await self("GET", path, params=query)


@pytest.fixture
async def http(server):
    async with aiohttp.ClientSession() as session:
        yield HttpClient(session, server.url)
