"""Fixtures for the tests of the pipeline and the daemon: virtual time, and a pipeline on a real journal."""

import asyncio
import shutil
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace

import fakes
import pytest

import pdu
from agent.common.config import HandlersConfig, ServiceConfig
from agent.common.runtime import Runtime
from agent.common.watchdog import DeadlineMonitor
from agent.handlers.registry import HandlerRegistry
from agent.journal.actions import ActionStore
from agent.journal.connection import open_journal_file
from agent.journal.executor import InlineExecutor
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore
from agent.journal.overview import JournalOverview
from agent.modem.message_format import decode_pdu
from agent.modem.send_refusals import SendRefusals
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.composer import MessageComposer
from agent.pipeline.dispatcher import Dispatcher, JournalStores
from agent.pipeline.message_recorder import MessageRecorder
from agent.pipeline.post_reply_actions import Handlers
from agent.pipeline.receiver import Receiver
from agent.pipeline.reply_handover import ReplyHandover
from agent.pipeline.send_backoff import DestinationBackoff
from agent.pipeline.send_state import SendState
from agent.pipeline.sender import Sender
from agent.service.classify import classify
from agent.service.compose import ReplyConfig
from agent.service.profile import SERVICE_PROFILES
from hardware.sim.virtual_time import START_TIME_S, VirtualTimeLoop

START_WALL_TIME = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SID = "DC" + "0" * 32
VIRTUAL_TIME_FILES = {
    *("test_receiver.py", "test_dispatcher.py", "test_sender.py", "test_send_backoff.py"),
    "test_command_forwarder.py",
    "test_merged_commits.py",
    *("test_session.py", "test_supervisor.py", "test_agent.py", "test_demo.py", "test_alarm.py"),
    *("test_ignored_messages.py", "test_until_idle.py"),
    "test_metrics_source.py",
}
"""Files whose tests run in virtual time."""


def pytest_asyncio_loop_factories(config, item):
    """Choose the event loop of a test."""
    if item.path.name in VIRTUAL_TIME_FILES and item.path.parent.name in {"pipeline", "daemon", "demo"}:
        return {"virtual": VirtualTimeLoop}
    return {"real": asyncio.new_event_loop}


class PipelineHarness:
    """The pipeline on a real journal, with a fake modem, a fake runner, and a clock that a test can set."""

    def __init__(self, folder, service="programmable-wireless"):
        self.folder = folder
        self.journal_path = folder / "journal.db"
        self.service = SERVICE_PROFILES[service]
        self.call_log = []
        """Commits and calls of the modem and the runner, in order."""
        self.events = []
        self.clock_error_s = 0.0
        """Seconds that the wall clock is ahead."""
        self.commit_error = None
        """The error that every commit raises, or None."""
        self.query_failures = []
        """Pairs of a text and an error: the next query that contains the text raises the error."""
        self.db = InlineExecutor()
        self.random = fakes.FixedRandom()
        self.deadline_monitor = DeadlineMonitor(self.monotonic)
        self.handler_specs = [
            fakes.executable_spec("led"),
            fakes.executable_spec("pump"),
            fakes.executable_spec("again", repeatable=True),
        ]
        self.wake_count = 0
        self.queued_count = 0
        self.settled_count = 0
        self.command_count = 0
        self.brownout_guard = BrownoutGuard(self.random)
        self.targets = ()
        self.modem = None
        self.active_dispatcher = None
        self.runner = fakes.FakeRunner(self)
        self.open_journal()

    @property
    def runtime(self):
        return Runtime(
            emit=self.emit,
            deadlines=self.deadline_monitor,
            random=self.random,
            wall_clock=self.wall_clock,
            db=self.db,
        )

    # The journal

    def open_journal(self):
        self.journal = Journal(
            self.journal_path, self.wall_clock, self.monotonic, open_file=self.open_journal_with_failures
        )
        self.journal.connection.execute("PRAGMA synchronous = OFF")
        self._original_transaction = self.journal.transaction
        self.journal.transaction = self._logged_transaction
        self.outbox_store = OutboxStore(self.journal)
        self.command_store = CommandStore(self.journal, self.outbox_store)
        self.action_store = ActionStore(self.journal)
        self.reply_queued = asyncio.Event()
        self.handover = ReplyHandover(self._on_reply_queued)
        self.destination_backoff = DestinationBackoff()
        self.send_refusals = SendRefusals()
        return self

    def restart(self):
        """Open the journal again, as a new process does after kill -9."""
        self.journal.close()
        self.runner = fakes.FakeRunner(self)
        return self.open_journal()

    def open_journal_with_failures(self, path):
        connection, meta = open_journal_file(path)
        return fakes.FailingConnection(connection, self.query_failures), meta

    @contextmanager
    def _logged_transaction(self):
        with self._original_transaction() as moment:
            yield moment
            if self.commit_error is not None:
                raise self.commit_error
        self.call_log.append(("commit",))

    def fail_commits_disk_full(self):
        self.commit_error = sqlite3.OperationalError("database or disk is full")

    def fail_queries(self, text, count):
        """Let the next `count` queries that contain `text` fail with an I/O error of the disk."""
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        self.query_failures += [(text, error)] * count

    def query_column(self, query, *values):
        """Return the first column of a query over the committed data, as another process sees it."""
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
        """Store a Command as the receiver does."""
        raw = fakes.deliver_hex(content, **({"second": self._next_second()} | fields))
        return self.command_store.store(
            None, raw, lambda history: classify(decode_pdu(raw), raw, history, self.service)
        )

    def _next_second(self):
        self.command_count += 1
        return self.command_count % 60

    def queue_message(self, text="hello", destination="2936"):
        """Queue a message and return its number."""
        return self.outbox_store.enqueue([OutgoingMessage(destination, pdu.segment(text)[0], 1, 1)])[0]

    # Clocks and events

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
        return [event for event in self.events if event.kind == kind]

    def calls_of(self, *kinds):
        """Return the entries of the call log of these kinds."""
        return [entry for entry in self.call_log if entry[0] in kinds]

    # Components of the pipeline

    def _on_stored(self):
        self.wake_count += 1
        self.call_log.append(("wake",))

    def make_receiver(self, modem=None, dispatcher=None, **options):
        """Make a receiver. Without a dispatcher all Commands that it stores wait."""
        classify_options = {"classify": options.pop("classify", partial(classify, service=self.service))}
        return Receiver(
            runtime=self.runtime,
            modem=modem or self.modem or fakes.FakeModem(self),
            command_store=self.command_store,
            recorder=MessageRecorder(
                runtime=self.runtime,
                command_store=self.command_store,
                on_stored=self._on_stored if dispatcher is None else dispatcher.wake,
                starter=dispatcher or fakes.FakeStarter(),
                **classify_options,
            ),
            **options,
        )

    def _on_reply_queued(self):
        self.queued_count += 1
        self.reply_queued.set()

    def make_dispatcher(
        self, config=(), reply_config=None, composer=None, format_status=lambda: "well", registry=None
    ):
        self.queued_count = 0
        return Dispatcher(
            runtime=self.runtime,
            stores=JournalStores(
                volatile_reason="",
                journal_path=self.journal_path,
                command_store=self.command_store,
                outbox_store=self.outbox_store,
                action_store=self.action_store,
                overview=JournalOverview(self.journal, self.command_store, self.outbox_store),
            ),
            handlers=Handlers(
                registry or HandlerRegistry(self.handler_specs),
                self.runner,
                HandlersConfig(**dict(config)),
                tuple(self.targets),
            ),
            composer=composer or MessageComposer(self.service, reply_config or ReplyConfig()),
            handover=self.handover,
            format_status=format_status,
        )

    def make_sender(self, modem=None, on_settled=lambda: None, **config):
        def on_reply_settled():
            self.settled_count += 1
            on_settled()

        return Sender(
            runtime=self.runtime,
            modem=modem or fakes.FakeModem(self),
            outbox_store=self.outbox_store,
            config=ServiceConfig(**config),
            state=SendState(
                self.destination_backoff,
                self.brownout_guard,
                self.send_refusals,
                self.reply_queued,
                self.handover,
            ),
            on_reply_settled=on_reply_settled,
        )

    # Running the components

    @asynccontextmanager
    async def run_receiver(self, modem=None, **options):
        """Run a receiver. At the end the connection is lost, and the receiver must return by itself."""
        modem = modem or self.modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.make_receiver(modem, **options).run())
        await self.advance(1)
        try:
            yield modem
        finally:
            modem.lose_line()
            await asyncio.wait_for(task, 60)

    @asynccontextmanager
    async def run_dispatcher(self, **options):
        """Run a dispatcher. At the end it is stopped, and must return by itself."""
        dispatcher = self.active_dispatcher = self.make_dispatcher(**options)
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
    async def run_sender(self, modem=None, **options):
        """Run a sender. At the end the connection is lost, and the sender must return by itself."""
        modem = modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.make_sender(modem, **options).run())
        await self.advance(1)
        try:
            yield modem
        finally:
            modem.lose_line()
            await asyncio.wait_for(task, 60)

    async def advance(self, seconds):
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def wait_until(self, condition, timeout_s=100_000):
        """Let time pass until the condition is true."""
        async with asyncio.timeout(timeout_s):
            while not condition():  # noqa: ASYNC110  (in virtual time a check costs nothing)
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory):
    """An empty journal to copy: creating its tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "journal.db"
    Journal(path, lambda: START_WALL_TIME, lambda: 0.0).close()
    return path


@pytest.fixture
def pipeline(tmp_path, empty_journal):
    shutil.copy(empty_journal, tmp_path / "journal.db")
    harness = PipelineHarness(tmp_path)
    yield harness
    harness.journal.close()


@pytest.fixture
def factories():
    """Factories of messages, errors, modems and runners."""
    return SimpleNamespace(
        pdu=fakes.deliver_hex,
        timed_out=fakes.command_timed_out,
        refused=fakes.command_refused,
        executable=fakes.executable_spec,
        modem=fakes.FakeModem,
        port=fakes.FakePort,
        harness=PipelineHarness,
        SID=SID,
        START_WALL_TIME=START_WALL_TIME,
    )
