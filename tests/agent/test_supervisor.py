"""The life of the connection: opening, sessions, waits that grow, stopping."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from agent.at.error import ModemLost
from agent.at.wire import PortUnavailable
from agent.journal.resets import Budget, Resets
from agent.mending import Means, Mender
from agent.modem.error import ModemUnusable
from agent.modem.sending import Unknown
from agent.modem.state import Registration
from agent.recovery import Ladder
from agent.session import Session
from agent.story import Weight
from agent.supervisor import Supervisor
from hardware.power import PowerUnusable
from hardware.profile import DriverProfile


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
        self.change = lambda modem: None
        """Done to each modem that is made."""
        self.task = None
        self.port.far = self._hears
        self.obeys = True
        self.assemble()

    def assemble(self, *, power=None, may_drop_data=False, budget=None):
        """The supervisor, with what recovery may use."""
        road = self.road
        self.mender = Mender(
            Ladder(road.random, power=power is not None),
            Means(power, may_drop_data, lambda: self.user),
            Resets(road.journal, budget or Budget()),
            road.skin,
            self.port,
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

    def _hears(self, line):
        """A module that nobody has set up is told something."""
        names = {"AT+CFUN=1,1": ("restart",), "AT+CFUN=0": ("radio", True)}
        if line in names:
            self.road.log.append(names[line])
        return b"\r\nOK\r\n" if self.obeys else b""

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
        self.change(modem)
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
    assert bench.waits[-1] == 24


async def test_another_trouble_of_the_port_is_news(road, bench):
    """And the same one again after a session."""
    absent = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    bench.port.plans = [BUSY, BUSY, absent, None, absent]
    bench.modem(sweep=bench.unplug)
    await bench.begin(60)
    weights = [step.weight for step in road.told("port")]
    assert weights == [Weight.WARNING, Weight.DETAIL, Weight.WARNING, Weight.WARNING]


async def test_sessions_that_fail_are_tried_with_waits_that_grow(road, bench, make):
    """To three quarters of a minute: whoever mends it waits for it."""
    for _ in range(80):
        bench.modem(sweep=bench.unplug)
    await bench.begin(3000)
    assert bench.waits[:5] == [2, 4, 7, 12, 21]
    assert bench.waits[-1] == 45
    assert 60 < len(bench.waits) < 80


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

    for _ in range(60):
        bench.modem(initialise=slow)
    await bench.begin(3600)
    said = road.told("module")
    assert [step.weight for step in said] == [Weight.WARNING] + [Weight.DETAIL] * (len(said) - 1)
    assert said[0].detail == str(error)
    assert bench.supervisor.connection.sessions == 0
    assert bench.waits[-1] == 115
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


# Recovery


class Switch:
    """A power switch of the test's own."""

    def __init__(self, road, *, is_key=True, pulse_s=3.0):
        self.road = road
        self.name, self.is_key, self.pulse_s = "the test's switch", is_key, pulse_s
        self.on = True
        self.trouble = None

    async def cycle(self, driver):
        await self._pulse("cycle")

    async def press(self, driver):
        await self._pulse("press")

    async def _pulse(self, what):
        self.road.log.append((what,))
        if self.trouble is not None:
            raise self.trouble
        self.on = False
        try:
            await asyncio.sleep(self.pulse_s)
        finally:
            self.on = True


REMEDIES = ("reselect", "radio", "restart", "cycle", "press")


def mute(bench):
    """From now on no modem answers."""
    silence = ModemLost("no module answers: nothing came back")
    bench.change = lambda modem: modem.always.update(initialise=silence)
    bench.obeys = False


async def test_a_mute_module_goes_up_the_ladder(road, bench):
    """Restart by its command, then power; each is committed before it is done and said in one line."""
    bench.assemble(power=Switch(road))
    await bench.begin()
    mute(bench)
    bench.now.lose("no answer to AT+CMGL=4 and none since")
    await road.until(lambda: road.happened("press"), 7200)
    assert [what for what, *_ in road.happened(*REMEDIES)] == ["restart", "cycle", "press"]
    assert road.look("SELECT step FROM resets") == ["restart", "power", "power"]
    for kind in ("restart", "cycle", "press"):
        entries = [entry[0] for entry in road.log]
        assert entries[: entries.index(kind)].count("commit") >= 1
    said = [str(step) for step in road.told("recovery")]
    assert said[0] == (
        "recovery: the module does not answer: restart it by its own command; 1 of 3 resets this hour"
    )
    assert len(said) == 3
    assert all(step.weight is Weight.WARNING for step in road.told("recovery"))
    bench.change = lambda modem: None
    await road.passes(400)
    assert bench.supervisor.connection.session is not None


async def test_the_reset_is_on_disk_before_it_is_done(road, bench):
    """Killed in the middle of it, the next process counts it."""
    mute(bench)
    seen = []

    class Looking(Switch):
        async def cycle(self, driver):
            seen.append(road.look("SELECT step FROM resets"))

    bench.assemble(power=Looking(road))
    await bench.begin()
    await road.until(lambda: seen, 7200)
    assert seen[0][-1] == "power"


async def test_the_budget_is_kept_whatever_happens(road, bench):
    """A module that is mute for two days: no more than three an hour and twelve a day; the end of the budget
    is said once, and the sessions go on being tried."""
    mute(bench)
    bench.assemble(power=Switch(road), budget=Budget(1, 2))
    await bench.begin(3600)
    assert len(road.happened(*REMEDIES)) == 1
    refused = [step for step in road.told("recovery") if "resets_per_hour" in step.detail]
    assert [step.weight for step in refused].count(Weight.WARNING) == 1
    opened = len(bench.port.times)
    await road.passes(47 * 3600)
    assert len(road.happened(*REMEDIES)) <= 4
    assert len(bench.port.times) > opened + 100
    loud = [step for step in road.steps if step.weight > Weight.NORMAL]
    assert len(loud) < 40


async def test_nothing_is_restarted_while_something_else_uses_the_module(road, bench):
    """Said once, with the key that allows it; done where it is allowed."""
    mute(bench)
    bench.user = "the network interface wwan0 of the same USB device is up"
    bench.assemble(power=Switch(road))
    await bench.begin(7200)
    assert road.happened(*REMEDIES) == []
    assert road.look("SELECT * FROM resets") == []
    [said] = [step for step in road.told("recovery") if step.weight is Weight.WARNING]
    assert said.detail == (
        "the module does not answer, but not done: restart it by its own command: "
        "the network interface wwan0 of the same USB device is up; recovery.may_drop_data = true allows it"
    )
    bench.supervisor.stop()
    await bench.task
    bench.assemble(power=Switch(road), may_drop_data=True)
    await bench.begin(1200)
    assert road.happened("restart")


async def test_a_port_that_is_absent_is_never_reset(road, bench):
    """For days."""
    bench.assemble(power=Switch(road))
    bench.port.always = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    await bench.begin(2 * 86_400)
    assert road.happened(*REMEDIES) == []
    assert len([step for step in road.steps if step.weight > Weight.NORMAL]) == 1


@pytest.mark.parametrize("pulse_s", [4.0, 500.0])
async def test_stop_ends_a_pulse(road, bench, pulse_s):
    """At once, and the key is let go."""
    mute(bench)
    switch = Switch(road, pulse_s=pulse_s)
    bench.assemble(power=switch)
    await bench.begin()
    await road.until(lambda: not switch.on, 7200)
    bench.supervisor.stop()
    await asyncio.wait_for(bench.task, 0.1)
    assert switch.on


async def test_stop_ends_a_restart(road, bench):
    """Also one that is written to a mute module, whose port is let go."""
    mute(bench)
    await bench.begin()
    await road.until(lambda: road.happened("restart"), 7200)
    bench.supervisor.stop()
    await asyncio.wait_for(bench.task, 0.1)
    assert bench.port.open == 0


async def test_a_restart_of_a_mute_module_takes_no_longer_than_writing_it(road, bench):
    """Nobody answers; the next session tells whether it helped."""
    mute(bench)
    await bench.begin()
    await road.until(lambda: road.happened("restart"), 7200)
    opened = len(bench.port.times)
    await road.passes(30)
    assert len(bench.port.times) > opened


@pytest.mark.parametrize("is_key", [True, False])
async def test_what_a_key_may_switch_off_can_be_switched_on_again(road, bench, is_key):
    """A pulse that the budget would leave alone for the rest of the day is not begun; other switches are."""
    mute(bench)
    bench.assemble(power=Switch(road, is_key=is_key), budget=Budget(3, 2))
    await bench.begin()
    await road.until(lambda: road.happened("restart"), 7200)
    await road.passes(3600)
    assert road.happened("cycle", "press") == ([] if is_key else [("cycle",)])
    assert any("2 must be left" in step.detail for step in road.told("recovery")) == is_key


async def test_power_that_cannot_be_switched_is_said(road, bench):
    """It counts all the same, and the ladder goes on."""
    mute(bench)
    switch = Switch(road)
    switch.trouble = PowerUnusable("there is no line 40 on gpiochip0")
    bench.assemble(power=switch)
    await bench.begin()
    await road.until(lambda: road.happened("cycle"), 7200)
    await road.passes(1)
    assert "there is no line 40 on gpiochip0" in road.told("recovery")[-1].detail
    assert bench.mender.used.hour == 2


async def test_a_mistake_while_mending_ends_nothing(road, bench):
    """Said; sessions are tried on."""
    mute(bench)
    switch = Switch(road)
    switch.trouble = ZeroDivisionError("of ours")
    bench.assemble(power=switch)
    await bench.begin()
    await road.until(lambda: road.told("recovery failed"), 7200)
    opened = len(bench.port.times)
    await road.passes(600)
    assert len(bench.port.times) > opened


async def test_a_journal_that_cannot_note_it_lets_nothing_be_restarted(road, bench):
    """What is not on disk is not counted after the next start."""
    mute(bench)
    road.disk_full()
    bench.assemble(power=Switch(road))
    await bench.begin(3600)
    assert road.happened(*REMEDIES) == []
    assert "the journal cannot note it" in road.told("recovery")[0].detail
    road.trouble = None


async def test_a_lost_sim_gets_its_power_back_and_a_full_start(road, bench, make):
    """The SIM's power is cycled by +CFUN at once; the next session sets everything up anew."""
    for _ in range(2):
        lost = bench.modem(initialise=ModemUnusable("the module sees no SIM; is it in its holder?"))
        lost.card = make.refused(10, kind="cme")
    await bench.begin(60)
    assert road.happened(*REMEDIES) == [("radio", True)]
    assert road.look("SELECT reason FROM resets") == ["the SIM is not seen"]
    assert bench.supervisor.connection.session is not None


async def test_a_module_that_cannot_be_set_up_is_restarted(road, bench):
    """Where its SIM tells of nothing wrong: after the third try, and once only if it never worked before."""
    for _ in range(100):
        bench.modem(initialise=ModemUnusable("it refuses PDU mode"))
    await bench.begin(7200)
    assert road.happened(*REMEDIES) == [("restart",)]
    assert road.look("SELECT reason FROM resets") == ["the module cannot be used"]


async def test_what_was_switched_off_and_on_gets_time_to_come_back(road, bench, make):
    """No session is tried for ten seconds, though the waits have not grown so far yet."""
    lost = bench.modem(initialise=ModemUnusable("the module sees no SIM; is it in its holder?"))
    lost.card = make.refused(10, kind="cme")
    await bench.begin(0)
    await road.until(lambda: road.happened("radio"), 60)
    tries, began = len(bench.port.times), road.now()
    await road.until(lambda: len(bench.port.times) > tries, 60)
    assert 10 <= road.now() - began < 12


async def test_a_pin_is_waited_for(road, bench):
    """No restart helps against it."""
    for _ in range(100):
        bench.modem(initialise=ModemUnusable("the SIM asks for SIM PIN")).card = ["+CPIN: SIM PIN"]
    await bench.begin(7200)
    assert road.happened(*REMEDIES) == []


async def test_no_network_for_long(road, bench):
    """In the session: network, radio, restart; the last two end it, which is no failure."""
    bench.change = lambda modem: setattr(modem, "registered", Registration(2, 2))
    await bench.begin(590)
    assert road.happened(*REMEDIES) == []
    await road.passes(90)
    assert road.happened(*REMEDIES) == [("reselect",)]
    assert bench.supervisor.connection.sessions == 1
    await road.passes(3000)
    assert [what for what, *_ in road.happened(*REMEDIES)] == ["reselect", "radio", "restart"]
    assert bench.supervisor.connection.sessions == 3
    assert bench.mender.ladder.describe() == "no network, steps taken: 3"
    assert [wait for wait in bench.waits if wait > 60 * 5] == bench.waits
    assert road.health().late() == []


async def test_only_the_session_that_a_remedy_ended_is_excused(road, bench):
    """The one after it ends as any other does: with waits that grow."""
    bench.change = lambda modem: setattr(modem, "registered", Registration(2, 2))
    await bench.begin()
    await road.until(lambda: road.happened("radio"), 7200)
    bench.port.always = BUSY
    bench.port.times.clear()
    await road.passes(300)
    assert bench.waits[0] < 5
    assert bench.waits[-1] == 24


async def test_denied_registration_is_reset_once_an_hour_at_most(road, bench):
    """On disk, too: whatever the ladder remembers."""
    bench.change = lambda modem: setattr(modem, "registered", Registration(3))
    await bench.begin(6 * 3600)
    times = road.look("SELECT at_running FROM resets ORDER BY id")
    assert len(times) >= 2
    assert all(later - earlier >= 3600 for earlier, later in pairwise(times))
    assert set(road.look("SELECT reason FROM resets")) == {"registration denied"}


async def test_denied_registration_counts_other_resets(road, bench):
    """One of any kind in the last hour is enough to wait, and is said once."""
    bench.change = lambda modem: setattr(modem, "registered", Registration(3))
    await bench.begin()
    bench.mender._resets.reserve("restart", "the module does not answer")
    await road.passes(3000)
    assert len(road.look("SELECT * FROM resets")) == 1
    assert road.happened(*REMEDIES) == []
    assert "at most one reset an hour" in road.told("recovery")[0].detail
    await road.passes(1500)
    assert road.happened(*REMEDIES) == [("reselect",)]


async def test_a_domain_that_can_send_is_enough(road, bench):
    """Denied in the one, registered in the other: nothing is wrong."""
    bench.change = lambda modem: setattr(modem, "registered", Registration(3, 5, 5))
    await bench.begin(7200)
    assert road.happened(*REMEDIES) == []


async def test_a_sim_that_is_lost_without_a_word_begins_a_new_session(road, bench, make):
    """Nothing registers, and the SIM does not answer: setting up anew finds out and mends it."""
    await bench.begin()
    first = bench.now
    first.registered = Registration(0)
    first.card = make.refused(13, kind="cme")
    await road.passes(400)
    assert first.lost.is_set()
    assert bench.supervisor.connection.sessions == 2


async def test_a_sim_that_stays_busy_gets_its_power_cycled(road, bench, make):
    """In the session, which ends by it."""

    def change(modem):
        modem.registered = Registration(0)
        modem.card = make.refused(14, kind="cme")

    bench.change = change
    await bench.begin(120)
    assert road.happened(*REMEDIES) == []
    await road.passes(120)
    assert road.happened(*REMEDIES) == [("radio", True)]
    assert road.look("SELECT reason FROM resets") == ["the SIM stays busy"]


@pytest.mark.parametrize("why", ["stop", "gone"])
async def test_a_remedy_that_the_line_does_not_outlive_has_not_failed(road, bench, why):
    """Told to stop in the middle, or the port vanishes because it helps: nothing is said of a failure."""

    def change(modem):
        async def slow():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(modem.lost.wait(), 200)
            raise ModemLost(modem.loss)

        modem.registered = Registration(2)
        modem.always["reselect"] = slow

    bench.change = change
    await bench.begin()
    await road.until(lambda: road.happened("reselect"), 7200)
    if why == "stop":
        bench.supervisor.stop()
        await asyncio.wait_for(bench.task, 0.1)
    else:
        bench.now.lose("port /dev/ttyUSB2 is gone")
        await road.passes(1)
    assert [step.detail.split(":")[0] for step in road.told("recovery")] == ["no network"]


async def test_the_health_of_others_waits_with_the_line(road, bench):
    """A choice of network may hold the line for minutes: nobody is late for it."""

    def change(modem):
        modem.registered = Registration(2)
        modem.always["reselect"] = lambda: asyncio.sleep(200)

    bench.change = change
    try:
        await bench.begin()
        road.health().within("somebody", 610)
        late = []
        for _ in range(90):
            await road.passes(10)
            late += road.health().late() if road.now() < 1000 + 600 + 200 else []
        assert road.happened("reselect")
        assert late == []
    finally:
        road.health().ended("somebody")


async def test_sending_that_takes_the_module_down_rests(road, bench, make):
    """After two in a row: receiving goes on, the log says power; tried again after the pause."""
    for _ in range(6):
        road.message()

    def change(modem):
        async def brown_out(_submit):
            await asyncio.sleep(0.3)
            modem.lose("port /dev/ttyUSB2 is gone")
            return Unknown("port /dev/ttyUSB2 is gone")

        modem.always["send"] = brown_out

    bench.change = change
    await bench.begin(60)
    assert road.replies().count("unknown") == 2
    [said] = road.told("power")
    assert "power supply" in said.detail
    assert "5 min" in said.detail
    bench.now.store(3, tell=True)
    await road.passes(5)
    assert road.states() == ["received"]
    await road.passes(200)
    assert len(road.happened("body")) == 2
    await road.passes(90)
    assert len(road.happened("body")) == 3
    assert "10 min" in road.told("power")[-1].detail


async def test_when_nothing_helps_the_process_ends(road, bench):
    """After an hour of it; systemd starts another one."""
    bench.assemble(power=Switch(road, is_key=False))
    await bench.begin()
    mute(bench)
    bench.now.lose("no answer")
    await road.until(lambda: bench.gave_up, 3 * 3600)
    assert road.now() >= 1000 + 3600
    await asyncio.wait_for(bench.task, 1)
    assert bench.gave_up == [
        "the module does not answer, and nothing has helped for an hour: no module answers: nothing came back"
    ]
    assert len(road.look("SELECT id FROM resets")) == len(road.happened(*REMEDIES))


async def test_a_module_that_went_mute_is_restarted_by_its_own_command(road, bench):
    """How it is driven was learned while it still answered."""
    told = []

    def hears(line):
        told.append(line)
        return b"\r\nOK\r\n"

    bench.port.far = hears
    bench.change = lambda modem: setattr(modem, "driver", DriverProfile(restart_command="AT+RESET"))
    await bench.begin()
    mute(bench)
    bench.now.lose("no answer")
    await road.until(lambda: told, 7200)
    assert told == ["AT+RESET"]
