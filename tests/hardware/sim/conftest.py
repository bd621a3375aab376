"""Fixtures: AT clients at the ports of a sandbox, and receivers of its callbacks."""

from __future__ import annotations

import asyncio
import os

import pytest
from aiohttp import web


class PortClient:
    """The simplest AT client: writes a line, waits for a text."""

    def __init__(self, path):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._heard = ""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._fd, self._read)

    def _read(self):
        self._heard += os.read(self._fd, 4096).decode()
        self._news.set()

    async def wait_for(self, text):
        """What came up to and with this text."""
        async with asyncio.timeout(10):
            while text not in self._heard:
                self._news.clear()
                await self._news.wait()
        end = self._heard.index(text) + len(text)
        heard, self._heard = self._heard[:end], self._heard[end:]
        return heard

    async def send_command(self, line, until="\r\nOK\r\n"):
        os.write(self._fd, line.encode() + b"\r")
        return await self.wait_for(until)

    def close(self):
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)


@pytest.fixture
async def open_port():
    """Return a function that opens a port; the clients are closed at the end."""
    clients = []

    def open_one(path):
        clients.append(PortClient(path))
        return clients[-1]

    yield open_one
    for client in clients:
        client.close()


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
