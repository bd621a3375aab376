"""Carries out what the ladder says: asks for leave and budget first, commits, then acts, one line for each.

Owned by the supervisor, which is the only one that ends sessions; in a session its watch asks here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.at.client import AtClient
from agent.at.error_codes import SIM_ABSENT_ERRORS, SIM_BUSY_ERRORS, SIM_FAILURE_ERRORS
from agent.at.errors import AtError, CommandRefused, ModemLost
from agent.at.transport.base import PortUnavailable, TransportOpener
from agent.at.transport.port_opener import PortOpener
from agent.common.events import Event, EventKind, EventSink, Severity
from agent.common.watchdog import DeadlineMonitor
from agent.journal.executor import DbExecutor
from agent.journal.reset_budget import ResetBudget, ResetUsage
from agent.modem.modem import Modem
from agent.modem.recovery_commands import cycle_radio, restart
from agent.modem.status_queries import Registration, RegistrationState
from agent.recovery.policy import Failure, RecoveryAction, RecoveryPlan, RecoveryPolicy
from hardware.power import PowerSwitch, PowerUnavailable, UsbPowerSwitch
from hardware.profile import DriverProfile

UNRESPONSIVE_COMMAND_S = 5.0
"""For a command that is written to a module which does not answer: so long it may take to leave."""
ACTION_TIMEOUT_S = 420.0
"""Longest time of a remedy: +COPS=0 alone may take three minutes, and some refuse before they obey."""
POST_ACTION_GRACE_S = 200.0
"""Whoever waited for the line meanwhile has its own work still before it."""


@dataclass(frozen=True, slots=True)
class RecoveryOptions:
    """What recovery may use."""

    power: PowerSwitch | None = None
    may_drop_data: bool = False
    describe_module_users: Callable[[], str] = lambda: ""
    """Who else uses the module, as part of a sentence; may block."""


class ModuleUsers:
    """Who else uses the module. Its methods may block."""

    def __init__(self, opener: TransportOpener) -> None:
        """Of a socket nothing is known."""
        self._opener = opener if isinstance(opener, PortOpener) else None

    def device_path(self) -> Path | None:
        """The device path on which the module is, or was last."""
        return None if self._opener is None else self._opener.device_path

    def describe_users(self) -> str:
        """Part of a sentence, empty for nobody."""
        from hardware.port_users import describe_other_user  # noqa: PLC0415  (only where a module is in trouble)

        if self._opener is None or self._opener.device_path is None:
            return ""
        if self._opener.port_state.is_in_data_mode:
            return f"something else has dialled on {self._opener.device_path}, which is in data mode"
        return describe_other_user(self._opener.device_path, os.getpid())


class RecoveryExecutor:
    """The ladder's hands."""

    def __init__(
        self,
        policy: RecoveryPolicy,
        options: RecoveryOptions,
        reset_budget: ResetBudget,
        db: DbExecutor,
        opener: TransportOpener,
        emit: EventSink,
        deadlines: DeadlineMonitor,
    ) -> None:
        self.policy = policy
        self._options = options
        self._reset_budget = reset_budget
        self._db = db
        self._opener = opener
        self._emit = emit
        self._deadlines = deadlines
        self._driver = DriverProfile()
        self._last_skip_reason = ""
        self.action_ended_session = False
        """Whether the last session was ended by a remedy: that is no failure. Whoever looks clears it."""
        self.reset_usage = ResetUsage(0, 0)
        """Resets in the last hour and day, as they stood when last looked at."""

    def on_session_started(self, modem: Modem) -> None:
        """A session stands. How this module is driven is remembered for when it no longer answers."""
        self._driver = modem.driver
        self._last_skip_reason = ""
        self.policy.on_session_started(self._now())

    def on_session_failed(self, failure: Failure, uptime_s: float) -> RecoveryPlan:
        """What comes after a session that ended, or could not be had."""
        return self.policy.on_session_failed(failure, self._now(), uptime_s)

    async def restore_usb_power(self) -> None:
        """Give back what an agent that was killed in the middle of a remedy has left without power."""
        if not isinstance(power := self._options.power, UsbPowerSwitch):
            return  # of a GPIO line the kernel lets go
        try:
            place = await power.restore()
        except PowerUnavailable as error:
            self._emit(
                Event(
                    EventKind.RECOVERY, f"the module may be switched off: {error}", severity=Severity.WARNING
                )
            )
            return
        if place:
            text = f"USB device {place} is switched on again; an agent that was killed had switched it off"
            self._emit(Event(EventKind.RECOVERY, text, severity=Severity.WARNING))

    async def diagnose_sim(self, modem: Modem) -> Failure | None:
        """What is wrong with the SIM, None if nothing is or nobody can tell."""
        try:
            said = " ".join(await modem.execute_at("AT+CPIN?")).upper()
        except CommandRefused as error:
            if error.is_one_of(SIM_ABSENT_ERRORS | SIM_FAILURE_ERRORS):
                return Failure.NO_SIM
            return Failure.SIM_BUSY if error.is_one_of(SIM_BUSY_ERRORS) else None
        except AtError:
            return None
        if "NOT INSERTED" in said or "NOT READY" in said:
            return Failure.NO_SIM
        return Failure.PIN_REQUIRED if " PIN" in said or " PUK" in said else None

    async def check_session(self, modem: Modem, registration: Registration) -> None:
        """Look after network, card and store in a session: a remedy beyond +COPS=0 ends it."""
        trouble = card = None
        if not registration.can_send:
            trouble = (
                Failure.REGISTRATION_DENIED
                if RegistrationState.DENIED in registration.states
                else Failure.NO_NETWORK
            )
            card = await self.diagnose_sim(modem)
            if card is Failure.NO_SIM:
                # Setting it up again tells whether it really is gone, and waits for it.
                modem.close("the module sees no SIM")
                return
        busy = modem.is_sim_blocking_reads or card is Failure.SIM_BUSY
        if remedy := self.policy.check_sim(self._now(), busy=busy):
            await self.execute(remedy, Failure.SIM_BUSY, modem)
            return
        if remedy := self.policy.check_store(self._now(), unreadable=bool(modem.read_error)):
            if remedy is RecoveryAction.NEW_SESSION:
                self._request_new_session(modem)
            else:
                await self.execute(remedy, Failure.STORE_UNREADABLE, modem)
            return
        remedy = self.policy.check_registration(trouble, self._now())
        if remedy is not None and trouble is not None:
            await self.execute(remedy, trouble, modem)

    async def execute(self, action: RecoveryAction, failure: Failure, modem: Modem | None = None) -> bool:
        """Carry out a remedy on the modem of a session, or without one; whether it was begun.

        Not begun: something else uses the module, the port cannot be opened, the budget is used up, or the
        journal cannot commit. Each is said once.
        """
        async with contextlib.AsyncExitStack() as stack:
            try:
                if not self._options.may_drop_data and (
                    user := await self._db.run(self._options.describe_module_users)
                ):
                    return self._log_skipped(
                        action, failure, f"{user}; recovery.may_drop_data = true allows it"
                    )
                channel = None
                if modem is None and action in {RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE}:
                    channel = await self._open_client(stack)
                refusal = await self._db.run(
                    self._reset_budget.reserve,
                    action.reset_kind,
                    failure.value,
                    one_per_hour=failure is Failure.REGISTRATION_DENIED,
                    keep_free=self._resets_to_keep_free(action),
                )
            except PortUnavailable as error:
                return self._log_skipped(action, failure, str(error))
            except sqlite3.Error as error:
                return self._log_skipped(action, failure, f"the journal cannot note it: {error}")
            if refusal:
                return self._log_skipped(action, failure, refusal)
            await self.refresh_reset_usage()
            self.policy.on_action_done(action, failure, self._now())
            self._last_skip_reason = ""
            used = f"{self.reset_usage.last_hour} of {self._reset_budget.limits.per_hour} resets this hour"
            self._emit(
                Event(
                    EventKind.RECOVERY, f"{failure.value}: {action.value}; {used}", severity=Severity.WARNING
                )
            )
            self._deadlines.expect_within("recovery", ACTION_TIMEOUT_S + POST_ACTION_GRACE_S)
            self._deadlines.suspend(ACTION_TIMEOUT_S)
            try:
                await self._run_action(action, failure, modem, channel)
            except (TimeoutError, ModemLost):
                # A mute module says nothing to it, one that restarts may vanish with its port, and the agent
                # may be about to end: whether it helped, the next session tells.
                pass
            except (AtError, PowerUnavailable) as error:
                self._emit(
                    Event(EventKind.RECOVERY, f"it did not succeed: {error}", severity=Severity.WARNING)
                )
            finally:
                self._deadlines.suspend(POST_ACTION_GRACE_S)
                self._deadlines.clear("recovery")
            if action is not RecoveryAction.RESELECT_NETWORK and modem is not None:
                self.action_ended_session = True
                modem.close("the module is to be set up again")
        return True

    def _request_new_session(self, modem: Modem) -> None:
        """Another session, which costs no reset, for messages that cannot be read."""
        trouble, remedy = Failure.STORE_UNREADABLE, RecoveryAction.NEW_SESSION
        self.policy.on_action_done(remedy, trouble, self._now())
        what = f"{trouble.value} ({modem.read_error}): {remedy.value}"
        self._emit(Event(EventKind.RECOVERY, what, severity=Severity.WARNING))
        self.action_ended_session = True
        modem.close(trouble.value)

    async def refresh_reset_usage(self) -> None:
        """Look again how much of the budget is used."""
        with contextlib.suppress(sqlite3.Error):  # a figure for people only
            self.reset_usage = await self._db.run(self._reset_budget.usage)

    async def _run_action(
        self, action: RecoveryAction, failure: Failure, modem: Modem | None, client: AtClient | None
    ) -> None:
        power, driver, card = self._options.power, self._driver, failure in {Failure.NO_SIM, Failure.SIM_BUSY}
        async with asyncio.timeout(
            UNRESPONSIVE_COMMAND_S if failure is Failure.NO_RESPONSE and client else ACTION_TIMEOUT_S
        ):
            match action:
                case RecoveryAction.RESELECT_NETWORK if modem is not None:
                    await modem.reselect_network()
                case RecoveryAction.CYCLE_RADIO if modem is not None:
                    await modem.cycle_radio(power_cycle_sim=card)
                case RecoveryAction.CYCLE_RADIO if client is not None:
                    await cycle_radio(client, driver, power_cycle_sim=card)
                case RecoveryAction.RESTART_MODULE if modem is not None:
                    await modem.restart()
                case RecoveryAction.RESTART_MODULE if client is not None:
                    await restart(client, driver)
                case RecoveryAction.CYCLE_POWER if power is not None:
                    await power.power_cycle(driver)
                    self._note_power_key_press(power)
                case RecoveryAction.PRESS_POWER_KEY if power is not None:
                    await power.power_on(driver)
                    self._note_power_key_press(power)

    def _resets_to_keep_free(self, action: RecoveryAction) -> int:
        """A key may switch off for good what it was to start anew: then it has to be pressed once more."""
        power = self._options.power
        return 1 if action is RecoveryAction.CYCLE_POWER and power is not None and power.is_toggle else 0

    def _note_power_key_press(self, power: PowerSwitch) -> None:
        if power.is_toggle:
            self.policy.on_power_key_pressed(self._now())

    async def _open_client(self, stack: contextlib.AsyncExitStack) -> AtClient:
        """A line to a module that nobody has set up, to tell it one thing."""
        channel = await AtClient.open(self._opener)
        stack.push_async_callback(channel.wait_closed)
        stack.callback(channel.close)
        channel.set_echo_expected(True)
        return channel

    def _log_skipped(self, action: RecoveryAction, failure: Failure, reason: str) -> bool:
        """Said once; while it lasts it only stands in the log's details."""
        self.policy.on_action_deferred(failure, self._now())
        weight = Severity.DEBUG if reason == self._last_skip_reason else Severity.WARNING
        self._last_skip_reason = reason
        self._emit(
            Event(
                EventKind.RECOVERY,
                f"{failure.value}, but not done: {action.value}: {reason}",
                severity=weight,
            )
        )
        return False

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
