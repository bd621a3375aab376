"""The whole agent in virtual time, with the simulated module and an interceptor on the line between them.

async with FaultWorld(tmp_path, message_format) as world:
    await world.start_and_settle()
    world.deliver_pdu(PLAIN_SID_START)
    await world.advance(10)
    assert world.executed == ["led on"]
"""

import itertools
import sqlite3
from contextlib import closing

import pdu
from agent.handlers.results import HandlerDeclaration
from fault.catalogue import split_pdu
from fault.line_interceptor import LineInterceptor
from hardware import profile
from hardware.sim.module.stores import MessageStatus, StoredTpdu
from soak import simulated_runner
from soak.world import World

SERVICE_CENTRE = pdu.Address.parse("+15550001234")
"""The service centre of all fixtures."""

STARTUP_S = 20
"""After this time a session has begun and the stores have been read."""


class FaultWorld(World):
    """A World whose service has the number of the fixtures (000), with an interceptor on the line.

    Besides the World's handlers there is a default one: every Command is executed and answered `did ...`.
    """

    def __init__(
        self, folder, message_format="pdu", *, default_handler=True, executables=(), dependencies=None, **more
    ):
        """`dependencies` are further fields of the agent's `Dependencies`, such as `pin` and `power`."""
        super().__init__(folder, message_format=message_format, **{"service": "super-sim"} | more)
        self.interceptor = LineInterceptor(self)
        self.dependencies = dependencies or {}
        self._references = itertools.count(5000)
        for name in executables:
            (self.handler_directory / name).write_text("#!/bin/sh\n")
            (self.handler_directory / name).chmod(0o755)
        if default_handler:
            self.make_runner = lambda agent_run: _RunnerWithDefault(self, agent_run)

    async def start_and_settle(self, seconds=STARTUP_S, **tables):
        """Start the agent, let the time pass in which it sets up, and return its run."""
        agent_run = self.start(**tables)
        await self.advance(seconds)
        return agent_run

    # Messages

    def store_pdu(self, index, message, status=0, store="ME"):
        """Put a `<pdu>` into a slot without a URC. `status`: 0 unread, 1 read, 2 unsent, 3 sent."""
        slot = index - self.module.profile.first_index
        self.module.stores[store].replace(
            slot, StoredTpdu(MessageStatus(status), SERVICE_CENTRE, split_pdu(message)[0])
        )

    def deliver_pdu(self, message):
        """Deliver a `<pdu>` over the air. The module stores it or delivers it directly, as it is set."""
        self.module.deliver(next(self._references), SERVICE_CENTRE, split_pdu(message)[0])

    def stored_indices(self, store="ME"):
        """Return the indices of the messages in a store."""
        return [slot + self.module.profile.first_index for slot, _ in self.module.stores[store]]

    # State of the agent

    @property
    def connection(self):
        """The agent's connection to the module."""
        return self.current_run.agent.components.supervisor.connection

    @property
    def modem(self):
        """The agent's modem, while there is a session."""
        return self.connection.session.modem

    @property
    def control_api(self):
        """The agent's control API."""
        return self.current_run.agent.components.control_api

    # Results

    @property
    def executed(self):
        """The content of each Command for which a handler was started, oldest first."""
        return [run.content for run in self.handler_runs]

    def query_journal(self, query, *values):
        """Return rows of the journal of the running agent, or of the one that starts next."""
        folder = (
            self.current_run.folder if self.current_run and self.current_run.is_alive else self.journal_folder
        )
        with closing(sqlite3.connect(f"file:{folder / 'journal.db'}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()

    @property
    def replies(self):
        """State and text of each reply in the journal."""
        return self.query_journal("SELECT state, text FROM replies ORDER BY id")

    def log_lines(self, min_severity=0):
        """Return the log lines of at least this severity (`agent.common.events.Severity`)."""
        return [str(event) for _, _, event in self.events if event.severity >= min_severity]


class _RunnerWithDefault(simulated_runner.SimulatedRunner):
    """A runner with a default handler."""

    async def load(self, file):
        return [*await super().load(file), HandlerDeclaration("anything", default=True)]


def changed_module(**changes):
    """Return the generic module with these changes of its `[device]` table."""
    return profile.load_simulator_profile("generic").replace(**changes)


def make_pdu(text, *, sender="000", timestamp="26/11/21,22:30:00+00", **fields):
    """Return a `<pdu>` like the fixtures, with this text."""
    deliver = pdu.Deliver(
        originating_address=pdu.Address.parse(sender),
        service_centre_timestamp=make_timestamp(timestamp),
        user_data=pdu.segment(text)[0],
        **fields,
    )
    return "07915155001032F4" + pdu.encode(deliver, sca=False).hex


def make_timestamp(text):
    """Return the timestamp that a module shows as `text`, valid or not."""
    digits = [text[at : at + 2] for at in (0, 3, 6, 9, 12, 15)]
    quarters = text[-2:][::-1]
    zone = int(quarters, 16) | (8 if text[-3] == "-" else 0)
    return pdu.Timestamp(bytes.fromhex("".join(pair[::-1] for pair in digits)) + bytes([zone]))
