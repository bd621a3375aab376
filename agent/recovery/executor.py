"""Executes recovery actions: checks permission and budget, commits the reset, acts, and logs one line.

`agent.recovery.policy` decides which action is due. The supervisor calls `execute` between sessions; during a
session the status polling calls `check_session`, which may close the modem and thereby end the session.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from agent.at.client import AtClient
from agent.at.error_codes import SIM_BUSY_ERRORS
from agent.at.errors import AtError, ModemLost
from agent.at.transport.base import PortUnavailable, TransportOpener
from agent.at.transport.port_opener import PortOpener
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.journal.reset_budget import ResetBudget, ResetLimits, ResetUsage
from agent.modem.modem import Modem
from agent.modem.recovery_commands import cycle_radio, restart
from agent.modem.send_refusals import SendRefusals
from agent.modem.status_queries import Registration, RegistrationState
from agent.recovery.policy import Failure, RecoveryAction, RecoveryPlan, RecoveryPolicy
from hardware.power import PowerSwitch, PowerUnavailable, UsbPowerSwitch
from hardware.power_command import CommandPowerSwitch
from hardware.profile import DriverProfile
from pdu.record import Record

UNRESPONSIVE_COMMAND_S = 5.0
"""Timeout of a restart command for a module that does not answer: the time to write it."""
ACTION_TIMEOUT_S = 420.0
"""Timeout of an action. +COPS=0 alone may take three minutes, and some modules refuse it at first."""
_SESSION_KEEPING_ACTIONS = {RecoveryAction.RESELECT_NETWORK, RecoveryAction.SWITCH_RADIO_ON}
_MODULE_RESETS = {RecoveryAction.RESTART_MODULE, RecoveryAction.CYCLE_POWER}
POST_ACTION_GRACE_S = 200.0
"""Extra time for tasks that waited for the connection during an action before they are overdue."""


class RecoveryOptions(Record):
    """The power switch that recovery may use, and the permission to interrupt other users."""

    power: PowerSwitch | None = None
    may_drop_data: bool = False
    describe_module_users: Callable[[], str] = lambda: ""
    """Names other users of the module as part of a sentence, empty if there are none. May block."""
    driver: DriverProfile = DriverProfile()
    """The driver profile until the module is identified. It has the lengths of the pulses."""


class ModuleUsers:
    """Finds programs and network interfaces that use the module. The methods may block."""

    def __init__(
        self, opener: TransportOpener, describe_other_user: Callable[[Path, int], str] | None = None
    ) -> None:
        """Only a module on a local port has known users; for a socket all methods return nothing.

        `describe_other_user` returns who else uses the module behind a device path, given the agent's own
        process id; by default `hardware.port_users` is used.
        """
        self._opener = opener if isinstance(opener, PortOpener) else None
        self._describe_other_user = describe_other_user or _describe_other_user

    def device_path(self) -> Path | None:
        """Return the device path of the module's port, as it was when the port was last opened."""
        return None if self._opener is None else self._opener.device_path

    def describe_users(self) -> str:
        """Return the users as part of a sentence, empty if there are none."""
        if self._opener is None or self._opener.device_path is None:
            return ""
        if self._opener.port_state.is_in_data_mode:
            return f"another program has dialled on {self._opener.device_path}, which is in data mode"
        return self._describe_other_user(self._opener.device_path, os.getpid())


def _describe_other_user(device_path: Path, own_pid: int) -> str:
    from hardware.port_users import describe_other_user  # noqa: PLC0415  (needed only if the module fails)

    return describe_other_user(device_path, own_pid)


class RecoveryExecutor:
    """Executes the actions that the policy chooses."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        policy: RecoveryPolicy,
        options: RecoveryOptions,
        reset_budget: ResetBudget,
        opener: TransportOpener,
        send_refusals: SendRefusals,
    ) -> None:
        """`send_refusals` shows whether the module refuses to send."""
        self.policy = policy
        self.action_counts: Counter[RecoveryAction] = Counter()
        """The actions that were taken since the start of the agent."""
        self._send_refusals = send_refusals
        self._options = options
        self._reset_budget = reset_budget
        self._db = runtime.db
        self._opener = opener
        self._emit = runtime.emit
        self._deadlines = runtime.deadlines
        self._driver = options.driver
        self._last_skip_reason = ""
        self.last_skipped = ""
        """The last action that was due and not started, with the reason; empty once the failure is over."""
        self.action_ended_session = False
        """True if an action ended the last session, which then is not a failure. The supervisor resets it."""
        self.reset_usage = ResetUsage(0, 0)
        """Resets in the last hour and day, when they were last read from the journal."""

    @property
    def reset_limits(self) -> ResetLimits:
        """The numbers of resets that are allowed per hour and per day."""
        return self._reset_budget.limits

    def on_started(self) -> None:
        """Record that the first session is about to begin."""
        self.policy.switch_on.on_started(self._now())

    def on_answer(self) -> None:
        """Record that the module has answered, although a session may not begin."""
        self.policy.switch_on.on_answer()

    def on_session_started(self, modem: Modem) -> None:
        """Record a new session. The driver profile is kept for the time when the module does not answer."""
        self._driver = modem.driver
        self._last_skip_reason = self.last_skipped = ""
        self.policy.on_session_started(self._now())

    def on_session_failed(self, failure: Failure, uptime_s: float) -> RecoveryPlan:
        """Record that a session ended or could not begin. Return what to do next."""
        return self.policy.on_session_failed(failure, self._now(), uptime_s)

    async def restore_power(self) -> None:
        """Switch on again what an agent left off because it was killed during an action."""
        if not isinstance(power := self._options.power, UsbPowerSwitch | CommandPowerSwitch):
            return  # the kernel releases a GPIO line when its process ends
        try:
            device = await power.restore()
        except PowerUnavailable as error:
            self._emit(
                Event(
                    EventKind.RECOVERY, f"the module may be switched off: {error}", severity=Severity.WARNING
                )
            )
            return
        if device:
            text = f"{device} is switched on again; an agent that was killed had left it off"
            self._emit(Event(EventKind.RECOVERY, text, severity=Severity.WARNING))

    async def diagnose_sim(self, modem: Modem) -> Failure | None:
        """Return the failure of the SIM, None if none is known. Enters no PIN."""
        try:
            status = await modem.query_sim_status()
        except AtError:
            return None
        if status.is_missing:
            return Failure.NO_SIM
        if not status.may_be_unlocked:
            return Failure.PIN_REQUIRED
        if status.refusal is not None and status.refusal.is_one_of(SIM_BUSY_ERRORS):
            return Failure.SIM_BUSY
        return None

    async def check_session(self, modem: Modem, registration: Registration) -> None:
        """Check registration, SIM, message store and sending of a session, and take the action that is due.

        Every action except the network selection and switching the radio on ends the session.
        """
        if action := self.policy.check_radio(self._now(), off=modem.is_radio_off):
            await self.execute(action, Failure.RADIO_OFF, modem)
            return
        network_failure = sim_failure = None
        if not registration.can_send:
            network_failure = (
                Failure.REGISTRATION_DENIED
                if RegistrationState.DENIED in registration.states
                else Failure.NO_NETWORK
            )
            sim_failure = await self.diagnose_sim(modem)
            if sim_failure is Failure.NO_SIM:
                # The initialisation of the next session confirms it, and waits for the SIM.
                modem.close("the module sees no SIM")
                return
        busy = modem.is_sim_blocking_reads or sim_failure is Failure.SIM_BUSY
        if action := self.policy.check_sim(self._now(), busy=busy):
            await self.execute(action, Failure.SIM_BUSY, modem)
            return
        if action := self.policy.check_store(self._now(), unreadable=bool(modem.read_error)):
            if action is RecoveryAction.NEW_SESSION:
                self._request_new_session(modem)
            else:
                await self.execute(action, Failure.STORE_UNREADABLE, modem)
            return
        refused = bool(self._send_refusals.restart_reason)
        if action := self.policy.check_sending(self._now(), refused=refused):
            await self.execute(action, Failure.SENDING_REFUSED, modem)
            return
        if not (network_failure or busy or modem.read_error or refused or modem.is_radio_off):
            self.last_skipped = ""
        action = self.policy.check_registration(network_failure, self._now())
        if action is not None and network_failure is not None:
            await self.execute(action, network_failure, modem)

    async def execute(self, action: RecoveryAction, failure: Failure, modem: Modem | None = None) -> bool:
        """Execute an action on the modem of a session, or without a session. Return True if it was started.

        It is not started if another program uses the module, the port cannot be opened, the budget is used up
        or the journal cannot commit; the reason is logged once.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                may_interrupt = action is not RecoveryAction.SWITCH_RADIO_ON
                if (
                    may_interrupt
                    and not self._options.may_drop_data
                    and (user := await self._db.run(self._options.describe_module_users))
                ):
                    return self._log_skipped(
                        action, failure, f"{user}; recovery.may_drop_data = true allows it"
                    )
                client = None
                if modem is None and action in {RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE}:
                    client = await self._open_client(stack)
                refusal = await self._reserve_reset(action, failure) if action.is_counted else ""
            except PortUnavailable as error:
                return self._log_skipped(action, failure, str(error))
            except sqlite3.Error as error:
                return self._log_skipped(action, failure, f"the journal cannot record it: {error}")
            if refusal:
                return self._log_skipped(action, failure, refusal)
            self.policy.on_action_done(action, failure, self._now())
            self.action_counts[action] += 1
            self._last_skip_reason = self.last_skipped = ""
            text = f"{failure.value}: {action.value}"
            if action.is_counted:
                await self.refresh_reset_usage()
                limits = self._reset_budget.limits
                text += f"; {self.reset_usage.last_hour} of {limits.per_hour} resets this hour"
            self._emit(Event(EventKind.RECOVERY, text, severity=Severity.WARNING))
            self._deadlines.expect_within("recovery", ACTION_TIMEOUT_S + POST_ACTION_GRACE_S)
            self._deadlines.suspend(ACTION_TIMEOUT_S)
            was_refused = False
            try:
                await self._run_action(action, failure, modem, client)
            except (TimeoutError, ModemLost):
                # A module that does not respond sends no result, the port of one that restarts may disappear,
                # and the agent may be stopping. The next session shows whether the action helped.
                pass
            except (AtError, PowerUnavailable) as error:
                was_refused = True
                self._emit(
                    Event(EventKind.RECOVERY, f"the action failed: {error}", severity=Severity.WARNING)
                )
            finally:
                self._deadlines.suspend(POST_ACTION_GRACE_S)
                self._deadlines.clear("recovery")
            if action in _MODULE_RESETS and not was_refused:
                self._send_refusals.on_module_reset()
            if action not in _SESSION_KEEPING_ACTIONS and modem is not None:
                self.action_ended_session = True
                modem.close("the module is initialised again after a recovery action")
        return True

    async def _reserve_reset(self, action: RecoveryAction, failure: Failure) -> str:
        """Commit the reset; return the reason why it must not be done, or "". Raises sqlite3.Error."""
        return await self._db.run(
            self._reset_budget.reserve,
            action.reset_kind,
            failure.value,
            one_per_hour=failure is Failure.REGISTRATION_DENIED,
            keep_free=self._resets_to_keep_free(action),
        )

    def _request_new_session(self, modem: Modem) -> None:
        """Begin another session, which costs no reset, because messages cannot be read."""
        failure, action = Failure.STORE_UNREADABLE, RecoveryAction.NEW_SESSION
        self.policy.on_action_done(action, failure, self._now())
        text = f"{failure.value} ({modem.read_error}): {action.value}"
        self._emit(Event(EventKind.RECOVERY, text, severity=Severity.WARNING))
        self.action_ended_session = True
        modem.close(failure.value)

    async def refresh_reset_usage(self) -> None:
        """Read from the journal how much of the budget is used."""
        with contextlib.suppress(sqlite3.Error):  # only shown by `status`
            self.reset_usage = await self._db.run(self._reset_budget.usage)

    async def _run_action(
        self, action: RecoveryAction, failure: Failure, modem: Modem | None, client: AtClient | None
    ) -> None:
        power, driver = self._options.power, self._driver
        power_cycle_sim = failure in {Failure.NO_SIM, Failure.SIM_BUSY}
        async with asyncio.timeout(
            UNRESPONSIVE_COMMAND_S if failure is Failure.NO_RESPONSE and client else ACTION_TIMEOUT_S
        ):
            match action:
                case RecoveryAction.SWITCH_RADIO_ON if modem is not None:
                    await modem.switch_radio_on()
                case RecoveryAction.RESELECT_NETWORK if modem is not None:
                    await modem.reselect_network()
                case RecoveryAction.CYCLE_RADIO if modem is not None:
                    await modem.cycle_radio(power_cycle_sim=power_cycle_sim)
                case RecoveryAction.CYCLE_RADIO if client is not None:
                    await cycle_radio(client, driver, power_cycle_sim=power_cycle_sim)
                case RecoveryAction.RESTART_MODULE if modem is not None:
                    await modem.restart()
                case RecoveryAction.RESTART_MODULE if client is not None:
                    await restart(client, driver)
                case RecoveryAction.CYCLE_POWER if power is not None:
                    await power.power_cycle(driver)
                    self._note_power_key_press(power)
                case RecoveryAction.PRESS_POWER_KEY | RecoveryAction.SWITCH_ON if power is not None:
                    await power.power_on(driver)
                    self._note_power_key_press(power)

    def _resets_to_keep_free(self, action: RecoveryAction) -> int:
        """Return the resets that must remain after an action.

        A pulse on a power key may switch the module off; then the key must be pressed once more.
        """
        power = self._options.power
        return 1 if action is RecoveryAction.CYCLE_POWER and power is not None and power.is_toggle else 0

    def _note_power_key_press(self, power: PowerSwitch) -> None:
        if power.is_toggle:
            self.policy.on_power_key_pressed(self._now())

    async def _open_client(self, stack: contextlib.AsyncExitStack) -> AtClient:
        """Open the port for one command to a module that is not initialised. `stack` closes it."""
        client = await AtClient.open(self._opener)
        stack.push_async_callback(client.wait_closed)
        stack.callback(client.close)
        client.set_echo_expected(True)
        return client

    def _log_skipped(self, action: RecoveryAction, failure: Failure, reason: str) -> bool:
        """Log why an action is not started: the same reason only once, then with severity DEBUG."""
        if action is RecoveryAction.SWITCH_ON:
            self.policy.switch_on.on_tried(self._now())
        else:
            self.policy.on_action_deferred(failure, self._now())
        severity = Severity.DEBUG if reason == self._last_skip_reason else Severity.WARNING
        self._last_skip_reason = reason
        self.last_skipped = f"{action.value}: {reason}"
        text = f"{failure.value}, but not done: {self.last_skipped}"
        self._emit(Event(EventKind.RECOVERY, text, severity=severity))
        return False

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
