"""The life of the connection: opening, sessions, waits that grow, stopping."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from agent.at.error import ModemLost
from agent.at.wire import PortUnavailable
from agent.modem.error import ModemUnusable
from agent.journal.resets import Budget, Resets
from agent.mending import Means, Mender
from agent.modem.state import Registration
from agent.recovery import Ladder
from agent.session import Session
from agent.story import Weight
from agent.supervisor import Supervisor


class Bench:
    """A supervisor over modems of the test's own; `modems` are handed out one after the other."""

    def __init__(self, road, make):
        self.road = road
        self.port = make.port()
        self.modems = []
        self.status = []
        self.make = make
        self.adopting = None
        self.channels = []
        self.gave_up = []
        self.user = ""
        self.task = None
        self.assemble()

    def assemble(self, *, power=None, may_drop_data=False, budget=None):
        """The supervisor, with what recovery may use."""
        road = self.road
        self.mender = Mender(
            Ladder(road.random, power=power is not None, key=power is not None and power.is_key),
            Means(power, may_drop_data, lambda: self.user),
            Resets(road.journal, budget or Budget()),
            road.skin,
            self.port,
            self._adopt,
            road.tell,
            road.health(),
        )
        self.supervisor = Supervisor(
            self.port,
            self._adopt,
            lambda modem: Session(modem, road.intake(modem), road.outbox(modem)),
            self.mender,
            road.rest,
            self._give_up,
            road.tell,
            self.status.append,
            road.health(),
        )

    def _give_up(self, why):
        self.gave_up.append(why)
        self.supervisor.stop()

    def modem(self, **plans):
        """The next modem; plans for its steps by name."""
        modem = self.make.modem(self.road)
        for what, plan in plans.items():
            modem.plan(what, plan)
        self.modems.append(modem)
        return modem

    def _adopt(self, channel):
        self.channels.append(channel)
        if self.adopting is not None:
            raise self.adopting
        modem = self.modems.pop(0) if self.modems else self.make.modem(self.road)
        self.now = modem
        return modem

    async def begin(self, seconds=1):
        self.task = asyncio.create_task(self.supervisor.run())
        await asyncio.sleep(seconds)

    async def unplug(self):
        """A plan for a step: the line is gone."""
        self.now.lose("unplugged")

    @property
    def waits(self):
        """Between the openings, in whole seconds."""
        return [round(later - earlier) for earlier, later in pairwise(self.port.times)]


@pytest.fixture
async def bench(road, make):
    bench = Bench(road, make)
    yield bench
    bench.supervisor.stop()
    if bench.task is not None:
        await asyncio.wait_for(bench.task, 10)
    assert bench.port.open == 0
    assert road.health()._deadlines == {}


BUSY = PortUnavailable("busy", "/dev/ttyUSB2 is in use by ModemManager (process 7)")


async def test_a_session_is_made_and_the_next_one_after_it(road, bench):
    """The port is closed before it is opened again."""
    first = bench.modem()
    bench.modem()
    await bench.begin()
    assert bench.supervisor.connection.sessions == 1
    assert bench.supervisor.connection.session.modem is first
    assert first.initialised
    assert "messages in ME" in road.told("session")[0].detail
    first.lose("unplugged")
    await road.passes(0.5)
    assert bench.supervisor.connection.session is None
    assert bench.supervisor.connection.state == "unplugged"
    assert bench.status[-1] == "unplugged"
    assert bench.port.open == 0
    await road.passes(5)
    assert bench.supervisor.connection.sessions == 2
    assert [str(step) for step in road.told("session ended")] == ["session ended: unplugged"]
    assert bench.status[:2] == ["initialising the module", "EC25, registered, home, signal -71 dBm"]


async def test_a_port_that_is_not_there_is_said_once(road, bench):
    """With its holder; the waits grow to half a minute, each failure stands in the status."""
    bench.port.always = BUSY
    await bench.begin(600)
    said = road.told("port")
    assert len(said) > 10
    assert [step.weight for step in said] == [Weight.WARNING] + [Weight.DETAIL] * (len(said) - 1)
    assert said[0].detail == "/dev/ttyUSB2 is in use by ModemManager (process 7)"
    assert bench.supervisor.connection.state == said[0].detail
    assert bench.status[-1] == said[0].detail
    assert bench.waits[:4] == [1, 2, 3, 6]
    assert bench.waits == sorted(bench.waits)
    assert bench.waits[-1] == 30


async def test_another_trouble_of_the_port_is_news(road, bench):
    """And the same one again after a session."""
    absent = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    bench.port.plans = [BUSY, BUSY, absent, None, absent]
    bench.modem(sweep=bench.unplug)
    await bench.begin(60)
    weights = [step.weight for step in road.told("port")]
    assert weights == [Weight.WARNING, Weight.DETAIL, Weight.WARNING, Weight.WARNING]


async def test_sessions_that_fail_are_tried_with_waits_that_grow(road, bench, make):
    """To two minutes: networks bar devices that attach too often."""
    for _ in range(40):
        bench.modem(sweep=bench.unplug)
    await bench.begin(3000)
    assert bench.waits[:5] == [2, 4, 7, 12, 21]
    assert bench.waits[-1] == 120
    assert 25 < len(bench.waits) < 40


async def test_a_steady_session_lets_the_waits_begin_anew(road, bench):
    """One that worked for a quarter of an hour; one that worked for less lets them only grow no further."""
    for _ in range(5):
        bench.modem(sweep=bench.unplug)
    steady = bench.modem()
    await bench.begin(60)
    assert bench.now is steady
    bench.modem()
    await road.passes(800)
    steady.lose("gone")
    before = road.now()
    await road.passes(25)
    assert bench.port.times[-1] - before > 20
    await road.passes(905)
    bench.now.lose("gone")
    before = road.now()
    await road.passes(3)
    assert before < bench.port.times[-1] < before + 3


async def test_a_steady_session_excuses_only_itself(road, bench):
    """What fails after it is counted anew."""
    steady = bench.modem()
    await bench.begin(1000)
    bench.port.always = BUSY
    steady.lose("unplugged")
    await road.passes(60)
    assert bench.waits[2:6] == [3, 6, 11, 19]


async def test_a_port_is_closed_before_it_is_opened_again(road, bench):
    """However long that takes."""
    bench.port.closing_s = 5.0
    for _ in range(3):
        bench.modem(sweep=bench.unplug)
    await bench.begin(60)
    assert bench.supervisor.connection.sessions == 4
    assert not road.told("session failed")


@pytest.mark.parametrize("error", [ModemUnusable("the SIM wants its PIN"), ModemLost("no module answers")])
async def test_a_module_that_cannot_be_used_is_said_once(road, bench, error):
    """However long each try takes, the waits grow; nothing is leaked and no session is counted."""

    async def slow():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(bench.now.lost.wait(), 70)
        raise error

    for _ in range(30):
        bench.modem(initialise=slow)
    await bench.begin(3600)
    said = road.told("module")
    assert [step.weight for step in said] == [Weight.WARNING] + [Weight.DETAIL] * (len(said) - 1)
    assert said[0].detail == str(error)
    assert bench.supervisor.connection.sessions == 0
    assert bench.waits[-1] == 190
    assert bench.port.open <= 1


async def test_a_modem_that_cannot_be_made_leaks_no_port(road, bench):
    """It is said, and the port is free between the tries."""
    bench.adopting = ModemUnusable("message format 'text' is not known")
    await bench.begin(300)
    assert len(bench.port.times) > 5
    assert bench.port.open == 0
    assert road.told("module")[0].detail == "message format 'text' is not known"


@pytest.mark.parametrize("where", ["opening", "adopting", "initialise", "sweep", "send"])
async def test_a_mistake_of_our_own_ends_one_session(road, bench, make, where):
    """Said in one line that names it, whatever and wherever it was; the next session is made."""
    mistake = ZeroDivisionError("of ours")
    if where == "opening":
        bench.port.plans = [mistake]
    elif where == "adopting":
        bench.adopting = mistake
    elif where == "send":
        road.message()
        road.queue.interrupted = lambda: 1 / 0
    else:
        bench.modem(**{where: mistake})
    await bench.begin()
    [failed] = road.told("session failed")
    assert failed.detail in ("ZeroDivisionError: of ours", "ZeroDivisionError: division by zero")
    assert failed.weight is Weight.ERROR
    assert bench.supervisor.connection.state == failed.detail
    bench.adopting = None
    road.queue.interrupted = list
    await road.passes(10)
    assert bench.supervisor.connection.sessions >= 1
    assert bench.supervisor.connection.session is not None


@pytest.mark.parametrize("when", ["session", "pause", "initialise", "opening"])
async def test_stop_ends_it_at_once(road, bench, when):
    """Wherever it is; nothing is opened afterwards, nothing is said of the end it was told to make."""
    if when == "pause":
        bench.port.always = BUSY
    elif when == "initialise":

        async def mute():
            await bench.now.lost.wait()

        bench.modem(initialise=mute)
    elif when == "opening":

        async def slow():
            await asyncio.sleep(5)

        bench.port.always = slow
    await bench.begin(0.5 if when == "pause" else 3)
    opened = len(bench.port.times)
    bench.supervisor.stop()
    await asyncio.wait_for(bench.task, 5.1 if when == "opening" else 0.1)
    await road.passes(200)
    assert len(bench.port.times) == opened
    assert not road.told("session ended")
    assert not road.told("module")
    assert bench.port.open == 0
    if when == "opening":
        assert not road.told("session")


async def test_stop_before_it_began(bench):
    """Nothing is opened at all."""
    bench.supervisor.stop()
    await asyncio.wait_for(bench.supervisor.run(), 0.1)
    assert bench.port.times == []


@pytest.mark.parametrize(("where", "fine", "late"), [("opening", 55, 65), ("initialise", 295, 305)])
async def test_what_hangs_is_late(road, bench, where, fine, late):
    """Opening a port and initialising have their limits; between sessions and in one nobody is late."""
    end = asyncio.Event()

    async def hang():
        await end.wait()

    if where == "opening":
        bench.port.plans = [hang]
    else:
        bench.modem(initialise=hang)
    await bench.begin(fine)
    assert road.health().late() == []
    await road.passes(late - fine)
    assert road.health().late() == ["supervisor"]
    end.set()
    await road.passes(1000)
    assert road.health().late() == []


async def test_nobody_is_late_while_a_port_is_waited_for(road, bench):
    """For hours."""
    bench.port.always = BUSY
    await bench.begin()
    for _ in range(100):
        await road.passes(61)
        assert road.health().late() == []
