"""Runs sessions with the module and reconnects after each: open the port, run the session, back off, repeat.

A session is never repaired but replaced. When the connection is lost, each AT command fails with `ModemLost`,
the tasks of the session complete their commits and return, and the next session begins. The supervisor is the
only place that catches every exception; it logs it and tries again with backoff. Which recovery action a
failure needs is decided by `agent.recovery.policy`; `agent.recovery.executor` takes it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from enum import Enum, StrEnum
from functools import partial

from agent.at.client import AtClient
from agent.at.errors import AtError
from agent.at.trace import Trace
from agent.at.transport.base import PortErrorKind, PortUnavailable, TransportOpener
from agent.common.cancellation import run_unless_stopped
from agent.common.events import Condition, Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.daemon.session import Session
from agent.daemon.signal_history import SignalHistory
from agent.modem.error import ModemUnusable, SimUnusable
from agent.modem.modem import Modem
from agent.pipeline.brownout import BrownoutGuard
from agent.recovery.executor import RecoveryExecutor
from agent.recovery.policy import POST_RESET_PAUSE_S, Failure, RecoveryAction
from pdu.record import Record

OPEN_DEADLINE_S, INIT_DEADLINE_S = 60.0, 300.0
"""Deadlines for the watchdog. A SIM alone may keep a module busy for a minute during initialisation."""


class SupervisorState(Enum):
    """The state of the supervisor. `status` shows the value until a detail is known."""

    STARTING = "starting"
    OPENING = "opening the port"
    INITIALISING = "initialising the module"
    IN_SESSION = "in a session"
    RECOVERING = "taking a recovery action"
    WAITING = "waiting for the next attempt"
    STOPPED = "stopped"


class FailedPart(StrEnum):
    """The part because of which there is no session."""

    PORT = "port"
    MODULE = "module"
    SIM = "sim"


_ATTEMPT_STATES = {SupervisorState.OPENING, SupervisorState.INITIALISING}
"""An attempt to begin a session. The reason why the last one failed stays known meanwhile."""


class SessionFactory(Record):
    """Opens the port, and makes the modem and the session on it."""

    opener: TransportOpener
    make_modem: Callable[[AtClient], Modem]
    """Called with the client of a port that has just been opened."""
    make_session: Callable[[Modem], Session]
    """Called with an initialised modem."""
    trace: Trace | None = None


class ConnectionStatus:
    """The state of the connection, for `status`."""

    def __init__(self) -> None:
        self.state = SupervisorState.STARTING
        self.detail = ""
        """The last error, or registration and signal of a session."""
        self.session_count = 0
        self.session_began_at = 0.0
        """By the clock of the event loop."""
        self.signal_history = SignalHistory()
        self.session: Session | None = None
        self.failed_part: FailedPart | None = None
        """Why the last attempt failed; None since a session began, and for an internal error."""
        self.at_error_counts: Counter[str] = Counter()
        """AT commands without a successful result, in all sessions: `refused` and `timed_out`."""
        self.sim_absent_since: float | None = None
        """When the module first reported that it sees no SIM, in seconds since 1970; None if it sees one."""

    def __str__(self) -> str:
        if not self.detail:
            return self.state.value
        is_retrying = self.session is None and self.state in _ATTEMPT_STATES
        return f"{self.detail}; now {self.state.value}" if is_retrying else self.detail


class Supervisor:
    """Runs one session after the other until `stop`."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        session_factory: SessionFactory,
        recovery_executor: RecoveryExecutor,
        brownout_guard: BrownoutGuard,
        request_exit: Callable[[str], None],
        notify_status: Callable[[str], None],
    ) -> None:
        """Create a supervisor that has not started.

        `request_exit` is called with the reason when another process should take over. `notify_status` gets
        the line that systemd shows.
        """
        self._session_factory = session_factory
        self._recovery_executor = recovery_executor
        self._brownout_guard = brownout_guard
        self._request_exit = request_exit
        self._emit = runtime.emit
        self._wall_clock = runtime.wall_clock
        self._notify_status = notify_status
        self._deadlines = runtime.deadlines
        self._stop_requested = asyncio.Event()
        self._modem: Modem | None = None
        self._last_problem = ""
        self._session_started_at: float | None = None
        self.connection = ConnectionStatus()

    def stop(self) -> None:
        """End the session and begin no further one."""
        self._stop_requested.set()
        if self._modem is not None:
            self._modem.close()

    async def run(self) -> None:
        """Run until `stop`, or until the recovery policy requires a new process."""
        loop = asyncio.get_running_loop()
        self._recovery_executor.on_started()
        await self._recovery_executor.restore_power()
        while not self._stop_requested.is_set():
            self._session_started_at = None
            try:
                failure = await self._run_session()
            except PortUnavailable as error:
                is_absent = error.kind == PortErrorKind.ABSENT
                failure = Failure.PORT_ABSENT if is_absent else Failure.PORT_UNAVAILABLE
                self._log_problem(FailedPart.PORT, str(error))
            except AtError as error:
                failure = Failure.NO_RESPONSE if self._session_started_at is None else Failure.SESSION_LOST
                if not self._stop_requested.is_set():
                    self._log_problem(FailedPart.MODULE, str(error))
            except ModemUnusable as error:
                failure = Failure.INTERNAL_ERROR
                self._log_problem(_failed_part(error), str(error))
            except Exception as error:  # noqa: BLE001  (the only place that catches everything)
                failure = Failure.INTERNAL_ERROR
                self._log_internal_error(EventKind.SESSION_FAILED, error)
            finally:
                self._modem = None
                self.connection.session = None
                self.connection.state = SupervisorState.WAITING
                self._deadlines.clear("supervisor")
            self._note_sim_absence(failure)
            if not self._stop_requested.is_set():
                await self._recover_and_wait(failure, self._session_uptime_s(loop.time()))
        self.connection.state = SupervisorState.STOPPED

    async def _run_session(self) -> Failure:
        """Open the port, initialise the module and run a session. Return the failure that ended it."""
        self.connection.state = SupervisorState.OPENING
        self._deadlines.expect_within("supervisor", OPEN_DEADLINE_S)
        client = await AtClient.open(self._session_factory.opener, self._session_factory.trace)
        client.error_counts = self.connection.at_error_counts
        try:
            modem = self._modem = self._session_factory.make_modem(client)
            if self._stop_requested.is_set():
                return Failure.SESSION_LOST
            self._deadlines.expect_within("supervisor", INIT_DEADLINE_S)
            self.connection.state = SupervisorState.INITIALISING
            self._notify_status(str(self.connection))
            try:
                status = await modem.initialise()
            except ModemUnusable as error:
                if self._stop_requested.is_set():
                    return Failure.SESSION_LOST
                self._log_problem(_failed_part(error), str(error))
                return await self._recovery_executor.diagnose_sim(modem) or Failure.INIT_FAILED
            finally:
                if modem.has_answered:
                    self._recovery_executor.on_answer()
            self._deadlines.clear("supervisor")
            self._last_problem = ""
            self._session_started_at = asyncio.get_running_loop().time()
            self._recovery_executor.on_session_started(modem)
            self.connection.state = SupervisorState.IN_SESSION
            self.connection.detail = ""
            self.connection.failed_part = None
            self.connection.sim_absent_since = None
            self.connection.session_count += 1
            self.connection.session_began_at = self._session_started_at
            session = self._session_factory.make_session(modem)
            self.connection.session = session
            self._emit(Event(EventKind.SESSION, str(status), resolves=Condition.CONNECTION))
            await session.run(self._set_detail, partial(self._recovery_executor.check_session, modem))
            if not self._stop_requested.is_set():
                self._set_detail(modem.loss_reason)
                self._emit(
                    Event(
                        EventKind.SESSION_ENDED,
                        modem.loss_reason,
                        severity=Severity.WARNING,
                        condition=Condition.CONNECTION,
                    )
                )
            return Failure.SESSION_LOST
        finally:
            client.close()
            await client.wait_closed()

    def _note_sim_absence(self, failure: Failure) -> None:
        """Record since when the module sees no SIM. Most failures do not depend on the SIM."""
        if failure is Failure.NO_SIM:
            self.connection.sim_absent_since = self.connection.sim_absent_since or self._wall_clock()
        elif failure in {Failure.PIN_REQUIRED, Failure.SIM_BUSY}:
            self.connection.sim_absent_since = None

    async def _recover_and_wait(self, failure: Failure, uptime_s: float) -> None:
        """Take the recovery action that is due, if any, and wait until the next session may begin."""
        if self._recovery_executor.action_ended_session:
            self._recovery_executor.action_ended_session = False
            await self._wait_unless_stopped(POST_RESET_PAUSE_S)
            return
        if self._session_started_at is not None:
            self._check_brownout()
        plan = self._recovery_executor.on_session_failed(failure, uptime_s)
        pause_s = plan.delay_s
        if plan.action is RecoveryAction.EXIT_PROCESS:
            self._request_exit(f"{failure.value}, and nothing has helped for an hour: {self.connection}")
            await self._stop_requested.wait()
            return
        if plan.action is not None:
            self.connection.state = SupervisorState.RECOVERING
            try:
                if await run_unless_stopped(
                    self._stop_requested, self._recovery_executor.execute(plan.action, failure)
                ):
                    self._set_detail(f"{self._last_problem or failure.value}; done: {plan.action.value}")
                    pause_s = max(pause_s, POST_RESET_PAUSE_S)
            except Exception as error:  # noqa: BLE001  (an error in a recovery action must not end the agent)
                self._log_internal_error(EventKind.RECOVERY_FAILED, error)
        await self._wait_unless_stopped(pause_s)

    def _check_brownout(self) -> None:
        """Pause sending if sessions are lost right after a message, and log it."""
        pause_s = self._brownout_guard.on_session_lost(asyncio.get_running_loop().time())
        if pause_s is not None:
            text = (
                "the module was lost right after a message was sent, at least twice in a row: check its "
                "power supply (it draws peaks of 2 A; cable, hub, HAT). Sending pauses for "
                f"{pause_s / 60:.0f} min, receiving continues"
            )
            self._emit(Event(EventKind.BROWNOUT, text, severity=Severity.WARNING))

    async def _wait_unless_stopped(self, seconds: float) -> None:
        """Wait, but return at once after `stop`."""
        self.connection.state = SupervisorState.WAITING
        try:
            async with asyncio.timeout(seconds):
                await self._stop_requested.wait()
        except TimeoutError:
            return

    def _session_uptime_s(self, now: float) -> float:
        return 0.0 if self._session_started_at is None else now - self._session_started_at

    def _log_internal_error(self, kind: EventKind, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        self._set_detail(text)
        condition = Condition.CONNECTION if kind is EventKind.SESSION_FAILED else None
        self._emit(Event(kind, text, severity=Severity.ERROR, condition=condition))

    def _log_problem(self, part: FailedPart, text: str) -> None:
        """Log a problem that repeats with each attempt: once as a warning, then with severity DEBUG."""
        self._set_detail(text)
        severity = Severity.DEBUG if text == self._last_problem else Severity.WARNING
        self._last_problem = text
        self.connection.failed_part = part
        kind = EventKind.PORT if part is FailedPart.PORT else EventKind.MODULE
        self._emit(Event(kind, text, severity=severity, condition=Condition.CONNECTION))

    def _set_detail(self, text: str) -> None:
        self.connection.detail = text
        self._notify_status(text)


def _failed_part(error: ModemUnusable) -> FailedPart:
    return FailedPart.SIM if isinstance(error, SimUnusable) else FailedPart.MODULE
