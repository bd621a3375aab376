"""Handlers that take virtual time and do what was planned, in place of processes."""

import asyncio

from agent.handlers.outcome import Declared, Failed, Finished, Later, TimedOut

PYTHON = "house.py"
"""The one Python file of the simulated device; what it declares stands in `DECLARED`."""
DECLARED = [
    Declared("again", words=("again",), repeatable=True),
    Declared("blink", words=("blink",)),
    Declared("octets", prefixes=(b"\x01",)),
]
EXECUTABLES = ("led", "pump", "act", "act.then")


def furnish(directory):
    """A handlers' directory with these files; none of them is ever started."""
    directory.mkdir(parents=True)
    for name in EXECUTABLES:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    (directory / PYTHON).write_text("")


class SimulatedRunner:
    """The `Runner` of one life of the agent. What handlers do stands in the world, which outlives it."""

    def __init__(self, world, life):
        self._world = world
        self._life = life
        self._ended = asyncio.Event()

    async def declare(self, file):
        return DECLARED

    async def run(self, entry, command, timeout_s):
        return await self._do(entry, command, timeout_s, "run")

    async def act(self, entry, action, command, timeout_s=30.0):
        return await self._do(entry, command, timeout_s, "act")

    async def close(self):
        self._ended.set()

    async def _do(self, entry, command, timeout_s, what):
        if not self._life.alive:
            return await self._life.silence()
        content = command.text if command.data is None else command.data
        seconds, does = self._world.handled(what, entry, content, command.attempt)
        if does == "kill":
            self._world.call_later(seconds, self._life.kill, "its handler killed it")
        limit = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(min(limit, asyncio.get_running_loop().time() + seconds)):
                await self._ended.wait()
                return Failed("the agent is stopping")
        except TimeoutError:
            pass
        if does == "stuck":
            await self._ended.wait()
        if does == "hang" or seconds >= timeout_s or does == "kill":
            return TimedOut()
        match does:
            case "fail":
                return Failed("exit status 1")
            case "later":
                return Later("not yet")
            case "then":
                return Finished(f"did {content}", "act.then")
            case "nothing":
                return Finished(None)
        return Finished(b"\x01" + content if isinstance(content, bytes) else f"did {content}")
