"""A modem, a port and a runner of the test's own, behind the seams of the real ones."""

import asyncio
from collections import defaultdict, deque
from datetime import UTC, datetime

import pdu
from agent.at.error import CommandRefused, CommandTimedOut, ModemLost
from agent.at.event import FinalResult
from agent.at.memory_wire import memory_pair
from agent.handlers.entry import Entry
from agent.handlers.outcome import Failed, Finished
from agent.modem.formats import decode
from agent.modem.news import Arrived, Direct
from agent.modem.sending import NotSent, Refused, Sent, Unknown
from agent.modem.setup import Setup, condition
from agent.modem.state import Identity, Registration, Signal
from agent.modem.stored import Slot, StoredMessage
from hardware.profile import DriverProfile


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
        self.doubts = False
        self.restarted = False
        self.card_refuses = False
        self.store_refuses = ""
        self.lost = asyncio.Event()
        self.moved = asyncio.Event()
        self.changed = asyncio.Event()
        self.step_s = step_s
        self.reference = 0
        self.sent = []
        """Texts whose body was written."""
        self.submits = []
        self.loss = ""
        self.under_way = 0
        self.initialised = False
        self.driver = DriverProfile()
        self.registered = Registration(1)
        self.card = ["+CPIN: READY"]
        """What AT+CPIN? answers: lines, or an error to raise."""
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
            Setup(store="ME", routing=(2, 1), registration=self.registered), notifies=self.notifies
        )

    async def sweep(self):
        await self._step("sweep")
        if self.restarted:
            return []
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
        self.submits.append(submit)
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
        return self.registered

    async def signal(self):
        await self._step("signal")
        return Signal(-71)

    async def at(self, line):
        await self._step("at", line)
        if line != "AT+CPIN?":
            return ["+CSQ: 20,99"]
        if isinstance(self.card, Exception):
            raise self.card
        return self.card

    async def restart(self):
        await self._step("restart")

    async def cycle_radio(self, *, card=False):
        await self._step("radio", card)

    async def reselect(self):
        await self._step("reselect")

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

    def close(self, why="the session was closed"):
        self.road.log.append(("close",))
        self.lose(why)

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
        found = self.declared.get(file.name, [])
        return await found() if callable(found) else found

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


class Far:
    """The other end of the line."""

    def __init__(self, wire, hears):
        self.wire = wire
        self.hears = hears
        self.begun = b""

    def received(self, data):
        """Each line is answered as the test says."""
        *lines, self.begun = (self.begun + data).split(b"\r")
        for line in lines:
            self.wire.write(self.hears(line.strip(b"\x1b\n").decode()))

    def hung_up(self, reason):
        self.hung_up_because = reason


class Port:
    """Opens as planned: errors to raise, else a line in memory; counts who has it open."""

    def __init__(self):
        self.plans = []
        self.always = None
        self.times = []
        self.open = 0
        self.closing_s = 0.0
        self.far = lambda line: b""
        """What the other end answers to a line; nothing."""

    async def __call__(self, reader):
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        plan = self.plans.pop(0) if self.plans else self.always
        if isinstance(plan, Exception):
            raise plan
        if plan is not None:
            await plan()
        near, far = memory_pair()
        await far.open(Far(far, self.far))
        wire = await near.open(reader)
        assert self.open == 0, "it is open already"
        self.open = 1

        async def closed():
            await asyncio.sleep(self.closing_s)
            self.open = 0

        wire.closed = closed
        return wire
