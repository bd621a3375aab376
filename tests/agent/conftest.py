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
from agent.dispatcher import Dispatcher, RunningRules
from agent.handlers.catalogue import Catalogue
from agent.health import Health
from agent.intake import Intake
from agent.journal.actions import Actions
from agent.journal.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.outbox import Outbox as Queue
from agent.journal.rows import Outgoing
from agent.journal.skin import Inline
from agent.modem.formats import decode
from agent.modem.stored import StoredMessage
from agent.outbox import Outbox, SendingRules
from agent.recovery import SendPause
from agent.service.compose import ReplyRules
from agent.service.profile import PROFILES
from agent.waiting import Waiting
from soak.virtual import BEGIN, VirtualLoop


def _neighbour(name):
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"road_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fakes = _neighbour("fakes")

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
SID = "DC" + "0" * 32
VIRTUAL = {
    f"test_{room}.py"
    for room in (
        "intake",
        "dispatcher",
        "outbox",
        "session",
        "supervisor",
        "app",
        "outbox_holding",
        "outbox_waiting",
    )
}
"""Files whose tests run in virtual time."""


def pytest_asyncio_loop_factories(config, item):
    """Which loop runs a test."""
    if item.path.name in VIRTUAL and item.path.parent.name == "agent":
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


class Halves(Random):
    """Chance that is none: waits come out as they are, unspread."""

    def random(self):
        return 0.5


class Road:
    """The rooms of the road on one real journal, with the test's own modem, runner, clock and ears."""

    def __init__(self, folder, service="programmable-wireless"):
        self.folder = folder
        self.path = folder / "journal.db"
        self.service = PROFILES[service]
        self.log = []
        """What happened, in order: commits, and what was done to modem and runner."""
        self.steps = []
        self.wall_ahead = 0.0
        """How far the device's clock is wrong."""
        self.trouble = None
        """Raised by every commit while it is set."""
        self.skin = Inline()
        self.random = Halves()
        self.handlers = [
            fakes.executable("led"),
            fakes.executable("pump"),
            fakes.executable("again", repeatable=True),
        ]
        self.woken = 0
        self.work = asyncio.Event()
        self.rest = SendPause(self.random)
        self.settled = 0
        self.modem = None
        self.runner = fakes.FakeRunner(self)
        self.open()

    # The journal

    def open(self):
        self.journal = Journal(self.path, self.wall, self.now)
        self.journal.connection.execute("PRAGMA synchronous = OFF")
        self._transaction = self.journal.transaction
        self.journal.transaction = self._counted
        self.queue = Queue(self.journal)
        self.inbox = Inbox(self.journal, self.queue)
        self.actions = Actions(self.journal)
        self.work = asyncio.Event()
        self.waiting = Waiting()
        return self

    def restart(self):
        """As after kill -9: another process on the same journal."""
        self.journal.close()
        self.runner = fakes.FakeRunner(self)
        return self.open()

    @contextmanager
    def _counted(self):
        with self._transaction() as moment:
            yield moment
            if self.trouble is not None:
                raise self.trouble
        self.log.append(("commit",))

    def disk_full(self):
        self.trouble = sqlite3.OperationalError("database or disk is full")

    def look(self, query, *values):
        """What has been committed, as another process sees it: the first column."""
        connection = sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)
        try:
            return [row[0] for row in connection.execute(query, values)]
        finally:
            connection.close()

    def states(self):
        return self.look("SELECT state FROM commands ORDER BY id")

    def replies(self):
        return self.look("SELECT state FROM replies ORDER BY id")

    def texts(self):
        return self.look("SELECT text FROM replies ORDER BY id")

    def command(self, content="led on", **fields):
        """A Command that intake has received."""
        raw = fakes.pdu_of(content, **({"second": self._second()} | fields))
        return self.intake(fakes.FakeModem(self))._inbox.keep(
            None, raw, lambda memory: self.intake(self.modem)._classify(
                StoredMessage(None, raw, decode(raw)), memory
            )
        )  # fmt: skip

    def _second(self):
        self.given = getattr(self, "given", 0) + 1
        return self.given % 60

    def message(self, text="hello", destination="2936"):
        """A message that waits to be sent; returns its number."""
        return self.queue.queue([Outgoing(destination, pdu.segment(text)[0], 1, 1)])[0]

    # Clocks and ears

    def now(self):
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return BEGIN

    def wall(self):
        return EPOCH + self.now() - BEGIN + self.wall_ahead

    def tell(self, step):
        self.steps.append(step)

    def told(self, what):
        """The steps of that word."""
        return [step for step in self.steps if step.what == what]

    def happened(self, *kinds):
        """The log without other kinds, by first word."""
        return [entry for entry in self.log if entry[0] in kinds]

    # The rooms

    def health(self):
        if not hasattr(self, "_health"):
            self._health = Health(self.now)
        return self._health

    def _wake(self):
        self.woken += 1
        self.log.append(("wake",))

    def intake(self, modem=None, **rules):
        return Intake(
            modem or self.modem or fakes.FakeModem(self),
            self.skin,
            self.inbox,
            self.service,
            self.tell,
            self.health(),
            self._wake,
            **rules,
        )

    def dispatcher(self, rules=(), reply_rules=None, status=lambda: "well"):
        self.queued = 0

        def queued():
            self.queued += 1
            self.work.set()

        return Dispatcher(
            self.skin,
            self.inbox,
            self.queue,
            self.actions,
            Catalogue(self.handlers),
            self.runner,
            self.service,
            RunningRules(**{"timeout_s": 30.0, "max_age_s": None, "at_once": 4} | dict(rules)),
            reply_rules or ReplyRules(),
            self.wall,
            self.random,
            self.tell,
            self.health(),
            queued,
            status,
        )

    def outbox(self, modem=None, settled=None, **rules):
        def counted():
            self.settled += 1
            if settled is not None:
                settled()

        return Outbox(
            modem or fakes.FakeModem(self),
            self.skin,
            self.queue,
            SendingRules(**rules),
            self.waiting,
            self.random,
            self.tell,
            self.health(),
            counted,
            self.work,
            self.rest,
        )

    # At work

    @asynccontextmanager
    async def receiving(self, modem=None, **rules):
        """Intake at work; at the end the line is lost and it must return by itself."""
        modem = modem or self.modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.intake(modem, **rules).run())
        await self.passes(1)
        try:
            yield modem
        finally:
            modem.lose()
            await asyncio.wait_for(task, 60)

    @asynccontextmanager
    async def running(self, **arguments):
        """The dispatcher at work; at the end it is stopped and must return by itself."""
        dispatcher = self.dispatched = self.dispatcher(**arguments)
        task = asyncio.create_task(dispatcher.run())
        await self.passes(1)
        try:
            yield dispatcher
        finally:
            dispatcher.stop()
            self.runner.ended.set()
            await asyncio.wait_for(task, 60)
            self.runner.ended.clear()

    @asynccontextmanager
    async def sending(self, modem=None, **arguments):
        """The outbox at work; at the end the line is lost and it must return by itself."""
        modem = modem or fakes.FakeModem(self)
        task = asyncio.create_task(self.outbox(modem, **arguments).run())
        await self.passes(1)
        try:
            yield modem
        finally:
            modem.lose()
            await asyncio.wait_for(task, 60)

    async def passes(self, seconds):
        """Time goes by."""
        await asyncio.sleep(seconds)

    async def until(self, true, seconds=100_000):
        """Time goes by until that is so; no longer than this."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  (in virtual time a look costs nothing)
                await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def empty_journal(tmp_path_factory):
    """Made once: writing its tables to disk takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "journal.db"
    Journal(path, lambda: EPOCH, lambda: 0.0).close()
    return path


@pytest.fixture
def road(tmp_path, empty_journal):
    shutil.copy(empty_journal, tmp_path / "journal.db")
    road = Road(tmp_path)
    yield road
    road.journal.close()


@pytest.fixture
def make():
    """Makers of messages, errors, modems and runners."""

    class Make:
        pass

    make = Make()
    make.pdu, make.timed_out, make.refused = fakes.pdu_of, fakes.timed_out, fakes.refused
    make.executable, make.modem, make.port, make.road = fakes.executable, fakes.FakeModem, fakes.Port, Road
    make.SID, make.EPOCH = SID, EPOCH
    return make
