"""What the tests of the road share: virtual time, and its rooms on a real journal with fakes at both ends."""

import asyncio
import importlib.util
import shutil
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

import pdu
from agent.common.watchdog import DeadlineMonitor
from agent.handlers.registry import HandlerRegistry
from agent.journal.actions import ActionStore
from agent.journal.executor import InlineExecutor
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore as Queue
from agent.modem.message_format import decode_pdu
from agent.modem.stored_message import StoredMessage
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.dispatcher import DispatchConfig, Dispatcher
from agent.pipeline.receiver import Receiver
from agent.pipeline.send_backoff import DestinationBackoff
from agent.pipeline.sender import SendConfig, Sender
from agent.service.compose import ReplyConfig
from agent.service.profile import SERVICE_PROFILES
from virtual_time import START_TIME_S, VirtualTimeLoop


def _load_sibling(name):
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"road_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fakes = _load_sibling("fakes")

START_WALL_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SID = "DC" + "0" * 32
VIRTUAL_TIME_FILES = {
    f"test_{room}.py"
    for room in (
        "receiver",
        "dispatcher",
        "sender",
        "session",
        "supervisor",
        "agent",
        "sender_holding",
        "send_backoff",
    )
}
"""Files whose tests run in virtual time."""


def pytest_asyncio_loop_factories(config, item):
    """Which loop runs a test."""
    if item.path.name in VIRTUAL_TIME_FILES and item.path.parent.name in {"pipeline", "daemon"}:
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}


class FixedRandom(Random):
    """Chance that is none: waits come out as they are, unspread."""

    def random(self):
        return 0.5


class PipelineHarness:
    """The rooms of the road on one real journal, with the test's own modem, runner, clock and ears."""

    def __init__(self, folder, service="programmable-wireless"):
        self.folder = folder
        self.journal_path = folder / "journal.db"
        self.service = SERVICE_PROFILES[service]
        self.call_log = []
        """What happened, in order: commits, and what was done to modem and runner."""
        self.events = []
        self.clock_error_s = 0.0
        """How far the device's clock is wrong."""
        self.commit_error = None
        """Raised by every commit while it is set."""
        self.db = InlineExecutor()
        self.random = FixedRandom()
        self.handler_specs = [
            fakes.executable_spec("led"),
            fakes.executable_spec("pump"),
            fakes.executable_spec("again", repeatable=True),
        ]
        self.wake_count = 0
        self.send_requested = asyncio.Event()
        self.brownout_guard = BrownoutGuard(self.random)
        self.settled_count = 0
        self.modem = None
        self.runner = fakes.FakeRunner(self)
        self.open_journal()

    # The journal

    def open_journal(self):
        self.journal = Journal(self.journal_path, self.wall_clock, self.monotonic)
        self.journal.connection.execute("PRAGMA synchronous = OFF")
        self._original_transaction = self.journal.transaction
        self.journal.transaction = self._logged_transaction
        self.outbox_store = Queue(self.journal)
        self.command_store = CommandStore(self.journal, self.outbox_store)
        self.action_store = ActionStore(self.journal)
        self.send_requested = asyncio.Event()
        self.destination_backoff = DestinationBackoff()
        return self

    def restart(self):
        """As after kill -9: another process on the same journal."""
        self.journal.close()
        self.runner = fakes.FakeRunner(self)
        return self.open_journal()

    @contextmanager
    def _logged_transaction(self):
        with self._original_transaction() as moment:
            yield moment
            if self.commit_error is not None:
                raise self.commit_error
        self.call_log.append(("commit",))

    def fail_commits_disk_full(self):
        self.commit_error = sqlite3.OperationalError("database or disk is full")

    def query_column(self, query, *values):
        """What has been committed, as another process sees it: the first column."""
        connection = sqlite3.connect(f"{self.journal_path.as_uri()}?mode=ro", uri=True)
        try:
            return [row[0] for row in connection.execute(query, values)]
        finally:
            connection.close()

    def command_states(self):
        return self.query_column("SELECT state FROM commands ORDER BY id")

    def reply_states(self):
        return self.query_column("SELECT state FROM replies ORDER BY id")

    def reply_texts(self):
        return self.query_column("SELECT text FROM replies ORDER BY id")

    def store_command(self, content="led on", **fields):
        """A Command that intake has received."""
        raw = fakes.deliver_hex(content, **({"second": self._next_second()} | fields))
        return self.make_receiver(fakes.FakeModem(self))._command_store.store(
            None, raw, lambda memory: self.make_receiver(self.modem)._classify(
                StoredMessage(None, raw, decode_pdu(raw)), memory
            )
        )  # fmt: skip

    def _next_second(self):
        self.commands_made = getattr(self, "commands_made", 0) + 1
        return self.commands_made % 60

    def queue_message(self, text="hello", destination="2936"):
        """A message that waits to be sent; returns its number."""
        return self.outbox_store.enqueue([OutgoingMessage(destination, pdu.segment(text)[0], 1, 1)])[0]

    # Clocks and ears

    def monotonic(self):
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return START_TIME_S

    def wall_clock(self):
        return START_WALL_TIME + self.monotonic() - START_TIME_S + self.clock_error_s

    def emit(self, event):
        self.events.append(event)

    def events_of_kind(self, kind):
        """The steps of that word."""
        return [step for step in self.events if step.kind == kind]

    def calls_of(self, *kinds):
        """The log without other kinds, by first word."""
        return [entry for entry in self.call_log if entry[0] in kinds]

    # The rooms

    def deadlines(self):
        if not hasattr(self, "_deadlines"):
            self._deadlines = DeadlineMonitor(self.monotonic)
        return self._deadlines

    def _on_received(self):
        self.wake_count += 1
        self.call_log.append(("wake",))

    def make_receiver(self, modem=None, **rules):
        return Receiver(
            modem or self.modem or fakes.FakeModem(self),
            self.db,
            self.command_store,
            self.service,
            self.emit,
            self.deadlines(),
            self._on_received,
            **rules,
        )

    def make_dispatcher(self, rules=(), reply_rules=None, status=lambda: "well"):
        self.queued_count = 0

        def queued():
            self.queued_count += 1
            self.send_requested.set()

        return Dispatcher(
            self.db,
            self.command_store,
            self.outbox_store,
            self.action_store,
            HandlerRegistry(self.handler_specs),
            self.runner,
            self.service,
            DispatchConfig(**{"timeout_s": 30.0, "max_age_s": None, "max_concurrent": 4} | dict(rules)),
            reply_rules or ReplyConfig(),
            self.wall_clock,
            self.random,
            self.emit,
            self.deadlines(),
            queued,
            status,
        )

    def make_sender(self, modem=None, on_settled=None, **rules):
        def counted():
            self.settled_count += 1
            if on_settled is not None:
                on_settled()

        return Sender(
            modem or fakes.FakeModem(self),
            self.db,
            self.outbox_store,
            SendConfig(**rules),
            self.destination_backoff,
            self.random,
            self.emit,
            self.deadlines(),
            counted,
            self.send_requested,
            self.brownout_guard,
        )

    # At work

    @asynccontextmanager
    async def run_receiver(self, modem=None, **rules):
        """Intake at work; at the end the line is lost and it must return by itself."""
        modem = modem or self.modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.make_receiver(modem, **rules).run())
        await self.advance(1)
        try:
            yield modem
        finally:
            modem.lose_line()
            await asyncio.wait_for(task, 60)

    @asynccontextmanager
    async def run_dispatcher(self, **arguments):
        """The dispatcher at work; at the end it is stopped and must return by itself."""
        dispatcher = self.active_dispatcher = self.make_dispatcher(**arguments)
        task = asyncio.create_task(dispatcher.run())
        await self.advance(1)
        try:
            yield dispatcher
        finally:
            dispatcher.stop()
            self.runner.stopped.set()
            await asyncio.wait_for(task, 60)
            self.runner.stopped.clear()

    @asynccontextmanager
    async def run_sender(self, modem=None, **arguments):
        """The outbox at work; at the end the line is lost and it must return by itself."""
        modem = modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.make_sender(modem, **arguments).run())
        await self.advance(1)
        try:
            yield modem
        finally:
            modem.lose_line()
            await asyncio.wait_for(task, 60)

    async def advance(self, seconds):
        """Time goes by."""
        await asyncio.sleep(seconds)

    async def wait_until(self, condition, timeout_s=100_000):
        """Time goes by until that is so; no longer than this."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  (in virtual time a look costs nothing)
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory):
    """Made once: writing its tables to disk takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "journal.db"
    Journal(path, lambda: START_WALL_TIME, lambda: 0.0).close()
    return path


@pytest.fixture
def pipeline(tmp_path, empty_journal):
    shutil.copy(empty_journal, tmp_path / "journal.db")
    road = PipelineHarness(tmp_path)
    yield road
    road.journal.close()


@pytest.fixture
def factories():
    """Makers of messages, errors, modems and runners."""

    class Make:
        pass

    make = Make()
    make.pdu, make.timed_out, make.refused = fakes.deliver_hex, fakes.command_timed_out, fakes.command_refused
    make.executable, make.modem, make.port, make.road = (
        fakes.executable_spec,
        fakes.FakeModem,
        fakes.FakePort,
        PipelineHarness,
    )
    make.SID, make.EPOCH = SID, START_WALL_TIME
    return make
