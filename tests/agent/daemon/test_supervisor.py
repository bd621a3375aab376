"""The life of the connection: opening, sessions, waits that grow, stopping."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from agent.at.errors import ModemLost
from agent.at.transport.base import PortUnavailable
from agent.common.events import Severity
from agent.daemon.session import Session
from agent.daemon.supervisor import Supervisor
from agent.journal.reset_budget import ResetBudget, ResetLimits
from agent.modem.error import ModemUnusable
from agent.modem.sending import OutcomeUnknown
from agent.modem.status_queries import Registration
from agent.recovery.executor import RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import RecoveryPolicy
from hardware.power import PowerUnavailable
from hardware.profile import DriverProfile


class SupervisorBench:
    """A supervisor over modems of the test's own; `modems` are handed out one after the other."""

    def __init__(self, road, make):
        self.road = road
        self.port = make.port()
        self.modems = []
        self.status = []
        self.make = make
        self.make_modem_error = None
        self.channels = []
        self.exit_reasons = []
        self.module_user = ""
        self.prepare_modem = lambda modem: None
        """Done to each modem that is made."""
        self.task = None
        self.port.answer = self._answer
        self.answers = True
        self.assemble()

    def assemble(self, *, power=None, may_drop_data=False, budget=None):
        """The supervisor, with what recovery may use."""
        road = self.road
        self.recovery_executor = RecoveryExecutor(
            RecoveryPolicy(road.random, has_power_switch=power is not None),
            RecoveryOptions(power, may_drop_data, lambda: self.module_user),
            ResetBudget(road.journal, budget or ResetLimits()),
            road.db,
            self.port,
            road.emit,
            road.deadlines(),
        )
        self.supervisor = Supervisor(
            self.port,
            self._make_modem,
            lambda modem: Session(modem, road.make_receiver(modem), road.make_sender(modem)),
            self.recovery_executor,
            road.brownout_guard,
            self._request_exit,
            road.emit,
            self.status.append,
            road.deadlines(),
        )

    def _answer(self, line):
        """A module that nobody has set up is told something."""
        names = {"AT+CFUN=1,1": ("restart",), "AT+CFUN=0": ("radio", True)}
        if line in names:
            self.road.call_log.append(names[line])
        return b"\r\nOK\r\n" if self.answers else b""

    def _request_exit(self, why):
        self.exit_reasons.append(why)
        self.supervisor.stop()

    def modem(self, **plans):
        """The next modem; plans for its steps by name."""
        modem = self.make.modem(self.road)
        for what, plan in plans.items():
            modem.plan(what, plan)
        self.modems.append(modem)
        return modem

    def _make_modem(self, channel):
        self.channels.append(channel)
        if self.make_modem_error is not None:
            raise self.make_modem_error
        modem = self.modems.pop(0) if self.modems else self.make.modem(self.road)
        self.now = modem
        self.prepare_modem(modem)
        return modem

    async def start(self, seconds=1):
        self.task = asyncio.create_task(self.supervisor.run())
        await asyncio.sleep(seconds)

    async def unplug(self):
        """A plan for a step: the line is gone."""
        self.now.lose_line("unplugged")

    @property
    def waits(self):
        """Between the openings, in whole seconds."""
        return [round(later - earlier) for earlier, later in pairwise(self.port.opened_at)]


@pytest.fixture
async def supervisor_bench(pipeline, factories):
    bench = SupervisorBench(pipeline, factories)
    yield bench
    bench.supervisor.stop()
    if bench.task is not None:
        await asyncio.wait_for(bench.task, 10)
    assert bench.port.open_count == 0
    assert pipeline.deadlines()._deadlines == {}


BUSY = PortUnavailable("busy", "/dev/ttyUSB2 is in use by ModemManager (process 7)")


async def test_a_session_is_made_and_the_next_one_after_it(pipeline, supervisor_bench):
    """The port is closed before it is opened again."""
    first = supervisor_bench.modem()
    supervisor_bench.modem()
    await supervisor_bench.start()
    assert supervisor_bench.supervisor.connection.session_count == 1
    assert supervisor_bench.supervisor.connection.session.modem is first
    assert first.initialised
    assert "messages in ME" in pipeline.events_of_kind("session")[0].message
    first.lose_line("unplugged")
    await pipeline.advance(0.5)
    assert supervisor_bench.supervisor.connection.session is None
    assert str(supervisor_bench.supervisor.connection) == "unplugged"
    assert supervisor_bench.status[-1] == "unplugged"
    assert supervisor_bench.port.open_count == 0
    await pipeline.advance(5)
    assert supervisor_bench.supervisor.connection.session_count == 2
    assert [str(step) for step in pipeline.events_of_kind("session ended")] == ["session ended: unplugged"]
    assert supervisor_bench.status[:2] == [
        "initialising the module",
        "EC25, registered, home, signal -71 dBm",
    ]


async def test_a_port_that_is_not_there_is_said_once(pipeline, supervisor_bench):
    """With its holder; the waits grow to half a minute, each failure stands in the status."""
    supervisor_bench.port.default = BUSY
    await supervisor_bench.start(600)
    said = pipeline.events_of_kind("port")
    assert len(said) > 10
    assert [step.severity for step in said] == [Severity.WARNING] + [Severity.DEBUG] * (len(said) - 1)
    assert said[0].message == "/dev/ttyUSB2 is in use by ModemManager (process 7)"
    assert str(supervisor_bench.supervisor.connection) == said[0].message
    assert supervisor_bench.status[-1] == said[0].message
    assert supervisor_bench.waits[:4] == [1, 2, 3, 6]
    assert supervisor_bench.waits == sorted(supervisor_bench.waits)
    assert supervisor_bench.waits[-1] == 24


async def test_another_trouble_of_the_port_is_news(pipeline, supervisor_bench):
    """And the same one again after a session."""
    absent = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    supervisor_bench.port.planned = [BUSY, BUSY, absent, None, absent]
    supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(60)
    weights = [step.severity for step in pipeline.events_of_kind("port")]
    assert weights == [Severity.WARNING, Severity.DEBUG, Severity.WARNING, Severity.WARNING]


async def test_sessions_that_fail_are_tried_with_waits_that_grow(pipeline, supervisor_bench, factories):
    """To three quarters of a minute: whoever mends it waits for it."""
    for _ in range(80):
        supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(3000)
    assert supervisor_bench.waits[:5] == [2, 4, 7, 12, 21]
    assert supervisor_bench.waits[-1] == 45
    assert 60 < len(supervisor_bench.waits) < 80


async def test_a_steady_session_lets_the_waits_begin_anew(pipeline, supervisor_bench):
    """One that worked for a quarter of an hour; one that worked for less lets them only grow no further."""
    for _ in range(5):
        supervisor_bench.modem(sweep=supervisor_bench.unplug)
    steady = supervisor_bench.modem()
    await supervisor_bench.start(60)
    assert supervisor_bench.now is steady
    supervisor_bench.modem()
    await pipeline.advance(800)
    steady.lose_line("gone")
    before = pipeline.monotonic()
    await pipeline.advance(25)
    assert supervisor_bench.port.opened_at[-1] - before > 20
    await pipeline.advance(905)
    supervisor_bench.now.lose_line("gone")
    before = pipeline.monotonic()
    await pipeline.advance(3)
    assert before < supervisor_bench.port.opened_at[-1] < before + 3


async def test_a_steady_session_excuses_only_itself(pipeline, supervisor_bench):
    """What fails after it is counted anew."""
    steady = supervisor_bench.modem()
    await supervisor_bench.start(1000)
    supervisor_bench.port.default = BUSY
    steady.lose_line("unplugged")
    await pipeline.advance(60)
    assert supervisor_bench.waits[2:6] == [3, 6, 11, 19]


async def test_a_port_is_closed_before_it_is_opened_again(pipeline, supervisor_bench):
    """However long that takes."""
    supervisor_bench.port.close_delay_s = 5.0
    for _ in range(3):
        supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(60)
    assert supervisor_bench.supervisor.connection.session_count == 4
    assert not pipeline.events_of_kind("session failed")


@pytest.mark.parametrize("error", [ModemUnusable("the SIM wants its PIN"), ModemLost("no module answers")])
async def test_a_module_that_cannot_be_used_is_said_once(pipeline, supervisor_bench, error):
    """However long each try takes, the waits grow; nothing is leaked and no session is counted."""

    async def slow():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(supervisor_bench.now.lost.wait(), 70)
        raise error

    for _ in range(60):
        supervisor_bench.modem(initialise=slow)
    await supervisor_bench.start(3600)
    said = pipeline.events_of_kind("module")
    assert [step.severity for step in said] == [Severity.WARNING] + [Severity.DEBUG] * (len(said) - 1)
    assert said[0].message == str(error)
    assert supervisor_bench.supervisor.connection.session_count == 0
    assert supervisor_bench.waits[-1] == 115
    assert supervisor_bench.port.open_count <= 1


async def test_a_modem_that_cannot_be_made_leaks_no_port(pipeline, supervisor_bench):
    """It is said, and the port is free between the tries."""
    supervisor_bench.make_modem_error = ModemUnusable("message format 'text' is not known")
    await supervisor_bench.start(300)
    assert len(supervisor_bench.port.opened_at) > 5
    assert supervisor_bench.port.open_count == 0
    assert pipeline.events_of_kind("module")[0].message == "message format 'text' is not known"


@pytest.mark.parametrize("where", ["opening", "adopting", "initialise", "sweep", "send"])
async def test_a_mistake_of_our_own_ends_one_session(pipeline, supervisor_bench, factories, where):
    """Said in one line that names it, whatever and wherever it was; the next session is made."""
    mistake = ZeroDivisionError("of ours")
    if where == "opening":
        supervisor_bench.port.planned = [mistake]
    elif where == "adopting":
        supervisor_bench.make_modem_error = mistake
    elif where == "send":
        pipeline.queue_message()
        pipeline.outbox_store.close_interrupted = lambda: 1 / 0
    else:
        supervisor_bench.modem(**{where: mistake})
    await supervisor_bench.start()
    [failed] = pipeline.events_of_kind("session failed")
    assert failed.message in ("ZeroDivisionError: of ours", "ZeroDivisionError: division by zero")
    assert failed.severity is Severity.ERROR
    assert str(supervisor_bench.supervisor.connection) == failed.message
    supervisor_bench.make_modem_error = None
    pipeline.outbox_store.close_interrupted = list
    await pipeline.advance(10)
    assert supervisor_bench.supervisor.connection.session_count >= 1
    assert supervisor_bench.supervisor.connection.session is not None


@pytest.mark.parametrize("when", ["session", "pause", "initialise", "opening"])
async def test_stop_ends_it_at_once(pipeline, supervisor_bench, when):
    """Wherever it is; nothing is opened afterwards, nothing is said of the end it was told to make."""
    if when == "pause":
        supervisor_bench.port.default = BUSY
    elif when == "initialise":

        async def mute():
            await supervisor_bench.now.lost.wait()

        supervisor_bench.modem(initialise=mute)
    elif when == "opening":

        async def slow():
            await asyncio.sleep(5)

        supervisor_bench.port.default = slow
    await supervisor_bench.start(0.5 if when == "pause" else 3)
    opened = len(supervisor_bench.port.opened_at)
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.task, 5.1 if when == "opening" else 0.1)
    await pipeline.advance(200)
    assert len(supervisor_bench.port.opened_at) == opened
    assert not pipeline.events_of_kind("session ended")
    assert not pipeline.events_of_kind("module")
    assert supervisor_bench.port.open_count == 0
    if when == "opening":
        assert not pipeline.events_of_kind("session")


async def test_stop_before_it_began(supervisor_bench):
    """Nothing is opened at all."""
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.supervisor.run(), 0.1)
    assert supervisor_bench.port.opened_at == []


@pytest.mark.parametrize(("where", "fine", "late"), [("opening", 55, 65), ("initialise", 295, 305)])
async def test_what_hangs_is_late(pipeline, supervisor_bench, where, fine, late):
    """Opening a port and initialising have their limits; between sessions and in one nobody is late."""
    end = asyncio.Event()

    async def hang():
        await end.wait()

    if where == "opening":
        supervisor_bench.port.planned = [hang]
    else:
        supervisor_bench.modem(initialise=hang)
    await supervisor_bench.start(fine)
    assert pipeline.deadlines().overdue() == []
    await pipeline.advance(late - fine)
    assert pipeline.deadlines().overdue() == ["supervisor"]
    end.set()
    await pipeline.advance(1000)
    assert pipeline.deadlines().overdue() == []


async def test_nobody_is_late_while_a_port_is_waited_for(pipeline, supervisor_bench):
    """For hours."""
    supervisor_bench.port.default = BUSY
    await supervisor_bench.start()
    for _ in range(100):
        await pipeline.advance(61)
        assert pipeline.deadlines().overdue() == []


# Recovery


class FakePower:
    """A power switch of the test's own."""

    def __init__(self, road, *, is_toggle=True, pulse_s=3.0):
        self.road = road
        self.name, self.is_toggle, self.pulse_s = "the test's switch", is_toggle, pulse_s
        self.on = True
        self.trouble = None

    async def power_cycle(self, driver):
        await self._pulse("cycle")

    async def power_on(self, driver):
        await self._pulse("press")

    async def _pulse(self, what):
        self.road.call_log.append((what,))
        if self.trouble is not None:
            raise self.trouble
        self.on = False
        try:
            await asyncio.sleep(self.pulse_s)
        finally:
            self.on = True


ACTIONS = ("reselect", "radio", "restart", "cycle", "press")


def mute(bench):
    """From now on no modem answers."""
    silence = ModemLost("no module answers: nothing came back")
    bench.prepare_modem = lambda modem: modem.defaults.update(initialise=silence)
    bench.answers = False


async def test_a_mute_module_goes_up_the_ladder(pipeline, supervisor_bench):
    """Restart by its command, then power; each is committed before it is done and said in one line."""
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start()
    mute(supervisor_bench)
    supervisor_bench.now.lose_line("no answer to AT+CMGL=4 and none since")
    await pipeline.wait_until(lambda: pipeline.calls_of("press"), 7200)
    assert [what for what, *_ in pipeline.calls_of(*ACTIONS)] == ["restart", "cycle", "press"]
    assert pipeline.query_column("SELECT action FROM resets") == ["restart", "power", "power"]
    for kind in ("restart", "cycle", "press"):
        entries = [entry[0] for entry in pipeline.call_log]
        assert entries[: entries.index(kind)].count("commit") >= 1
    said = [str(step) for step in pipeline.events_of_kind("recovery")]
    assert said[0] == (
        "recovery: the module does not answer: restart it by its own command; 1 of 3 resets this hour"
    )
    assert len(said) == 3
    assert all(step.severity is Severity.WARNING for step in pipeline.events_of_kind("recovery"))
    supervisor_bench.prepare_modem = lambda modem: None
    await pipeline.advance(400)
    assert supervisor_bench.supervisor.connection.session is not None


async def test_the_reset_is_on_disk_before_it_is_done(pipeline, supervisor_bench):
    """Killed in the middle of it, the next process counts it."""
    mute(supervisor_bench)
    seen = []

    class Looking(FakePower):
        async def power_cycle(self, driver):
            seen.append(pipeline.query_column("SELECT action FROM resets"))

    supervisor_bench.assemble(power=Looking(pipeline))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: seen, 7200)
    assert seen[0][-1] == "power"


async def test_the_budget_is_kept_whatever_happens(pipeline, supervisor_bench):
    """A module that is mute for two days: no more than three an hour and twelve a day; the end of the budget
    is said once, and the sessions go on being tried."""
    mute(supervisor_bench)
    supervisor_bench.assemble(power=FakePower(pipeline), budget=ResetLimits(1, 2))
    await supervisor_bench.start(3600)
    assert len(pipeline.calls_of(*ACTIONS)) == 1
    refused = [step for step in pipeline.events_of_kind("recovery") if "resets_per_hour" in step.message]
    assert [step.severity for step in refused].count(Severity.WARNING) == 1
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(47 * 3600)
    assert len(pipeline.calls_of(*ACTIONS)) <= 4
    assert len(supervisor_bench.port.opened_at) > opened + 100
    loud = [step for step in pipeline.events if step.severity > Severity.INFO]
    assert len(loud) < 40


async def test_nothing_is_restarted_while_something_else_uses_the_module(pipeline, supervisor_bench):
    """Said once, with the key that allows it; done where it is allowed."""
    mute(supervisor_bench)
    supervisor_bench.module_user = "the network interface wwan0 of the same USB device is up"
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []
    assert pipeline.query_column("SELECT * FROM resets") == []
    [said] = [step for step in pipeline.events_of_kind("recovery") if step.severity is Severity.WARNING]
    assert said.message == (
        "the module does not answer, but not done: restart it by its own command: "
        "the network interface wwan0 of the same USB device is up; recovery.may_drop_data = true allows it"
    )
    supervisor_bench.supervisor.stop()
    await supervisor_bench.task
    supervisor_bench.assemble(power=FakePower(pipeline), may_drop_data=True)
    await supervisor_bench.start(1200)
    assert pipeline.calls_of("restart")


async def test_a_port_that_is_absent_is_never_reset(pipeline, supervisor_bench):
    """For days."""
    supervisor_bench.assemble(power=FakePower(pipeline))
    supervisor_bench.port.default = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    await supervisor_bench.start(2 * 86_400)
    assert pipeline.calls_of(*ACTIONS) == []
    assert len([step for step in pipeline.events if step.severity > Severity.INFO]) == 1


@pytest.mark.parametrize("pulse_s", [4.0, 500.0])
async def test_stop_ends_a_pulse(pipeline, supervisor_bench, pulse_s):
    """At once, and the key is let go."""
    mute(supervisor_bench)
    switch = FakePower(pipeline, pulse_s=pulse_s)
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: not switch.on, 7200)
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.task, 0.1)
    assert switch.on


async def test_stop_ends_a_restart(pipeline, supervisor_bench):
    """Also one that is written to a mute module, whose port is let go."""
    mute(supervisor_bench)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.task, 0.1)
    assert supervisor_bench.port.open_count == 0


async def test_a_restart_of_a_mute_module_takes_no_longer_than_writing_it(pipeline, supervisor_bench):
    """Nobody answers; the next session tells whether it helped."""
    mute(supervisor_bench)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(30)
    assert len(supervisor_bench.port.opened_at) > opened


@pytest.mark.parametrize("is_key", [True, False])
async def test_what_a_key_may_switch_off_can_be_switched_on_again(pipeline, supervisor_bench, is_key):
    """A pulse that the budget would leave alone for the rest of the day is not begun; other switches are."""
    mute(supervisor_bench)
    supervisor_bench.assemble(power=FakePower(pipeline, is_toggle=is_key), budget=ResetLimits(3, 2))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    await pipeline.advance(3600)
    assert pipeline.calls_of("cycle", "press") == ([] if is_key else [("cycle",)])
    assert any("2 must be left" in step.message for step in pipeline.events_of_kind("recovery")) == is_key


async def test_power_that_cannot_be_switched_is_said(pipeline, supervisor_bench):
    """It counts all the same, and the ladder goes on."""
    mute(supervisor_bench)
    switch = FakePower(pipeline)
    switch.trouble = PowerUnavailable("there is no line 40 on gpiochip0")
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("cycle"), 7200)
    await pipeline.advance(1)
    assert "there is no line 40 on gpiochip0" in pipeline.events_of_kind("recovery")[-1].message
    assert supervisor_bench.recovery_executor.reset_usage.last_hour == 2


async def test_a_mistake_while_mending_ends_nothing(pipeline, supervisor_bench):
    """Said; sessions are tried on."""
    mute(supervisor_bench)
    switch = FakePower(pipeline)
    switch.trouble = ZeroDivisionError("of ours")
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.events_of_kind("recovery failed"), 7200)
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(600)
    assert len(supervisor_bench.port.opened_at) > opened


async def test_a_journal_that_cannot_note_it_lets_nothing_be_restarted(pipeline, supervisor_bench):
    """What is not on disk is not counted after the next start."""
    mute(supervisor_bench)
    pipeline.fail_commits_disk_full()
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start(3600)
    assert pipeline.calls_of(*ACTIONS) == []
    assert "the journal cannot record it" in pipeline.events_of_kind("recovery")[0].message
    pipeline.commit_error = None


async def test_a_lost_sim_gets_its_power_back_and_a_full_start(pipeline, supervisor_bench, factories):
    """The SIM's power is cycled by +CFUN at once; the next session sets everything up anew."""
    for _ in range(2):
        lost = supervisor_bench.modem(
            initialise=ModemUnusable("the module sees no SIM; is it in its holder?")
        )
        lost.sim_answer = factories.refused(10, kind="cme")
    await supervisor_bench.start(60)
    assert pipeline.calls_of(*ACTIONS) == [("radio", True)]
    assert pipeline.query_column("SELECT reason FROM resets") == ["the module sees no SIM"]
    assert supervisor_bench.supervisor.connection.session is not None


async def test_a_module_that_cannot_be_set_up_is_restarted(pipeline, supervisor_bench):
    """Where its SIM tells of nothing wrong: after the third try, and once only if it never worked before."""
    for _ in range(100):
        supervisor_bench.modem(initialise=ModemUnusable("it refuses PDU mode"))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == [("restart",)]
    assert pipeline.query_column("SELECT reason FROM resets") == ["the module cannot be used"]


async def test_what_was_switched_off_and_on_gets_time_to_come_back(pipeline, supervisor_bench, factories):
    """No session is tried for ten seconds, though the waits have not grown so far yet."""
    lost = supervisor_bench.modem(initialise=ModemUnusable("the module sees no SIM; is it in its holder?"))
    lost.sim_answer = factories.refused(10, kind="cme")
    await supervisor_bench.start(0)
    await pipeline.wait_until(lambda: pipeline.calls_of("radio"), 60)
    tries, began = len(supervisor_bench.port.opened_at), pipeline.monotonic()
    await pipeline.wait_until(lambda: len(supervisor_bench.port.opened_at) > tries, 60)
    assert 10 <= pipeline.monotonic() - began < 12


async def test_a_pin_is_waited_for(pipeline, supervisor_bench):
    """No restart helps against it."""
    for _ in range(100):
        supervisor_bench.modem(initialise=ModemUnusable("the SIM asks for SIM PIN")).sim_answer = [
            "+CPIN: SIM PIN"
        ]
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []


async def test_no_network_for_long(pipeline, supervisor_bench):
    """In the session: network, radio, restart; the last two end it, which is no failure."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(2, 2))
    await supervisor_bench.start(590)
    assert pipeline.calls_of(*ACTIONS) == []
    await pipeline.advance(90)
    assert pipeline.calls_of(*ACTIONS) == [("reselect",)]
    assert supervisor_bench.supervisor.connection.session_count == 1
    await pipeline.advance(3000)
    assert [what for what, *_ in pipeline.calls_of(*ACTIONS)] == ["reselect", "radio", "restart"]
    assert supervisor_bench.supervisor.connection.session_count == 3
    assert supervisor_bench.recovery_executor.policy.describe() == "no network, actions taken: 3"
    assert [wait for wait in supervisor_bench.waits if wait > 60 * 5] == supervisor_bench.waits
    assert pipeline.deadlines().overdue() == []


async def test_only_the_session_that_a_remedy_ended_is_excused(pipeline, supervisor_bench):
    """The one after it ends as any other does: with waits that grow."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(2, 2))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("radio"), 7200)
    supervisor_bench.port.default = BUSY
    supervisor_bench.port.opened_at.clear()
    await pipeline.advance(300)
    assert supervisor_bench.waits[0] < 5
    assert supervisor_bench.waits[-1] == 24


async def test_denied_registration_is_reset_once_an_hour_at_most(pipeline, supervisor_bench):
    """On disk, too: whatever the ladder remembers."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3))
    await supervisor_bench.start(6 * 3600)
    times = pipeline.query_column("SELECT at_uptime FROM resets ORDER BY id")
    assert len(times) >= 2
    assert all(later - earlier >= 3600 for earlier, later in pairwise(times))
    assert set(pipeline.query_column("SELECT reason FROM resets")) == {"registration denied"}


async def test_denied_registration_counts_other_resets(pipeline, supervisor_bench):
    """One of any kind in the last hour is enough to wait, and is said once."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3))
    await supervisor_bench.start()
    supervisor_bench.recovery_executor._reset_budget.reserve("restart", "the module does not answer")
    await pipeline.advance(3000)
    assert len(pipeline.query_column("SELECT * FROM resets")) == 1
    assert pipeline.calls_of(*ACTIONS) == []
    assert "at most one reset an hour" in pipeline.events_of_kind("recovery")[0].message
    await pipeline.advance(1500)
    assert pipeline.calls_of(*ACTIONS) == [("reselect",)]


async def test_a_domain_that_can_send_is_enough(pipeline, supervisor_bench):
    """Denied in the one, registered in the other: nothing is wrong."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3, 5, 5))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []


async def test_a_sim_that_is_lost_without_a_word_begins_a_new_session(pipeline, supervisor_bench, factories):
    """Nothing registers, and the SIM does not answer: setting up anew finds out and mends it."""
    await supervisor_bench.start()
    first = supervisor_bench.now
    first.registered = Registration(0)
    first.sim_answer = factories.refused(13, kind="cme")
    await pipeline.advance(400)
    assert first.lost.is_set()
    assert supervisor_bench.supervisor.connection.session_count == 2


async def test_a_sim_that_stays_busy_gets_its_power_cycled(pipeline, supervisor_bench, factories):
    """In the session, which ends by it."""

    def change(modem):
        modem.registered = Registration(0)
        modem.sim_answer = factories.refused(14, kind="cme")

    supervisor_bench.prepare_modem = change
    await supervisor_bench.start(120)
    assert pipeline.calls_of(*ACTIONS) == []
    await pipeline.advance(120)
    assert pipeline.calls_of(*ACTIONS) == [("radio", True)]
    assert pipeline.query_column("SELECT reason FROM resets") == ["the SIM stays busy"]


@pytest.mark.parametrize("why", ["stop", "gone"])
async def test_a_remedy_that_the_line_does_not_outlive_has_not_failed(pipeline, supervisor_bench, why):
    """Told to stop in the middle, or the port vanishes because it helps: nothing is said of a failure."""

    def change(modem):
        async def slow():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(modem.lost.wait(), 200)
            raise ModemLost(modem.loss_reason)

        modem.registered = Registration(2)
        modem.defaults["reselect"] = slow

    supervisor_bench.prepare_modem = change
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("reselect"), 7200)
    if why == "stop":
        supervisor_bench.supervisor.stop()
        await asyncio.wait_for(supervisor_bench.task, 0.1)
    else:
        supervisor_bench.now.lose_line("port /dev/ttyUSB2 is gone")
        await pipeline.advance(1)
    assert [step.message.split(":")[0] for step in pipeline.events_of_kind("recovery")] == ["no network"]


async def test_the_health_of_others_waits_with_the_line(pipeline, supervisor_bench):
    """A choice of network may hold the line for minutes: nobody is late for it."""

    def change(modem):
        modem.registered = Registration(2)
        modem.defaults["reselect"] = lambda: asyncio.sleep(200)

    supervisor_bench.prepare_modem = change
    try:
        await supervisor_bench.start()
        pipeline.deadlines().expect_within("somebody", 610)
        late = []
        for _ in range(90):
            await pipeline.advance(10)
            late += pipeline.deadlines().overdue() if pipeline.monotonic() < 1000 + 600 + 200 else []
        assert pipeline.calls_of("reselect")
        assert late == []
    finally:
        pipeline.deadlines().clear("somebody")


async def test_sending_that_takes_the_module_down_rests(pipeline, supervisor_bench, factories):
    """After two in a row: receiving goes on, the log says power; tried again after the pause."""
    for _ in range(6):
        pipeline.queue_message()

    def change(modem):
        async def brown_out(_submit):
            await asyncio.sleep(0.3)
            modem.lose_line("port /dev/ttyUSB2 is gone")
            return OutcomeUnknown("port /dev/ttyUSB2 is gone")

        modem.defaults["send"] = brown_out

    supervisor_bench.prepare_modem = change
    await supervisor_bench.start(60)
    assert pipeline.reply_states().count("unknown") == 2
    [said] = pipeline.events_of_kind("brownout")
    assert "power supply" in said.message
    assert "5 min" in said.message
    supervisor_bench.now.store_message(3, announce=True)
    await pipeline.advance(5)
    assert pipeline.command_states() == ["received"]
    await pipeline.advance(200)
    assert len(pipeline.calls_of("body")) == 2
    await pipeline.advance(90)
    assert len(pipeline.calls_of("body")) == 3
    assert "10 min" in pipeline.events_of_kind("brownout")[-1].message


async def test_when_nothing_helps_the_process_ends(pipeline, supervisor_bench):
    """After an hour of it; systemd starts another one."""
    supervisor_bench.assemble(power=FakePower(pipeline, is_toggle=False))
    await supervisor_bench.start()
    mute(supervisor_bench)
    supervisor_bench.now.lose_line("no answer")
    await pipeline.wait_until(lambda: supervisor_bench.exit_reasons, 3 * 3600)
    assert pipeline.monotonic() >= 1000 + 3600
    await asyncio.wait_for(supervisor_bench.task, 1)
    assert supervisor_bench.exit_reasons == [
        "the module does not answer, and nothing has helped for an hour: no module answers: nothing came back"
    ]
    assert len(pipeline.query_column("SELECT id FROM resets")) == len(pipeline.calls_of(*ACTIONS))


async def test_a_module_that_went_mute_is_restarted_by_its_own_command(pipeline, supervisor_bench):
    """How it is driven was learned while it still answered."""
    told = []

    def hears(line):
        told.append(line)
        return b"\r\nOK\r\n"

    supervisor_bench.port.answer = hears
    supervisor_bench.prepare_modem = lambda modem: setattr(
        modem, "driver", DriverProfile(restart_command="AT+RESET")
    )
    await supervisor_bench.start()
    mute(supervisor_bench)
    supervisor_bench.now.lose_line("no answer")
    await pipeline.wait_until(lambda: told, 7200)
    assert told == ["AT+RESET"]
