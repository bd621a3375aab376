"""What the tests of the road share: virtual time, a real journal, a modem and a runner of the test's own."""

import asyncio
import selectors
import sqlite3
from collections import defaultdict, deque
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from random import Random

import pytest

import pdu
from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.at.event import FinalResult
from agent.dispatcher import Dispatcher, RunningRules
from agent.handlers.catalogue import Catalogue
from agent.handlers.entry import Entry
from agent.handlers.outcome import Failed, Finished
from agent.health import Health
from agent.intake import Intake
from agent.journal.actions import Actions
from agent.journal.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.outbox import Outbox as Queue
from agent.journal.rows import Outgoing
from agent.journal.skin import Inline
from agent.modem.formats import decode
from agent.modem.news import Arrived, Direct
from agent.modem.sending import NotSent, Refused, Sent, Unknown
from agent.modem.setup import Setup, condition
from agent.modem.state import Identity, Registration, Signal
from agent.modem.stored import Slot, StoredMessage
from agent.outbox import Outbox, SendingRules
from agent.service.compose import ReplyRules
from agent.service.profile import PROFILES

EPOCH = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
BEGIN = 1000.0
"""What the clock of a loop shows at first."""
SID = "DC" + "0" * 32
VIRTUAL = {f"test_{room}.py" for room in ("intake", "dispatcher", "outbox", "session", "supervisor", "app")}
"""Files whose tests run in virtual time."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a time to come, lets it be that time."""

    def __init__(self):
        super().__init__()
        self.now = BEGIN

    def select(self, timeout=None):
        if timeout is None:
            ready = super().select(5)
            if not ready:
                raise AssertionError("everybody waits and nothing will ever happen")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """Hours pass in milliseconds: the clock jumps to the next timer when nothing else is to be done."""

    def __init__(self):
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self):
        return self._virtual.now


def pytest_asyncio_loop_factories(config, item):
    """Which loop runs a test."""
    if item.path.name in VIRTUAL and item.path.parent.name == "agent":
        return {"virtual": VirtualLoop}
    return {"real": asyncio.new_event_loop}


class Halves(Random):
    """Chance that is none: waits come out as they are, unspread."""

    def random(self):
        return 0.5


def pdu_of(content, sender="2936", minute=0, second=0, **fields):
    """A message from the network as hexadecimal digits."""
    data = content if isinstance(content, pdu.UserData) else pdu.segment(content)[0]
    values = {
        "originating_address": pdu.Address.parse(sender),
        "service_centre_timestamp": pdu.Timestamp.of(datetime(2026, 11, 22, 11, minute, second, tzinfo=UTC)),
        "user_data": data,
        "data_coding_scheme": data.data_coding_scheme,
        "service_centre_address": pdu.Address.parse("+447700900000"),
    }
    return pdu.encode(pdu.Deliver(**(values | fields))).hex


def timed_out(command="AT+X"):
    """No result came."""
    return CommandTimedOut(command, f"{command}: no answer within 10 s")


def refused(code, *, after_body=False, kind="cms", command="AT+X"):
    """The module says no."""
    text = "ERROR" if code is None else f"+{kind.upper()} ERROR: {code}"
    final = FinalResult(text, ok=False, kind="error" if code is None else kind, code=code)
    return CommandRefused(command, final, body_sent=after_body)


class FakeModem:
    """A module behind the seam of `Modem`: slots, news, and what a test plans for each step.

    `plan("read", error)` lets the next read raise; a coroutine function instead of an error is called with
    the arguments (for "delete": instead of deleting), None means: as usual. What is planned for "send" is an
    outcome, or a coroutine function. `always` holds what is to happen where nothing is planned.
    """

    def __init__(self, road, step_s=0.02):
        self.road = road
        self.slots = {}
        self.news = deque()
        self.plans = defaultdict(deque)
        self.always = {}
        self.notifies = True
        self.lost = asyncio.Event()
        self.changed = asyncio.Event()
        self.step_s = step_s
        self.reference = 0
        self.sent = []
        """Texts whose body was written."""
        self.loss = ""
        self.under_way = 0
        self.initialised = False
        road.modem = self

    def plan(self, what, *outcomes):
        self.plans[what].extend(outcomes)

    # What the test does to it

    def store(self, index, content="led on", sender="2936", store="ME", *, raw=None, tell=False, **fields):
        """Put a message into a slot; returns its hexadecimal digits."""
        slot = Slot(store, index)
        self.slots[slot] = raw if raw is not None else pdu_of(content, sender, **fields)
        if tell:
            self.say(Arrived(slot))
        return self.slots[slot]

    def say(self, *news):
        """Tell by itself."""
        self.news.extend(news)
        self.changed.set()

    def hand_over(self, content="led on", *, raw=None, **fields):
        """Direct delivery."""
        raw = raw or pdu_of(content, **fields)

        async def acknowledge():
            await self._step("acknowledge", raw)

        self.say(Direct(StoredMessage(None, raw, decode(raw)), acknowledge))
        return raw

    def lose(self, why="unplugged"):
        """The line is gone."""
        if not self.loss:
            self.loss = why
        self.lost.set()
        self.changed.set()

    # The seam

    async def initialise(self):
        await self._step("initialise")
        self.initialised = True
        return self.condition

    @property
    def condition(self):
        return condition(
            Setup(store="ME", routing=(2, 1), registration=Registration(1)), notifies=self.notifies
        )

    async def sweep(self):
        await self._step("sweep")
        found = [StoredMessage(slot, raw, decode(raw)) for slot, raw in self.slots.items()]
        return sorted(found, key=lambda each: each.order)

    async def read(self, slot):
        await self._step("read", slot)
        raw = self.slots.get(slot)
        return None if raw is None else StoredMessage(slot, raw, decode(raw))

    async def delete(self, slot):
        if not await self._step("delete", slot):
            self.slots.pop(slot, None)

    async def send(self, submit, before_body):
        content = submit.text if submit.text is not None else submit.data
        plan = self.plans["send"].popleft() if self.plans["send"] else self.always.get("send")
        if self.lost.is_set():
            return NotSent(self.loss)
        self.road.log.append(("send", content))
        await self._pause()
        if isinstance(plan, NotSent):
            return plan
        if isinstance(plan, Refused) and not plan.error.body_sent:
            return plan
        if isinstance(plan, Exception):
            raise plan
        await before_body()
        self.road.log.append(("body", content))
        self.sent.append(content)
        if callable(plan):
            return await plan(submit)
        await self._pause()
        if self.lost.is_set():
            return Unknown(self.loss)
        self.reference = (self.reference + 1) % 256
        return plan or Sent(self.reference)

    async def identity(self):
        await self._step("identity")
        return Identity("Quectel", "EC25", "EC25EFAR06A01M4G", "861234567890123", "", "8988307000000000000")

    async def registration(self):
        await self._step("registration")
        return Registration(1)

    async def signal(self):
        await self._step("signal")
        return Signal(-71)

    async def next_news(self):
        while not self.news:
            if self.lost.is_set():
                raise ModemLost(self.loss)
            self.changed.clear()
            await self.changed.wait()
        return self.news.popleft()

    def news_at_hand(self):
        return self.news.popleft() if self.news else None

    async def wait(self, event, seconds):
        waiters = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(self.lost.wait())]
        try:
            limit = None if seconds == float("inf") else seconds
            await asyncio.wait(waiters, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in waiters:
                waiter.cancel()
        if self.lost.is_set():
            raise ModemLost(self.loss)

    def close(self):
        self.road.log.append(("close",))
        self.lose("the session was closed")

    async def closed(self):
        self.road.log.append(("closed",))

    async def _step(self, what, *arguments):
        if self.lost.is_set():
            raise ModemLost(self.loss)
        self.road.log.append((what, *arguments))
        await self._pause()
        plan = self.plans[what].popleft() if self.plans[what] else self.always.get(what)
        if isinstance(plan, Exception):
            raise plan
        if plan is not None:
            await plan(*arguments)
        if self.lost.is_set():
            raise ModemLost(self.loss)
        return plan is not None

    async def _pause(self):
        await asyncio.sleep(self.step_s)


class FakeRunner:
    """Runs no process: notes each run, and answers as planned, else with the text it was given."""

    def __init__(self, road):
        self.road = road
        self.runs = []
        """(handler, text or octets, attempt) in the order of beginning."""
        self.acts = []
        self.plans = defaultdict(deque)
        self.ended = asyncio.Event()
        self.declared = {}

    def plan(self, name, *outcomes):
        """For the handler of that name: outcomes, errors to raise, or coroutine functions."""
        self.plans[name].extend(outcomes)

    async def declare(self, file):
        return self.declared.get(file.name, [])

    async def run(self, entry, command, timeout_s):
        content = command.text if command.data is None else command.data
        self.runs.append((entry.name, content, command.attempt))
        self.road.log.append(("run", entry.name, command.attempt))
        return await self._outcome(entry.name, command, Finished(f"did {content}"))

    async def act(self, entry, action, command, timeout_s=30.0):
        self.acts.append((entry.name, action, timeout_s))
        self.road.log.append(("act", entry.name))
        return await self._outcome(action, command, Finished(None))

    async def _outcome(self, name, command, usual):
        plan = self.plans[name].popleft() if self.plans[name] else usual
        if isinstance(plan, Exception):
            raise plan
        if callable(plan):
            work = asyncio.ensure_future(plan(command))
            over = asyncio.ensure_future(self.ended.wait())
            await asyncio.wait((work, over), return_when=asyncio.FIRST_COMPLETED)
            over.cancel()
            if not work.done():
                work.cancel()
                return Failed("the agent is stopping")
            return work.result()
        return plan

    async def close(self):
        self.road.log.append(("runner closed",))
        self.ended.set()


def executable(name, **options):
    """A handler for the word that it is called."""
    return Entry(name, "executable", words=(name,), **options)


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
        self.handlers = [executable("led"), executable("pump"), executable("again", repeatable=True)]
        self.woken = 0
        self.work = asyncio.Event()
        self.settled = 0
        self.modem = None
        self.runner = FakeRunner(self)
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
        return self

    def restart(self):
        """As after kill -9: another process on the same journal."""
        self.journal.close()
        self.runner = FakeRunner(self)
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
        raw = pdu_of(content, **({"second": self._second()} | fields))
        return self.intake(FakeModem(self))._inbox.keep(
            None, raw, lambda memory: self.intake(self.modem)._classify(
                StoredMessage(None, raw, decode(raw)), memory
            )
        )  # fmt: skip

    def _second(self):
        self.given = getattr(self, "given", 0) + 1
        return self.given % 60

    def message(self, text="hello", destination="2936"):
        """A message that waits to be sent; returns its number."""
        return self.queue.queue([Outgoing(destination, pdu.segment(text)[0])])[0]

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

    def intake(self, modem=None):
        return Intake(
            modem or self.modem or FakeModem(self),
            self.skin,
            self.inbox,
            self.service,
            self.tell,
            self.health(),
            self._wake,
        )

    def dispatcher(self, rules=None, reply_rules=None, status=lambda: "well"):
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
            rules or RunningRules(),
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
            modem or FakeModem(self),
            self.skin,
            self.queue,
            SendingRules(**rules),
            self.random,
            self.tell,
            self.health(),
            counted,
            self.work,
        )

    # At work

    @asynccontextmanager
    async def receiving(self, modem=None):
        """Intake at work; at the end the line is lost and it must return by itself."""
        modem = modem or self.modem or FakeModem(self)
        task = asyncio.create_task(self.intake(modem).run())
        await self.passes(1)
        try:
            yield modem
        finally:
            modem.lose()
            await asyncio.wait_for(task, 10)

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
            await asyncio.wait_for(task, 10)
            self.runner.ended.clear()

    @asynccontextmanager
    async def sending(self, modem=None, **arguments):
        """The outbox at work; at the end the line is lost and it must return by itself."""
        modem = modem or FakeModem(self)
        task = asyncio.create_task(self.outbox(modem, **arguments).run())
        await self.passes(1)
        try:
            yield modem
        finally:
            modem.lose()
            await asyncio.wait_for(task, 10)

    async def passes(self, seconds):
        """Time goes by."""
        await asyncio.sleep(seconds)

    async def until(self, true, seconds=100_000):
        """Time goes by until that is so; no longer than this."""
        async with asyncio.timeout(seconds):
            while not true():  # noqa: ASYNC110  (in virtual time a look costs nothing)
                await asyncio.sleep(0.1)


@pytest.fixture
def road(tmp_path):
    road = Road(tmp_path)
    yield road
    road.journal.close()


@pytest.fixture
def make():
    """Makers of messages, errors, modems and runners."""

    class Make:
        pass

    make = Make()
    make.pdu, make.timed_out, make.refused, make.executable = pdu_of, timed_out, refused, executable
    make.modem, make.runner, make.road = FakeModem, FakeRunner, Road
    make.SID, make.EPOCH = SID, EPOCH
    return make
