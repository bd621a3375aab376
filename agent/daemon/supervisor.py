"""Keeps a session with the module running: opens the port, runs a session, waits, begins the next one.

A session is never repaired but replaced. When the connection is lost, each AT command fails with `ModemLost`,
the tasks of the session complete their commits and return, and the next session begins. The supervisor is the
only place that catches every exception; it logs it and tries again with backoff. Which recovery action a
failure needs is decided by `agent.recovery.policy`; `agent.recovery.executor` takes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf

from agent.at.client import AtClient
from agent.at.errors import AtError
from agent.at.trace import Trace
from agent.at.transport.base import PortUnavailable, TransportOpener
from agent.common.cancellation import run_unless_stopped
from agent.common.events import Condition, Event, EventKind, EventSink, Severity
from agent.common.watchdog import DeadlineMonitor
from agent.daemon.session import Session
from agent.modem.error import ModemUnusable
from agent.modem.modem import Modem
from agent.pipeline.brownout import BrownoutGuard
from agent.recovery.executor import RecoveryExecutor
from agent.recovery.policy import POST_RESET_PAUSE_S, Failure, RecoveryAction

OPEN_DEADLINE_S, INIT_DEADLINE_S = 60.0, 300.0
"""Longest times before the watchdog worries; a SIM alone may keep a module busy for a minute."""


@dataclass(slots=True)
class ConnectionStatus:
    """What is known of the connection, for `status`."""

    state: str = "starting"
    session_count: int = 0
    session: Session | None = None


class Supervisor:
    """Keeps one session after the other going until it is told to stop."""

    def __init__(
        self,
        opener: TransportOpener,
        make_modem: Callable[[AtClient], Modem],
        make_session: Callable[[Modem], Session],
        recovery_executor: RecoveryExecutor,
        brownout_guard: BrownoutGuard,
        request_exit: Callable[[str], None],
        emit: EventSink,
        notify_status: Callable[[str], None],
        deadlines: DeadlineMonitor,
        trace: Trace | None = None,
    ) -> None:
        """`adopt` makes a modem of an open channel, `begin` a session of the initialised modem.

        `give_up` is told why another process should go on; `status` takes the line that systemd shows.
        """
        self._opener = opener
        self._make_modem = make_modem
        self._make_session = make_session
        self._recovery_executor = recovery_executor
        self._brownout_guard = brownout_guard
        self._request_exit = request_exit
        self._emit = emit
        self._notify_status = notify_status
        self._deadlines = deadlines
        self._trace = trace
        self._stop_requested = asyncio.Event()
        self._modem: Modem | None = None
        self._last_problem = ""
        self._working_since = inf
        self.connection = ConnectionStatus()

    def stop(self) -> None:
        """End the session and begin no other."""
        self._stop_requested.set()
        if self._modem is not None:
            self._modem.close()

    async def run(self) -> None:
        """One session after the other until `stop`, or until nothing has helped for long."""
        loop = asyncio.get_running_loop()
        await self._recovery_executor.restore_usb_power()
        while not self._stop_requested.is_set():
            self._working_since = inf
            try:
                trouble = await self._run_session()
            except PortUnavailable as error:
                trouble = Failure.PORT_UNAVAILABLE
                self._log_problem(EventKind.PORT, str(error))
            except AtError as error:
                trouble = Failure.NO_RESPONSE if self._working_since == inf else Failure.SESSION_LOST
                if not self._stop_requested.is_set():
                    self._log_problem(EventKind.MODULE, str(error))
            except ModemUnusable as error:
                trouble = Failure.INTERNAL_ERROR
                self._log_problem(EventKind.MODULE, str(error))
            except Exception as error:  # noqa: BLE001  (the one place that catches everything)
                trouble = Failure.INTERNAL_ERROR
                self._log_internal_error(EventKind.SESSION_FAILED, error)
            finally:
                self._modem = None
                self.connection.session = None
                self._deadlines.clear("supervisor")
            if not self._stop_requested.is_set():
                await self._recover_and_wait(trouble, max(0.0, loop.time() - self._working_since))

    async def _run_session(self) -> Failure:
        """Open, set up, work until the end; what ended it."""
        self._deadlines.expect_within("supervisor", OPEN_DEADLINE_S)
        channel = await AtClient.open(self._opener, self._trace)
        try:
            modem = self._modem = self._make_modem(channel)
            if self._stop_requested.is_set():
                return Failure.SESSION_LOST
            self._deadlines.expect_within("supervisor", INIT_DEADLINE_S)
            self._set_state("initialising the module")
            try:
                condition = await modem.initialise()
            except ModemUnusable as error:
                if self._stop_requested.is_set():
                    return Failure.SESSION_LOST
                self._log_problem(EventKind.MODULE, str(error))
                return await self._recovery_executor.diagnose_sim(modem) or Failure.INIT_FAILED
            self._deadlines.clear("supervisor")
            self._last_problem = ""
            self._working_since = asyncio.get_running_loop().time()
            self._recovery_executor.on_session_started(modem)
            self.connection.session_count += 1
            session = self._make_session(modem)
            self.connection.session = session
            self._emit(Event(EventKind.SESSION, str(condition), resolves=Condition.CONNECTION))
            await session.run(self._set_state, partial(self._recovery_executor.check_session, modem))
            if not self._stop_requested.is_set():
                self._set_state(modem.loss_reason)
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
            channel.close()
            await channel.wait_closed()

    async def _recover_and_wait(self, failure: Failure, uptime_s: float) -> None:
        """What is to be done before the next session, and the wait for it."""
        if self._recovery_executor.action_ended_session:
            self._recovery_executor.action_ended_session = False
            await self._wait_unless_stopped(POST_RESET_PAUSE_S)
            return
        rest = (
            None
            if self._working_since == inf
            else self._brownout_guard.on_session_lost(asyncio.get_running_loop().time())
        )
        if rest is not None:
            text = (
                "the module was lost right after a message left, twice or more in a row: look at its power "
                f"supply (it takes 2 A for moments; cable, hub, HAT). Sending rests for {rest / 60:.0f} min, "
                "receiving goes on"
            )
            self._emit(Event(EventKind.BROWNOUT, text, severity=Severity.WARNING))
        plan = self._recovery_executor.on_session_failed(failure, uptime_s)
        pause = plan.delay_s
        if plan.action is RecoveryAction.EXIT_PROCESS:
            self._request_exit(
                f"{failure.value}, and nothing has helped for an hour: {self.connection.state}"
            )
            await self._stop_requested.wait()
            return
        try:
            if plan.action is not None and await run_unless_stopped(
                self._stop_requested, self._recovery_executor.execute(plan.action, failure)
            ):
                self._set_state(f"{failure.value}; done: {plan.action.value}")
                pause = max(pause, POST_RESET_PAUSE_S)
        except Exception as error:  # noqa: BLE001  (the same place: what helps must not end the agent)
            self._log_internal_error(EventKind.RECOVERY_FAILED, error)
        await self._wait_unless_stopped(pause)

    async def _wait_unless_stopped(self, seconds: float) -> None:
        """At once over when it is told to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop_requested.wait()
        except TimeoutError:
            return

    def _log_internal_error(self, kind: EventKind, error: Exception) -> None:
        self._set_state(f"{type(error).__name__}: {error}")
        condition = Condition.CONNECTION if kind is EventKind.SESSION_FAILED else None
        self._emit(Event(kind, self.connection.state, severity=Severity.ERROR, condition=condition))

    def _log_problem(self, kind: EventKind, text: str) -> None:
        """A trouble is said once; while it lasts it only stands in the status."""
        self._set_state(text)
        weight = Severity.DEBUG if text == self._last_problem else Severity.WARNING
        self._last_problem = text
        self._emit(Event(kind, text, severity=weight, condition=Condition.CONNECTION))

    def _set_state(self, text: str) -> None:
        self.connection.state = text
        self._notify_status(text)
