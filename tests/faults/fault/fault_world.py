"""The whole agent in virtual time, the simulated module, and an opponent on the line between them.

async with Scene(tmp_path, mode) as scene:
    await scene.begin()
    scene.arrive(PLAIN_SID_START)
    await scene.passes(10)
    assert scene.carried_out == ["led on"]
"""

import itertools
import sqlite3
from contextlib import closing
from dataclasses import replace

import pdu
from agent.handlers.results import HandlerDeclaration
from fault.catalogue import split_pdu
from fault.line_interceptor import LineInterceptor
from hardware.sim.module.stores import MessageStatus, StoredTpdu
from soak import simulated_runner
from soak.world import World

SERVICE_CENTRE = pdu.Address.parse("+15550001234")
"""Of all fixtures."""

STARTUP_S = 20
"""In this time a session has begun and the stores have been looked through."""


class FaultWorld(World):
    """A World whose service is the one of the fixtures (000), with an opponent on the line.

    Besides the World's handlers there is a default one: every Command has somebody who carries it out and
    answers `did …`.
    """

    def __init__(
        self, folder, mode="pdu", *, default_handler=True, executables=(), dependencies=None, **more
    ):
        """`seams` are fields of `agent.daemon.agent.Seams` beyond those of the World, such as `pin` and `power`."""
        super().__init__(folder, message_format=mode, **{"service": "super-sim"} | more)
        self.interceptor = LineInterceptor(self)
        self.dependencies = dependencies or {}
        self._references = itertools.count(5000)
        for name in executables:
            (self.handler_directory / name).write_text("#!/bin/sh\n")
            (self.handler_directory / name).chmod(0o755)
        if default_handler:
            self.make_runner = lambda life: _RunnerWithDefault(self, life)

    async def start_and_settle(self, seconds=STARTUP_S, **tables):
        """Start the agent and let it settle."""
        life = self.start(**tables)
        await self.advance(seconds)
        return life

    def start(self, tables=None):
        life = super().start(tables)
        life.agent._dependencies = replace(life.agent._dependencies, **self.dependencies)
        return life

    # Messages

    def store_pdu(self, index, message, status=0, store="ME"):
        """Put a `<pdu>` into a slot without a word: 0 unread, 1 read, 2 unsent, 3 sent."""
        place = index - self.module.profile.first_index
        self.module.stores[store].replace(
            place, StoredTpdu(MessageStatus(status), SERVICE_CENTRE, split_pdu(message)[0])
        )

    def deliver_pdu(self, message):
        """A `<pdu>` comes over the air: stored and announced, or handed over, as the module is set."""
        self.module.deliver(next(self._references), SERVICE_CENTRE, split_pdu(message)[0])

    def stored_indices(self, store="ME"):
        """Indices of the messages that a store holds."""
        return [slot + self.module.profile.first_index for slot, _ in self.module.stores[store]]

    @property
    def modem(self):
        """The agent's modem, while there is a session."""
        return self.current_run.agent.components.supervisor.connection.session.modem

    # What came of it

    @property
    def executed(self):
        """What handlers were begun with, oldest first."""
        return [run.content for run in self.handler_runs]

    def query_journal(self, query, *values):
        """Rows of the journal of the life that lasts, or of the next one."""
        folder = (
            self.current_run.folder if self.current_run and self.current_run.is_alive else self.journal_folder
        )
        with closing(sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def replies(self):
        """(state, text) of each reply in the journal."""
        return self.query_journal("SELECT state, text FROM replies ORDER BY id")

    def log_lines(self, min_severity=0):
        """The log lines of that weight and above (`agent.common.events.Weight`)."""
        return [str(step) for _, _, step in self.events if step.severity >= min_severity]


class _RunnerWithDefault(simulated_runner.SimulatedRunner):
    """With a default handler."""

    async def load(self, file):
        return [*await super().load(file), HandlerDeclaration("anything", default=True)]


def make_pdu(text, *, sender="000", timestamp="26/11/21,22:30:00+00", **fields):
    """A `<pdu>` of the service centre of the fixtures with another text."""
    deliver = pdu.Deliver(
        originating_address=pdu.Address.parse(sender),
        service_centre_timestamp=make_timestamp(timestamp),
        user_data=pdu.segment(text)[0],
        **fields,
    )
    return "07915155001032F4" + pdu.encode(deliver, sca=False).hex


def make_timestamp(text):
    """A service centre time stamp as the module shows it."""
    digits = [text[at : at + 2] for at in (0, 3, 6, 9, 12, 15)]
    quarters = text[-2:][::-1]
    zone = int(quarters, 16) | (8 if text[-3] == "-" else 0)
    return pdu.Timestamp(bytes.fromhex("".join(pair[::-1] for pair in digits)) + bytes([zone]))
