"""Fixtures: receivers on loopback that record requests, and a sandbox with its REST API."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp import web

import pdu
from hardware.sim.callbacks.sender import CallbackRules
from hardware.sim.network.subscriber_queue import NetworkTiming
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox

START = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Receiver:
    """An HTTP server on a free port; answers with the next of `answers`, then with 204.

    An answer is a status, a `web.Response`, or a coroutine function that gets the request.
    """

    def __init__(self):
        self.answers = []
        self.requests = []
        self._arrived = asyncio.Event()

    async def start(self, port=0):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        # Handlers that wait are given up at the end of a test.
        self._runner = web.AppRunner(app, shutdown_timeout=0.05)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/hook"

    async def stop(self):
        await self._runner.cleanup()

    async def _handle(self, request):
        form = dict(await request.post()) if request.method == "POST" else {}
        self.requests.append(
            {
                "method": request.method,
                "url": str(request.url),
                "path": request.raw_path,
                "parameters": form if request.method == "POST" else dict(request.query),
                "form": form,
                "headers": request.headers.copy(),
                "body": await request.read(),
            }
        )
        self._arrived.set()
        answer = self.answers.pop(0) if self.answers else 204
        if isinstance(answer, int):
            return web.Response(status=answer)
        return answer if isinstance(answer, web.Response) else await answer(request)

    async def wait_for(self, count):
        """Wait until `count` requests have arrived, and return all."""
        async with asyncio.timeout(10):
            while len(self.requests) < count:
                self._arrived.clear()
                await self._arrived.wait()
        return self.requests

    @property
    def statuses(self):
        return [request["parameters"]["Status"] for request in self.requests]


@pytest.fixture
async def receiver():
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def server(tmp_path):
    """A started sandbox with its REST API; its modules are attached."""
    sandbox = Sandbox(
        link_dir=tmp_path, wall_clock=lambda: START, rng=random.Random(1), timing=NetworkTiming(transit_s=0.0)
    )
    server = SandboxServer(sandbox, ("127.0.0.1", 0), callback_rules=CallbackRules(retry_delays_s=(0.01,)))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def wait_until(server):
    """Return a function that waits for a condition, which is checked at each event of the sandbox."""
    changed = asyncio.Event()
    server.sandbox.add_observer(lambda _sim, _event: changed.set())

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
    sandbox.add_observer(lambda _sim, event: originated.append(event.kind == "originated"))

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
