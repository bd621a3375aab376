"""The real agent, killed with SIGKILL after its Nth commit, or its Nth write to the module.

python crashing.py agent.toml commit 3      after the third commit has returned
python crashing.py agent.toml write 7       after the seventh write
python crashing.py agent.toml never 0       not at all: until SIGTERM
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from agent.app import Agent, Seams
from agent.at.opening import opener
from agent.config import load
from agent.journal.journal import Journal

config = load(Path(sys.argv[1]))
kind, left = sys.argv[2], int(sys.argv[3])


def count(what):
    """One more of them has happened."""
    global left  # noqa: PLW0603  (a script that counts down to its own end)
    if what == kind:
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


transaction = Journal.transaction


def counted(self):
    inner = transaction(self)

    class Counted:
        def __enter__(self):
            return inner.__enter__()

        def __exit__(self, *error):
            result = inner.__exit__(*error)
            if error[0] is None:
                count("commit")
            return result

    return Counted()


Journal.transaction = counted


def counting(open_port):
    async def opened(*arguments):
        wire = await open_port(*arguments)
        write = wire.write

        def counted_write(data):
            write(data)
            count("write")

        return Counted(wire, counted_write)

    return opened


class Counted:
    """A wire that notices each write; everything else is the wire's own."""

    def __init__(self, wire, write):
        self._wire = wire
        self.write = write

    def __getattr__(self, name):
        return getattr(self._wire, name)


async def main():
    agent = Agent(
        config,
        lambda step: print(step, file=sys.stderr, flush=True),
        Seams(opener=counting(opener(config.modem.port, config.modem.baud))),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    await agent.run()


asyncio.run(main())
