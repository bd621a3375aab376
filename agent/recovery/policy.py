"""Decides which recovery action follows a failure, and when. Pure: time and randomness are passed in.

The AT connection resynchronises itself after a timeout. Longer failures escalate here, each action only after
the one before it did not help: a new session (which opens the port again), another network selection, the
radio off and on, a restart by the module's own command, a power cycle, and finally the end of this process,
so that systemd starts a new one. After each restart the module attaches to the network again, and networks
bar devices that attach too often. So the interval between actions doubles, and a rate limit on disk
(`agent.journal.reset_budget`) holds in any case.

A port that is absent, in use or forbidden is only tried again, with backoff. So is a SIM that waits for its
PIN: only a person can help.

A module that has never answered may be switched off; `agent.recovery.switch_on` decides then.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from random import Random

from agent.common.backoff import Backoff
from agent.recovery.switch_on import POWER_KEY_SETTLE_S, SwitchOnSchedule
from pdu.record import Record

PORT_BACKOFF = Backoff(initial_s=1, max_s=24)
"""A USB module takes seconds to come back, and ModemManager releases a port after at most 30 s. With jitter
no wait is longer than 30 s, so a port that was absent for days is opened within half a minute."""
SESSION_BACKOFF = Backoff(initial_s=2, max_s=45)
"""A module that was switched on may just have missed an attempt that takes half a minute. With the longest
wait after it and the time for initialisation it works within two minutes. A session alone does not make the
module attach, so short waits do not burden the network."""
STABLE_AFTER_S = 900.0
"""After this time without a failure earlier failures are forgotten and the backoff begins at its first
value."""
MIN_SESSION_UPTIME_S = 60.0
"""A session that lasted this long does not lengthen the backoff, but does not reset it either."""
POST_RESET_PAUSE_S = 10.0
"""Pause after a reset; no module is ready sooner."""

MAX_FAILED_SESSIONS = 3
"""Failed sessions in a row after which the module is restarted."""
SIM_BUSY_TIMEOUT_S = 180.0
"""A SIM that is busy for longer is not merely starting."""
STORE_UNREADABLE_TIMEOUT_S = 900.0
"""A message store that cannot be read for this long will not recover without an action."""
MIN_ACTION_INTERVAL_S = 300.0
"""First interval between two actions against the same failure; it doubles with each action."""
MAX_ACTION_INTERVAL_S = 4 * 3600.0
REGISTRATION_TIMEOUT_S = 600.0
"""Time without registration until the first action; also the first interval between these actions."""
DENIED_ACTION_INTERVAL_S = 3600.0
"""First interval between actions after the network has denied registration."""
RADIO_ON_INTERVAL_S = 60.0
"""First interval between two actions against a radio that another program switches off again and again."""
EXIT_AFTER_S = 3600.0
"""Time of continuous failure after which the process ends."""


class Failure(Enum):
    """The reason why the module does not work. The value is stored in the journal and appears in the log."""

    SESSION_LOST = "the session was lost"
    PORT_UNAVAILABLE = "the port cannot be opened"
    PORT_ABSENT = "the port is absent"
    NO_RESPONSE = "the module does not answer"
    INIT_FAILED = "the module cannot be used"
    PIN_REQUIRED = "the SIM asks for its PIN"
    NO_SIM = "the module sees no SIM"
    SIM_BUSY = "the SIM stays busy"
    STORE_UNREADABLE = "its messages cannot be read"
    SENDING_REFUSED = "it refuses messages and has accepted none since"
    INTERNAL_ERROR = "an internal error"
    RADIO_OFF = "another program has switched its radio off"
    NO_NETWORK = "no network"
    REGISTRATION_DENIED = "registration denied"


class RecoveryAction(Enum):
    """An action against a failure. The value appears in the log."""

    NEW_SESSION = "begin a new session"
    SWITCH_RADIO_ON = "switch it on again (AT+CFUN=1)"
    RESELECT_NETWORK = "select the network again (AT+COPS=0)"
    CYCLE_RADIO = "switch its radio off and on (AT+CFUN)"
    RESTART_MODULE = "restart it by its own command"
    CYCLE_POWER = "cycle its power"
    PRESS_POWER_KEY = "press its power key again, as it may be off"
    SWITCH_ON = "switch it on, as it may be switched off"
    EXIT_PROCESS = "end the process, so that a new one is started"

    @property
    def reset_kind(self) -> str:
        """The kind of reset that the journal records (`resets.action`)."""
        return _RESET_KINDS.get(self, "power")

    @property
    def is_counted(self) -> bool:
        """True if the action counts as a reset. The others switch on what is off, at growing intervals."""
        return self not in {RecoveryAction.SWITCH_ON, RecoveryAction.SWITCH_RADIO_ON}


_RESET_KINDS = {
    RecoveryAction.RESELECT_NETWORK: "radio",
    RecoveryAction.CYCLE_RADIO: "radio",
    RecoveryAction.RESTART_MODULE: "restart",
}
"""Kind of reset of each action; the others switch the power."""
_NETWORK_ACTIONS = (
    RecoveryAction.RESELECT_NETWORK,
    RecoveryAction.CYCLE_RADIO,
    RecoveryAction.RESTART_MODULE,
)
"""Actions against a missing registration, in this order; after the last one the last two alternate."""
_IN_SESSION_FAILURES = {
    Failure.NO_NETWORK,
    Failure.STORE_UNREADABLE,
    Failure.RADIO_OFF,
    Failure.SENDING_REFUSED,
}
"""Failures within a session that works otherwise: a session that lasts does not show that they are over."""
_SHARED_ESCALATIONS = {
    Failure.REGISTRATION_DENIED: Failure.NO_NETWORK,
    Failure.SIM_BUSY: Failure.NO_SIM,
}
"""Failures that alternate with another one and share its count of actions and its interval."""
_PORT_FAILURES = {Failure.PORT_UNAVAILABLE, Failure.PORT_ABSENT}
_FAILURES_WITHOUT_POWER = {Failure.NO_RESPONSE, Failure.PORT_ABSENT}
"""The failures of a module that is switched off: on a UART, and on USB."""


class RecoveryPlan(Record):
    """The plan after a failed session: an action, if any, then a pause, then a new session."""

    action: RecoveryAction | None
    delay_s: float


class _Escalation:
    """The actions taken against one failure."""

    def __init__(self) -> None:
        self.actions_taken = 0
        self.last_action_at = -inf
        """When the last action was taken or could not be taken."""

    def is_interval_over(self, now: float, initial_s: float) -> bool:
        """Return True if the next action may be taken. The interval doubles from `initial_s` on."""
        doublings = min(max(0, self.actions_taken - 1), 16)
        return now - self.last_action_at >= min(initial_s * 2.0**doublings, MAX_ACTION_INTERVAL_S)


class RecoveryPolicy:
    """Counts failures and chooses the next action. All times are monotonic seconds."""

    def __init__(
        self, random: Random, *, has_power_switch: bool = False, can_switch_on: bool = False
    ) -> None:
        """`has_power_switch` is True if something can switch the module's power, `can_switch_on` if that is
        its power key or its supply.
        """
        self._random = random
        self._has_power_switch = has_power_switch
        self.switch_on = SwitchOnSchedule(can_switch_on=can_switch_on)
        self._consecutive_failures = 0
        self._consecutive_no_response = 0
        self._failing_since: float | None = None
        self._has_responded = False
        self._escalations: dict[Failure, _Escalation] = {}
        self._power_key_pressed_at: float | None = None
        self._unregistered_since: float | None = None
        self._sim_busy_since: float | None = None
        self._store_unreadable_since: float | None = None
        self._store_readable_since: float | None = None
        self._registered_since: float | None = None
        self._radio_on_since: float | None = None
        self.last_action: RecoveryAction | None = None
        """The last action that was taken; None again after a stable session."""

    # Recording sessions and actions

    def on_session_started(self, now: float) -> None:
        """Record that the module answered and was initialised."""
        self._consecutive_no_response = 0
        self._has_responded = True
        self.switch_on.on_answer()
        self._power_key_pressed_at = self._unregistered_since = self._sim_busy_since = None
        self._store_unreadable_since = self._store_readable_since = None
        for failure in (Failure.NO_RESPONSE, Failure.INIT_FAILED, Failure.NO_SIM):
            escalation = self._escalations.get(failure)
            if escalation is not None and now - escalation.last_action_at >= STABLE_AFTER_S:
                del self._escalations[failure]

    def on_session_failed(self, failure: Failure, now: float, uptime_s: float = 0.0) -> RecoveryPlan:
        """Record that a session ended after `uptime_s` or could not begin. Return what to do next."""
        if uptime_s >= STABLE_AFTER_S:
            self._reset()
        if uptime_s < MIN_SESSION_UPTIME_S or self._consecutive_failures == 0:
            self._consecutive_failures += 1
        if uptime_s >= MIN_SESSION_UPTIME_S or self._failing_since is None:
            self._failing_since = now
        self._consecutive_no_response = (
            self._consecutive_no_response + 1 if failure is Failure.NO_RESPONSE else 0
        )
        backoff = PORT_BACKOFF if failure in _PORT_FAILURES else SESSION_BACKOFF
        action = self._next_action(failure, now)
        delay_s = backoff.delay(self._consecutive_failures, self._random)
        if action is None and failure is Failure.PORT_ABSENT:
            delay_s = min(delay_s, self.switch_on.remaining_s(now))
        return RecoveryPlan(action, delay_s)

    def on_action_done(self, action: RecoveryAction, failure: Failure, now: float) -> None:
        """Record that an action was taken against a failure."""
        if action is RecoveryAction.SWITCH_ON:
            self.switch_on.on_tried(now)
            return
        self._escalation_for(failure).actions_taken += 1
        self._escalation_for(failure).last_action_at = now
        self._consecutive_no_response = 0
        self._power_key_pressed_at = None
        self.last_action = action

    def on_power_key_pressed(self, now: float) -> None:
        """Record a pulse on a power key, which may have switched the module off."""
        self._power_key_pressed_at = now
        self.switch_on.on_pulse(now)

    def on_action_deferred(self, failure: Failure, now: float) -> None:
        """Record that an action was not possible (budget, other users, port). It is due after the
        interval.
        """
        self._escalation_for(failure).last_action_at = now
        if self._power_key_pressed_at is not None:
            self._power_key_pressed_at = now + MIN_ACTION_INTERVAL_S - POWER_KEY_SETTLE_S

    # Checks during a session

    def check_sim(self, now: float, *, busy: bool) -> RecoveryAction | None:
        """Return the action that is due because the SIM of a session has been busy for too long."""
        if not busy:
            self._sim_busy_since = None
            return None
        self._sim_busy_since = now if self._sim_busy_since is None else self._sim_busy_since
        if now - self._sim_busy_since < SIM_BUSY_TIMEOUT_S:
            return None
        action = self._next_action(Failure.SIM_BUSY, now)
        # A power pulse takes long, and a session must be able to end at once.
        return RecoveryAction.RESTART_MODULE if action is RecoveryAction.CYCLE_POWER else action

    def check_store(self, now: float, *, unreadable: bool) -> RecoveryAction | None:
        """Return the action that is due because the messages of a session cannot be read.

        The first is a new session, which costs no reset; after that the module is restarted.
        """
        if not unreadable:
            self._store_unreadable_since = None
            self._store_readable_since = (
                now if self._store_readable_since is None else self._store_readable_since
            )
            if now - self._store_readable_since >= STABLE_AFTER_S:
                self._escalations.pop(Failure.STORE_UNREADABLE, None)
            return None
        self._store_readable_since = None
        self._store_unreadable_since = (
            now if self._store_unreadable_since is None else self._store_unreadable_since
        )
        escalation = self._escalation_for(Failure.STORE_UNREADABLE)
        if now - self._store_unreadable_since < STORE_UNREADABLE_TIMEOUT_S:
            return None
        if not escalation.is_interval_over(now, STORE_UNREADABLE_TIMEOUT_S):
            return None
        return RecoveryAction.RESTART_MODULE if escalation.actions_taken else RecoveryAction.NEW_SESSION

    def check_radio(self, now: float, *, off: bool) -> RecoveryAction | None:
        """Return the action that is due because the radio of a session is off.

        It is switched on at once, and later than before each time if somebody switches it off again: each
        time the module attaches to the network.
        """
        if not off:
            self._radio_on_since = now if self._radio_on_since is None else self._radio_on_since
            if now - self._radio_on_since >= STABLE_AFTER_S:
                self._escalations.pop(Failure.RADIO_OFF, None)
            return None
        self._radio_on_since = None
        is_due = self._escalation_for(Failure.RADIO_OFF).is_interval_over(now, RADIO_ON_INTERVAL_S)
        return RecoveryAction.SWITCH_RADIO_ON if is_due else None

    def check_sending(self, now: float, *, refused: bool) -> RecoveryAction | None:
        """Return the action that is due because the module refuses to send in a session."""
        escalation = self._escalation_for(Failure.SENDING_REFUSED)
        if refused:
            is_due = escalation.is_interval_over(now, MIN_ACTION_INTERVAL_S)
            return RecoveryAction.RESTART_MODULE if is_due else None
        if now - escalation.last_action_at >= MAX_ACTION_INTERVAL_S:
            self._escalations.pop(Failure.SENDING_REFUSED)
        return None

    def check_registration(self, failure: Failure | None, now: float) -> RecoveryAction | None:
        """Return the action that is due because a session is not registered on a network.

        `failure` is NO_NETWORK or REGISTRATION_DENIED, or None if messages can be sent.
        """
        if failure is None:
            self._unregistered_since = None
            self._registered_since = now if self._registered_since is None else self._registered_since
            if now - self._registered_since >= STABLE_AFTER_S:
                self._escalations.pop(Failure.NO_NETWORK, None)
            return None
        self._registered_since = None
        self._unregistered_since = now if self._unregistered_since is None else self._unregistered_since
        if now - self._unregistered_since < REGISTRATION_TIMEOUT_S:
            return None
        escalation = self._escalation_for(failure)
        is_denied = failure is Failure.REGISTRATION_DENIED
        if not escalation.is_interval_over(
            now, DENIED_ACTION_INTERVAL_S if is_denied else REGISTRATION_TIMEOUT_S
        ):
            return None
        taken = escalation.actions_taken
        return _NETWORK_ACTIONS[taken if taken < len(_NETWORK_ACTIONS) else 2 - taken % 2]

    def describe(self) -> str:
        """Return the failures and actions so far for `modem-agent status`, empty if there are none."""
        parts = []
        if self._consecutive_failures:
            parts.append(f"failures in a row: {self._consecutive_failures}")
        if presses := self.switch_on.describe():
            parts.append(presses)
        parts += [
            f"{failure.value}, actions taken: {escalation.actions_taken}"
            for failure, escalation in self._escalations.items()
            if escalation.actions_taken
        ]
        return "; ".join(parts)

    # Choosing an action

    def _next_action(self, failure: Failure, now: float) -> RecoveryAction | None:
        if self._power_key_pressed_at is not None and failure in {
            Failure.NO_RESPONSE,
            *_PORT_FAILURES,
        }:
            # The pulse may have switched the module off: press the key once more, then escalate.
            if now - self._power_key_pressed_at < POWER_KEY_SETTLE_S:
                return None
            if self.last_action is RecoveryAction.CYCLE_POWER:
                return RecoveryAction.PRESS_POWER_KEY
        if failure in _FAILURES_WITHOUT_POWER:
            if self.switch_on.is_due(now):
                return RecoveryAction.SWITCH_ON
            if self.switch_on.comes_first:
                return None
        escalation = self._escalation_for(failure)
        taken = escalation.actions_taken
        is_due = escalation.is_interval_over(now, MIN_ACTION_INTERVAL_S)
        match failure:
            case Failure.NO_RESPONSE if self._consecutive_no_response >= MAX_FAILED_SESSIONS and is_due:
                return self._escalate(taken, now)
            case Failure.INIT_FAILED if self._consecutive_failures >= MAX_FAILED_SESSIONS and is_due:
                if self._has_responded or taken <= self._has_power_switch:
                    return self._escalate(taken, now)
                return None  # it never worked; it may be a module without SMS, and a restart changes nothing
            case Failure.NO_SIM | Failure.SIM_BUSY if is_due:
                actions = [RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE]
                if self._has_power_switch:
                    actions.append(RecoveryAction.CYCLE_POWER)
                return actions[taken % len(actions)]  # never EXIT_PROCESS, which cannot bring the SIM back
            case Failure.INTERNAL_ERROR if self._failing_duration(now) >= EXIT_AFTER_S:
                return RecoveryAction.EXIT_PROCESS
        return None

    def _escalate(self, actions_taken: int, now: float) -> RecoveryAction:
        """Return the restart first, then the power switch if there is one, and EXIT_PROCESS after an hour."""
        if actions_taken == 0:
            return RecoveryAction.RESTART_MODULE
        if (
            actions_taken > self._has_power_switch
            and self._has_responded
            and self._failing_duration(now) >= EXIT_AFTER_S
        ):
            # A module that never answered this process would not answer the next one either.
            return RecoveryAction.EXIT_PROCESS
        return RecoveryAction.CYCLE_POWER if self._has_power_switch else RecoveryAction.RESTART_MODULE

    def _failing_duration(self, now: float) -> float:
        return 0.0 if self._failing_since is None else now - self._failing_since

    def _escalation_for(self, failure: Failure) -> _Escalation:
        return self._escalations.setdefault(_SHARED_ESCALATIONS.get(failure, failure), _Escalation())

    def _reset(self) -> None:
        self._consecutive_failures = self._consecutive_no_response = 0
        self._failing_since = None
        self.last_action = None
        for failure in [each for each in self._escalations if each not in _IN_SESSION_FAILURES]:
            del self._escalations[failure]
