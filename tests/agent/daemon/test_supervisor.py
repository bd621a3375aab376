"""The supervisor: opening the port, sessions, backoff, recovery actions, stopping."""

import asyncio
import contextlib
from itertools import pairwise

import pytest

from agent.at.errors import ModemLost
from agent.at.transport.base import PortUnavailable
from agent.common.events import Severity
from agent.daemon.session import Session
from agent.daemon.supervisor import SessionFactory, Supervisor
from agent.journal.reset_budget import ResetBudget, ResetLimits
from agent.modem.error import ModemUnusable
from agent.modem.sending import OutcomeUnknown
from agent.modem.status_queries import Registration
from agent.recovery.executor import RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import RecoveryPolicy
from hardware.power import PowerUnavailable
from hardware.profile import DriverProfile


class SupervisorBench:
    """A supervisor with fake modems; each session takes the next one of `modems`."""

    def __init__(self, harness, make):
        self.harness = harness
        self.port = make.port()
        self.modems = []
        self.status = []
        self.make = make
        self.make_modem_error = None
        self.channels = []
        self.exit_reasons = []
        self.module_user = ""
        self.prepare_modem = lambda modem: None
        """Called with each modem before its session."""
        self.task = None
        self.port.answer = self._answer
        self.answers = True
        self.assemble()

    def assemble(self, *, power=None, may_drop_data=False, budget=None):
        """The supervisor, with what recovery may use."""
        harness = self.harness
        self.recovery_executor = RecoveryExecutor(
            runtime=harness.runtime,
            policy=RecoveryPolicy(harness.random, has_power_switch=power is not None),
            options=RecoveryOptions(power, may_drop_data, lambda: self.module_user),
            reset_budget=ResetBudget(harness.journal, budget or ResetLimits()),
            opener=self.port,
            send_refusals=harness.send_refusals,
        )
        self.supervisor = Supervisor(
            runtime=harness.runtime,
            session_factory=SessionFactory(
                opener=self.port,
                make_modem=self._make_modem,
                make_session=lambda modem: Session(
                    modem, harness.make_receiver(modem), harness.make_sender(modem)
                ),
            ),
            recovery_executor=self.recovery_executor,
            brownout_guard=harness.brownout_guard,
            request_exit=self._request_exit,
            notify_status=self.status.append,
        )

    def _answer(self, line):
        """Answer a command that recovery writes to a module without a session."""
        names = {"AT+CFUN=1,1": ("restart",), "AT+CFUN=0": ("radio", True)}
        if line in names:
            self.harness.call_log.append(names[line])
        return b"\r\nOK\r\n" if self.answers else b""

    def _request_exit(self, why):
        self.exit_reasons.append(why)
        self.supervisor.stop()

    def modem(self, **plans):
        """Add the modem of the next session, with plans for its operations by name."""
        modem = self.make.modem(self.harness)
        for what, plan in plans.items():
            modem.plan(what, plan)
        self.modems.append(modem)
        return modem

    def _make_modem(self, channel):
        self.channels.append(channel)
        if self.make_modem_error is not None:
            raise self.make_modem_error
        modem = self.modems.pop(0) if self.modems else self.make.modem(self.harness)
        self.now = modem
        self.prepare_modem(modem)
        return modem

    async def start(self, seconds=1):
        self.task = asyncio.create_task(self.supervisor.run())
        await asyncio.sleep(seconds)

    async def unplug(self):
        """A plan for an operation: the connection is lost."""
        self.now.lose_line("unplugged")

    @property
    def waits(self):
        """The times between attempts to open the port, in whole seconds."""
        return [round(later - earlier) for earlier, later in pairwise(self.port.opened_at)]


@pytest.fixture
async def supervisor_bench(pipeline, factories):
    bench = SupervisorBench(pipeline, factories)
    yield bench
    bench.supervisor.stop()
    if bench.task is not None:
        await asyncio.wait_for(bench.task, 10)
    assert bench.port.open_count == 0
    assert pipeline.deadline_monitor._deadlines == {}


BUSY = PortUnavailable("busy", "/dev/ttyUSB2 is in use by ModemManager (process 7)")


async def test_lost_session_is_followed_by_the_next(pipeline, supervisor_bench):
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
    assert [str(event) for event in pipeline.events_of_kind("session ended")] == ["session ended: unplugged"]
    assert supervisor_bench.status[:2] == [
        "initialising the module",
        "EC25, registered, home, signal -71 dBm",
    ]


async def test_unavailable_port_is_logged_once(pipeline, supervisor_bench):
    """The log line names its holder. The delays grow to about half a minute; the status shows each error."""
    supervisor_bench.port.default = BUSY
    await supervisor_bench.start(600)
    events = pipeline.events_of_kind("port")
    assert len(events) > 10
    assert [event.severity for event in events] == [Severity.WARNING] + [Severity.DEBUG] * (len(events) - 1)
    assert events[0].message == "/dev/ttyUSB2 is in use by ModemManager (process 7)"
    assert str(supervisor_bench.supervisor.connection) == events[0].message
    assert supervisor_bench.status[-1] == events[0].message
    assert supervisor_bench.waits[:4] == [1, 2, 3, 6]
    assert supervisor_bench.waits == sorted(supervisor_bench.waits)
    assert supervisor_bench.waits[-1] == 24


async def test_different_port_error_is_logged(pipeline, supervisor_bench):
    """The same error is logged again after a session."""
    absent = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    supervisor_bench.port.planned = [BUSY, BUSY, absent, None, absent]
    supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(60)
    weights = [event.severity for event in pipeline.events_of_kind("port")]
    assert weights == [Severity.WARNING, Severity.DEBUG, Severity.WARNING, Severity.WARNING]


async def test_failing_sessions_are_retried_with_backoff(pipeline, supervisor_bench, factories):
    """The delay grows to 45 s at most."""
    for _ in range(80):
        supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(3000)
    assert supervisor_bench.waits[:5] == [2, 4, 7, 12, 21]
    assert supervisor_bench.waits[-1] == 45
    assert 60 < len(supervisor_bench.waits) < 80


async def test_stable_session_resets_the_backoff(pipeline, supervisor_bench):
    """A session of 15 minutes resets it; a shorter one only keeps it from growing."""
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


async def test_failures_after_a_stable_session_count_from_zero(pipeline, supervisor_bench):
    """The delays grow again from the first one."""
    steady = supervisor_bench.modem()
    await supervisor_bench.start(1000)
    supervisor_bench.port.default = BUSY
    steady.lose_line("unplugged")
    await pipeline.advance(60)
    assert supervisor_bench.waits[2:6] == [3, 6, 11, 19]


async def test_port_is_closed_before_it_is_opened_again(pipeline, supervisor_bench):
    """This holds also if closing takes long."""
    supervisor_bench.port.close_delay_s = 5.0
    for _ in range(3):
        supervisor_bench.modem(sweep=supervisor_bench.unplug)
    await supervisor_bench.start(60)
    assert supervisor_bench.supervisor.connection.session_count == 4
    assert not pipeline.events_of_kind("session failed")


@pytest.mark.parametrize("error", [ModemUnusable("the SIM wants its PIN"), ModemLost("no module answers")])
async def test_unusable_module_is_logged_once(pipeline, supervisor_bench, error):
    """The delays grow however long an attempt takes; no port stays open and no session is counted."""

    async def slow():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(supervisor_bench.now.lost.wait(), 70)
        raise error

    for _ in range(60):
        supervisor_bench.modem(initialise=slow)
    await supervisor_bench.start(3600)
    events = pipeline.events_of_kind("module")
    assert [event.severity for event in events] == [Severity.WARNING] + [Severity.DEBUG] * (len(events) - 1)
    assert events[0].message == str(error)
    assert supervisor_bench.supervisor.connection.session_count == 0
    assert supervisor_bench.waits[-1] == 115
    assert supervisor_bench.port.open_count <= 1


async def test_port_is_closed_if_the_modem_cannot_be_created(pipeline, supervisor_bench):
    """The error is logged, and the port is closed between the attempts."""
    supervisor_bench.make_modem_error = ModemUnusable("message format 'text' is not known")
    await supervisor_bench.start(300)
    assert len(supervisor_bench.port.opened_at) > 5
    assert supervisor_bench.port.open_count == 0
    assert pipeline.events_of_kind("module")[0].message == "message format 'text' is not known"


@pytest.mark.parametrize("where", ["opening", "adopting", "initialise", "sweep", "send"])
async def test_internal_error_ends_only_one_session(pipeline, supervisor_bench, factories, where):
    """It is logged in one line that names the exception; the next session follows."""
    error = ZeroDivisionError("internal")
    if where == "opening":
        supervisor_bench.port.planned = [error]
    elif where == "adopting":
        supervisor_bench.make_modem_error = error
    elif where == "send":
        pipeline.queue_message()
        pipeline.outbox_store.close_interrupted = lambda: 1 / 0
    else:
        supervisor_bench.modem(**{where: error})
    await supervisor_bench.start()
    [failed] = pipeline.events_of_kind("session failed")
    assert failed.message in ("ZeroDivisionError: internal", "ZeroDivisionError: division by zero")
    assert failed.severity is Severity.ERROR
    assert str(supervisor_bench.supervisor.connection) == failed.message
    supervisor_bench.make_modem_error = None
    pipeline.outbox_store.close_interrupted = list
    await pipeline.advance(10)
    assert supervisor_bench.supervisor.connection.session_count >= 1
    assert supervisor_bench.supervisor.connection.session is not None


@pytest.mark.parametrize("when", ["session", "pause", "initialise", "opening"])
async def test_stop_takes_effect_at_once(pipeline, supervisor_bench, when):
    """In every state: the port is not opened again and the requested end is not logged as a failure."""
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


async def test_stop_before_run(supervisor_bench):
    """The port is never opened."""
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.supervisor.run(), 0.1)
    assert supervisor_bench.port.opened_at == []


@pytest.mark.parametrize(("where", "fine", "late"), [("opening", 55, 65), ("initialise", 295, 305)])
async def test_hanging_step_becomes_overdue(pipeline, supervisor_bench, where, fine, late):
    """Opening and initialising have deadlines; a session and the wait between sessions have none."""
    end = asyncio.Event()

    async def hang():
        await end.wait()

    if where == "opening":
        supervisor_bench.port.planned = [hang]
    else:
        supervisor_bench.modem(initialise=hang)
    await supervisor_bench.start(fine)
    assert pipeline.deadline_monitor.overdue() == []
    await pipeline.advance(late - fine)
    assert pipeline.deadline_monitor.overdue() == ["supervisor"]
    end.set()
    await pipeline.advance(1000)
    assert pipeline.deadline_monitor.overdue() == []


async def test_waiting_for_a_port_is_not_overdue(pipeline, supervisor_bench):
    """It may last for hours."""
    supervisor_bench.port.default = BUSY
    await supervisor_bench.start()
    for _ in range(100):
        await pipeline.advance(61)
        assert pipeline.deadline_monitor.overdue() == []


# Recovery


class FakePower:
    """A power switch that records its pulses."""

    def __init__(self, harness, *, is_toggle=True, pulse_s=3.0):
        self.harness = harness
        self.name, self.is_toggle, self.pulse_s = "the test's switch", is_toggle, pulse_s
        self.on = True
        self.error = None

    async def power_cycle(self, driver):
        await self._pulse("cycle")

    async def power_on(self, driver):
        await self._pulse("press")

    async def _pulse(self, what):
        self.harness.call_log.append((what,))
        if self.error is not None:
            raise self.error
        self.on = False
        try:
            await asyncio.sleep(self.pulse_s)
        finally:
            self.on = True


ACTIONS = ("reselect", "radio", "restart", "cycle", "press")


def stop_answering(bench):
    """Let no modem answer from now on."""
    error = ModemLost("no module answers: nothing came back")
    bench.prepare_modem = lambda modem: modem.defaults.update(initialise=error)
    bench.answers = False


async def test_unresponsive_module_is_restarted_then_power_cycled(pipeline, supervisor_bench):
    """Each action is committed before it is taken, and logged in one line."""
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start()
    stop_answering(supervisor_bench)
    supervisor_bench.now.lose_line("no answer to AT+CMGL=4 and none since")
    await pipeline.wait_until(lambda: pipeline.calls_of("press"), 7200)
    assert [what for what, *_ in pipeline.calls_of(*ACTIONS)] == ["restart", "cycle", "press"]
    assert pipeline.query_column("SELECT action FROM resets") == ["restart", "power", "power"]
    for kind in ("restart", "cycle", "press"):
        entries = [entry[0] for entry in pipeline.call_log]
        assert entries[: entries.index(kind)].count("commit") >= 1
    lines = [str(event) for event in pipeline.events_of_kind("recovery")]
    assert lines[0] == (
        "recovery: the module does not answer: restart it by its own command; 1 of 3 resets this hour"
    )
    assert len(lines) == 3
    assert all(event.severity is Severity.WARNING for event in pipeline.events_of_kind("recovery"))
    supervisor_bench.prepare_modem = lambda modem: None
    await pipeline.advance(400)
    assert supervisor_bench.supervisor.connection.session is not None


async def test_reset_is_committed_before_the_action(pipeline, supervisor_bench):
    """If the agent is killed during the action, the next process counts the reset."""
    stop_answering(supervisor_bench)
    seen = []

    class RecordingPower(FakePower):
        async def power_cycle(self, driver):
            seen.append(pipeline.query_column("SELECT action FROM resets"))

    supervisor_bench.assemble(power=RecordingPower(pipeline))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: seen, 7200)
    assert seen[0][-1] == "power"


async def test_reset_budget_is_respected(pipeline, supervisor_bench):
    """A module that does not answer for two days is reset within the budget per hour and day.

    The end of the budget is logged once, and sessions are still attempted.
    """
    stop_answering(supervisor_bench)
    supervisor_bench.assemble(power=FakePower(pipeline), budget=ResetLimits(1, 2))
    await supervisor_bench.start(3600)
    assert len(pipeline.calls_of(*ACTIONS)) == 1
    refused = [event for event in pipeline.events_of_kind("recovery") if "resets_per_hour" in event.message]
    assert [event.severity for event in refused].count(Severity.WARNING) == 1
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(47 * 3600)
    assert len(pipeline.calls_of(*ACTIONS)) <= 4
    assert len(supervisor_bench.port.opened_at) > opened + 100
    loud = [event for event in pipeline.events if event.severity > Severity.INFO]
    assert len(loud) < 40


async def test_module_in_use_by_others_is_not_reset(pipeline, supervisor_bench):
    """It is logged once with the setting that allows the reset. With the setting the reset is done."""
    stop_answering(supervisor_bench)
    supervisor_bench.module_user = "the network interface wwan0 of the same USB device is up"
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []
    assert pipeline.query_column("SELECT * FROM resets") == []
    [event] = [event for event in pipeline.events_of_kind("recovery") if event.severity is Severity.WARNING]
    assert event.message == (
        "the module does not answer, but not done: restart it by its own command: "
        "the network interface wwan0 of the same USB device is up; recovery.may_drop_data = true allows it"
    )
    supervisor_bench.supervisor.stop()
    await supervisor_bench.task
    supervisor_bench.assemble(power=FakePower(pipeline), may_drop_data=True)
    await supervisor_bench.start(1200)
    assert pipeline.calls_of("restart")


async def test_absent_port_causes_no_reset(pipeline, supervisor_bench):
    """Not even after days."""
    supervisor_bench.assemble(power=FakePower(pipeline))
    supervisor_bench.port.default = PortUnavailable("absent", "/dev/ttyUSB2 is not there")
    await supervisor_bench.start(2 * 86_400)
    assert pipeline.calls_of(*ACTIONS) == []
    assert len([event for event in pipeline.events if event.severity > Severity.INFO]) == 1


@pytest.mark.parametrize("pulse_s", [4.0, 500.0])
async def test_stop_interrupts_a_power_pulse(pipeline, supervisor_bench, pulse_s):
    """It ends at once and leaves the power on."""
    stop_answering(supervisor_bench)
    switch = FakePower(pipeline, pulse_s=pulse_s)
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: not switch.on, 7200)
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.task, 0.1)
    assert switch.on


async def test_stop_interrupts_a_restart(pipeline, supervisor_bench):
    """This holds also while a command waits for a module that does not answer; the port is closed."""
    stop_answering(supervisor_bench)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    supervisor_bench.supervisor.stop()
    await asyncio.wait_for(supervisor_bench.task, 0.1)
    assert supervisor_bench.port.open_count == 0


async def test_restart_does_not_wait_for_an_unresponsive_module(pipeline, supervisor_bench):
    """The next session follows soon and shows whether the restart helped."""
    stop_answering(supervisor_bench)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(30)
    assert len(supervisor_bench.port.opened_at) > opened


@pytest.mark.parametrize("is_key", [True, False])
async def test_power_key_pulse_leaves_budget_for_a_second_pulse(pipeline, supervisor_bench, is_key):
    """A pulse on a power key needs two resets in the budget, as it may switch off; other switches need
    one."""
    stop_answering(supervisor_bench)
    supervisor_bench.assemble(power=FakePower(pipeline, is_toggle=is_key), budget=ResetLimits(3, 2))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("restart"), 7200)
    await pipeline.advance(3600)
    assert pipeline.calls_of("cycle", "press") == ([] if is_key else [("cycle",)])
    assert any("2 must be left" in event.message for event in pipeline.events_of_kind("recovery")) == is_key


async def test_failed_power_switch_is_logged(pipeline, supervisor_bench):
    """It counts as a reset, and the escalation continues."""
    stop_answering(supervisor_bench)
    switch = FakePower(pipeline)
    switch.error = PowerUnavailable("there is no line 40 on gpiochip0")
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("cycle"), 7200)
    await pipeline.advance(1)
    assert "there is no line 40 on gpiochip0" in pipeline.events_of_kind("recovery")[-1].message
    assert supervisor_bench.recovery_executor.reset_usage.last_hour == 2


async def test_internal_error_in_recovery_does_not_end_the_agent(pipeline, supervisor_bench):
    """It is logged, and sessions are still attempted."""
    stop_answering(supervisor_bench)
    switch = FakePower(pipeline)
    switch.error = ZeroDivisionError("internal")
    supervisor_bench.assemble(power=switch)
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.events_of_kind("recovery failed"), 7200)
    opened = len(supervisor_bench.port.opened_at)
    await pipeline.advance(600)
    assert len(supervisor_bench.port.opened_at) > opened


async def test_no_reset_without_a_commit(pipeline, supervisor_bench):
    """A reset that is not on disk would not be counted after the next start."""
    stop_answering(supervisor_bench)
    pipeline.fail_commits_disk_full()
    supervisor_bench.assemble(power=FakePower(pipeline))
    await supervisor_bench.start(3600)
    assert pipeline.calls_of(*ACTIONS) == []
    assert "the journal cannot record it" in pipeline.events_of_kind("recovery")[0].message
    pipeline.commit_error = None


async def test_missing_sim_is_power_cycled(pipeline, supervisor_bench, factories):
    """+CFUN cycles its power at once; the next session initialises the module."""
    for _ in range(2):
        lost = supervisor_bench.modem(
            initialise=ModemUnusable("the module sees no SIM; is it in its holder?")
        )
        lost.sim_answer = factories.refused(10, kind="cme")
    await supervisor_bench.start(60)
    assert pipeline.calls_of(*ACTIONS) == [("radio", True)]
    assert pipeline.query_column("SELECT reason FROM resets") == ["the module sees no SIM"]
    assert supervisor_bench.supervisor.connection.session is not None


async def test_module_that_cannot_be_initialised_is_restarted(pipeline, supervisor_bench):
    """After the third attempt, unless the SIM is the reason; only once if the module never worked."""
    for _ in range(100):
        supervisor_bench.modem(initialise=ModemUnusable("it refuses PDU mode"))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == [("restart",)]
    assert pipeline.query_column("SELECT reason FROM resets") == ["the module cannot be used"]


async def test_no_session_for_ten_seconds_after_a_reset(pipeline, supervisor_bench, factories):
    """The pause is longer than the backoff at this point."""
    lost = supervisor_bench.modem(initialise=ModemUnusable("the module sees no SIM; is it in its holder?"))
    lost.sim_answer = factories.refused(10, kind="cme")
    await supervisor_bench.start(0)
    await pipeline.wait_until(lambda: pipeline.calls_of("radio"), 60)
    tries, began = len(supervisor_bench.port.opened_at), pipeline.monotonic()
    await pipeline.wait_until(lambda: len(supervisor_bench.port.opened_at) > tries, 60)
    assert 10 <= pipeline.monotonic() - began < 12


async def test_missing_pin_causes_no_reset(pipeline, supervisor_bench):
    """A restart would not help."""
    for _ in range(100):
        supervisor_bench.modem(initialise=ModemUnusable("the SIM asks for SIM PIN")).sim_answer = [
            "+CPIN: SIM PIN"
        ]
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []


async def test_missing_registration_escalates(pipeline, supervisor_bench):
    """Network selection, radio, restart; the last two end the session, which does not count as a failure."""
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
    assert pipeline.deadline_monitor.overdue() == []


async def test_only_the_session_that_an_action_ended_is_no_failure(pipeline, supervisor_bench):
    """The failures after it are retried with backoff as usual."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(2, 2))
    await supervisor_bench.start()
    await pipeline.wait_until(lambda: pipeline.calls_of("radio"), 7200)
    supervisor_bench.port.default = BUSY
    supervisor_bench.port.opened_at.clear()
    await pipeline.advance(300)
    assert supervisor_bench.waits[0] < 5
    assert supervisor_bench.waits[-1] == 24


async def test_denied_registration_is_reset_at_most_once_an_hour(pipeline, supervisor_bench):
    """The journal enforces it, whatever the policy in memory knows."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3))
    await supervisor_bench.start(6 * 3600)
    times = pipeline.query_column("SELECT at_uptime FROM resets ORDER BY id")
    assert len(times) >= 2
    assert all(later - earlier >= 3600 for earlier, later in pairwise(times))
    assert set(pipeline.query_column("SELECT reason FROM resets")) == {"registration denied"}


async def test_denied_registration_counts_other_resets(pipeline, supervisor_bench):
    """A reset of any kind in the last hour defers the next one; this is logged once."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3))
    await supervisor_bench.start()
    supervisor_bench.recovery_executor._reset_budget.reserve("restart", "the module does not answer")
    await pipeline.advance(3000)
    assert len(pipeline.query_column("SELECT * FROM resets")) == 1
    assert pipeline.calls_of(*ACTIONS) == []
    assert "at most one reset an hour" in pipeline.events_of_kind("recovery")[0].message
    await pipeline.advance(1500)
    assert pipeline.calls_of(*ACTIONS) == [("reselect",)]


async def test_one_registered_domain_is_enough(pipeline, supervisor_bench):
    """Denied in one domain and registered in another causes no action."""
    supervisor_bench.prepare_modem = lambda modem: setattr(modem, "registered", Registration(3, 5, 5))
    await supervisor_bench.start(7200)
    assert pipeline.calls_of(*ACTIONS) == []


async def test_silently_lost_sim_begins_a_new_session(pipeline, supervisor_bench, factories):
    """Without registration the SIM is queried; if it does not answer, the next session initialises it."""
    await supervisor_bench.start()
    first = supervisor_bench.now
    first.registered = Registration(0)
    first.sim_answer = factories.refused(13, kind="cme")
    await pipeline.advance(400)
    assert first.lost.is_set()
    assert supervisor_bench.supervisor.connection.session_count == 2


async def test_sim_that_stays_busy_is_power_cycled(pipeline, supervisor_bench, factories):
    """The action ends the session."""

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
async def test_action_that_loses_the_connection_has_not_failed(pipeline, supervisor_bench, why):
    """No failure is logged if the agent is stopped or if the port disappears during the action."""

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
    assert [event.message.split(":")[0] for event in pipeline.events_of_kind("recovery")] == ["no network"]


async def test_deadlines_are_suspended_during_an_action(pipeline, supervisor_bench):
    """A network selection may occupy the connection for minutes; no other task is overdue because of it."""

    def change(modem):
        modem.registered = Registration(2)
        modem.defaults["reselect"] = lambda: asyncio.sleep(200)

    supervisor_bench.prepare_modem = change
    try:
        await supervisor_bench.start()
        pipeline.deadline_monitor.expect_within("other task", 610)
        late = []
        for _ in range(90):
            await pipeline.advance(10)
            late += pipeline.deadline_monitor.overdue() if pipeline.monotonic() < 1000 + 600 + 200 else []
        assert pipeline.calls_of("reselect")
        assert late == []
    finally:
        pipeline.deadline_monitor.clear("other task")


async def test_sending_pauses_after_brownouts(pipeline, supervisor_bench, factories):
    """After two in a row sending pauses and receiving continues; the log names the power supply."""
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
    [event] = pipeline.events_of_kind("brownout")
    assert "power supply" in event.message
    assert "5 min" in event.message
    supervisor_bench.now.store_message(3, announce=True)
    await pipeline.advance(5)
    assert pipeline.command_states() == ["received"]
    await pipeline.advance(200)
    assert len(pipeline.calls_of("body")) == 2
    await pipeline.advance(90)
    assert len(pipeline.calls_of("body")) == 3
    assert "10 min" in pipeline.events_of_kind("brownout")[-1].message


async def test_process_ends_if_nothing_helps(pipeline, supervisor_bench):
    """After an hour of failures; systemd then starts a new process."""
    supervisor_bench.assemble(power=FakePower(pipeline, is_toggle=False))
    await supervisor_bench.start()
    stop_answering(supervisor_bench)
    supervisor_bench.now.lose_line("no answer")
    await pipeline.wait_until(lambda: supervisor_bench.exit_reasons, 3 * 3600)
    assert pipeline.monotonic() >= 1000 + 3600
    await asyncio.wait_for(supervisor_bench.task, 1)
    assert supervisor_bench.exit_reasons == [
        "the module does not answer, and nothing has helped for an hour: no module answers: nothing came back"
    ]
    assert len(pipeline.query_column("SELECT id FROM resets")) == len(pipeline.calls_of(*ACTIONS))


async def test_restart_command_is_that_of_the_last_session(pipeline, supervisor_bench):
    """The driver profile was read while the module still answered."""
    commands = []

    def answer(line):
        commands.append(line)
        return b"\r\nOK\r\n"

    supervisor_bench.port.answer = answer
    supervisor_bench.prepare_modem = lambda modem: setattr(
        modem, "driver", DriverProfile(restart_command="AT+RESET")
    )
    await supervisor_bench.start()
    stop_answering(supervisor_bench)
    supervisor_bench.now.lose_line("no answer")
    await pipeline.wait_until(lambda: commands, 7200)
    assert commands == ["AT+RESET"]
