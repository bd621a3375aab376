"""A handler runner without processes: handlers take virtual time and end as their `HandlerPlan` says."""

import asyncio

from agent.handlers.results import Failed, Finished, HandlerDeclaration, RetryLater, TimedOut

PYTHON_FILE = "functions.py"
"""The only Python file of the simulated device; it declares `DECLARATIONS`."""
DECLARATIONS = [
    HandlerDeclaration("again", words=("again",), repeatable=True),
    HandlerDeclaration("blink", words=("blink",)),
    HandlerDeclaration("octets", prefixes=(b"\x01",)),
]
EXECUTABLE_NAMES = ("led", "pump", "act", "act.then")


def write_handler_files(directory):
    """Create a handlers' directory with these files; none of them is ever executed."""
    directory.mkdir(parents=True)
    for name in EXECUTABLE_NAMES:
        (directory / name).write_text("#!/bin/sh\n")
        (directory / name).chmod(0o755)
    (directory / PYTHON_FILE).write_text("")


class SimulatedRunner:
    """The `Runner` of one agent run. The world has the plans and the records of handlers."""

    def __init__(self, world, agent_run):
        self._world = world
        self._agent_run = agent_run
        self._stopped = asyncio.Event()

    async def load(self, file):
        return DECLARATIONS

    def activate(self, files):
        pass

    async def run(self, spec, command, timeout_s):
        return await self._execute(spec, command, timeout_s, "run")

    async def run_action(self, spec, action, command, timeout_s=30.0):
        return await self._execute(spec, command, timeout_s, "act")

    async def run_program(self, program):
        return Finished(None)

    async def close(self):
        self._stopped.set()

    async def _execute(self, entry, command, timeout_s, kind):
        if not self._agent_run.is_alive:
            return await self._agent_run.wait_forever()
        content = command.text if command.data is None else command.data
        seconds, does = self._world.start_handler_run(kind, entry, content, command.attempt)
        if does == "kill":
            self._world.call_later(seconds, self._agent_run.kill, "its handler killed it")
        limit = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout_at(min(limit, asyncio.get_running_loop().time() + seconds)):
                await self._stopped.wait()
                return Failed("the agent is stopping")
        except TimeoutError:
            pass
        if does == "stuck":
            await self._stopped.wait()
        if does == "hang" or seconds >= timeout_s or does == "kill":
            return TimedOut()
        match does:
            case "fail":
                return Failed("exit status 1")
            case "later":
                return RetryLater("not yet")
            case "then":
                return Finished(f"did {content}", "act.then")
            case "nothing":
                return Finished(None)
        return Finished(b"\x01" + content if isinstance(content, bytes) else f"did {content}")
