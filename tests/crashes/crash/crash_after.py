"""Runs the agent and kills it with SIGKILL after its Nth commit or its Nth write to the module.

python crash_after.py agent.toml commit 3      after the third commit has returned
python crash_after.py agent.toml write 7       after the seventh write
python crash_after.py agent.toml never 0       never; it runs until SIGTERM
"""

import asyncio
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

from agent.at.transport.open import make_opener
from agent.common.config import load_config
from agent.daemon.agent import Agent, Dependencies
from agent.journal.journal import Journal

agent_config = load_config(Path(sys.argv[1]))
kind, remaining = sys.argv[2], int(sys.argv[3])


def count_event(event):
    """Count an event, and kill this process at the last one."""
    global remaining  # noqa: PLW0603  (a script with one counter)
    if event == kind:
        remaining -= 1
        if remaining == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class CountingJournal(Journal):
    """A journal that counts its commits."""

    @contextmanager
    def transaction(self):
        with super().transaction() as now:
            yield now
        count_event("commit")


def count_writes(open_port):
    async def opened(*arguments):
        transport = await open_port(*arguments)
        write = transport.write

        def counted_write(data):
            write(data)
            count_event("write")

        return CountingTransport(transport, counted_write)

    return opened


class CountingTransport:
    """A transport that counts its writes."""

    def __init__(self, transport, write):
        self._transport = transport
        self.write = write

    def __getattr__(self, name):
        return getattr(self._transport, name)


async def main():
    agent = Agent(
        agent_config,
        lambda event: print(event, file=sys.stderr, flush=True),
        Dependencies(
            opener=count_writes(make_opener(agent_config.modem.port, agent_config.modem.baud)),
            open_journal=CountingJournal,
        ),
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, agent.stop)
    await agent.run()


asyncio.run(main())
