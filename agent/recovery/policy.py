"""What to do about a module that does not work, and when: the ladder. Pure; time and chance are handed in.

The lowest rung, bringing the line back into step, belongs to the channel. Then, each only after the one
before has not helped: a new session (which opens the port anew), another choice of network, the radio off and
on, the module's own restart, its power, and at last the end of this process, so that systemd starts another.
Each restart makes a module attach to the network again, and networks bar devices that attach too often: so
the rests between them double, and a budget on disk (`agent.journal.reset_budget`) bounds them whatever
happens.

A port that is absent, busy or forbidden is only waited for. So is a person, where only a person can help.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from random import Random

from agent.common.backoff import Backoff

PORT_BACKOFF = Backoff(initial_s=1, max_s=24)
"""A USB module needs seconds to come back, ModemManager lets go after 30 s at the most. No wait is longer,
spread included, so a port that was away for days is taken within half a minute."""
SESSION_BACKOFF = Backoff(initial_s=2, max_s=45)
"""A module that somebody has switched on may just have missed a try of half a minute: with the longest wait
after it and the time to set it up it works again within two minutes. A session in itself makes no module
attach, so short waits do no harm to the network."""
STABLE_AFTER_S = 900.0
"""A quarter of an hour without trouble: what was before it is forgotten, the waits begin anew."""
MIN_SESSION_UPTIME_S = 60.0
"""A session that worked for so long lets no wait grow further, though it forgets nothing."""
POST_RESET_PAUSE_S = 10.0
"""After a restart that we caused: no module is back sooner."""

MAX_FAILED_SESSIONS = 3
"""Sessions in a row on which nothing answered, until the module counts as mute."""
SIM_BUSY_TIMEOUT_S = 180.0
"""A SIM that is busy for so long is not just starting."""
STORE_UNREADABLE_TIMEOUT_S = 900.0
"""A store whose messages cannot be read for so long does not come right by itself."""
MIN_ACTION_INTERVAL_S = 300.0
"""Least time between two steps against one trouble; it doubles with each."""
MAX_ACTION_INTERVAL_S = 4 * 3600.0
REGISTRATION_TIMEOUT_S = 600.0
"""How long a network is looked for until something is done; it is also the first rest there."""
DENIED_ACTION_INTERVAL_S = 3600.0
"""Whom the network has turned away asks again at most once an hour."""
POWER_KEY_SETTLE_S = 60.0
"""After a pulse at a power key nobody knows whether it went on or off; so long it may take to show."""
EXIT_AFTER_S = 3600.0
"""Nothing has helped for so long: another process may."""


class Failure(Enum):
    """What is wrong; the value stands in the journal and in sentences."""

    SESSION_LOST = "the session was lost"
    PORT_UNAVAILABLE = "the port cannot be opened"
    NO_RESPONSE = "the module does not answer"
    INIT_FAILED = "the module cannot be used"
    PIN_REQUIRED = "the SIM asks for its PIN"
    NO_SIM = "the SIM is not seen"
    SIM_BUSY = "the SIM stays busy"
    STORE_UNREADABLE = "its messages cannot be read"
    INTERNAL_ERROR = "a mistake of this program"
    NO_NETWORK = "no network"
    REGISTRATION_DENIED = "registration denied"


class RecoveryAction(Enum):
    """What can be done; the value is for people."""

    NEW_SESSION = "begin a new session"
    RESELECT_NETWORK = "let the module choose its network anew (AT+COPS=0)"
    CYCLE_RADIO = "switch its radio off and on (AT+CFUN)"
    RESTART_MODULE = "restart it by its own command"
    CYCLE_POWER = "switch its power"
    PRESS_POWER_KEY = "press its power key once more, as it may be off"
    EXIT_PROCESS = "end, to be started anew"

    @property
    def reset_kind(self) -> str:
        """The kind of reset that the journal records (`resets.action`)."""
        return _RESET_KINDS.get(self, "power")


_RESET_KINDS = {
    RecoveryAction.RESELECT_NETWORK: "radio",
    RecoveryAction.CYCLE_RADIO: "radio",
    RecoveryAction.RESTART_MODULE: "restart",
}
"""Kind of reset of each action; the others switch power."""


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """What comes next: a remedy, if any, then a pause, then a new session."""

    action: RecoveryAction | None
    delay_s: float


_IN_SESSION_FAILURES = {Failure.NO_NETWORK, Failure.STORE_UNREADABLE}
"""Troubles of sessions that work otherwise: that one lasted is no sign that they are over."""


@dataclass(slots=True)
class _Escalation:
    """How far the ladder was climbed against one trouble."""

    actions_taken: int = 0
    last_action_at: float = -inf
    """When the last step was taken, or was not to be had."""

    def is_cooldown_over(self, now: float, initial_s: float) -> bool:
        """Whether the rest after the last step is over."""
        return now - self.last_action_at >= min(
            initial_s * 2.0 ** min(max(0, self.actions_taken - 1), 16), MAX_ACTION_INTERVAL_S
        )


class RecoveryPolicy:
    """Where the connection stands on the ladder. All times are monotonic seconds."""

    def __init__(self, random: Random, *, has_power_switch: bool = False) -> None:
        """`power`: there is something that switches it."""
        self._random = random
        self._has_power_switch = has_power_switch
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
        self.last_action: RecoveryAction | None = None
        """The last remedy that was carried out, until a quiet time has passed."""

    # What happened

    def on_session_started(self, now: float) -> None:
        """A session stands: the module answers and could be set up."""
        self._consecutive_no_response = 0
        self._has_responded = True
        self._power_key_pressed_at = self._unregistered_since = self._sim_busy_since = None
        self._store_unreadable_since = self._store_readable_since = None
        for trouble in (Failure.NO_RESPONSE, Failure.INIT_FAILED, Failure.NO_SIM):
            if (
                trouble in self._escalations
                and now - self._escalations[trouble].last_action_at >= STABLE_AFTER_S
            ):
                del self._escalations[trouble]

    def on_session_failed(self, failure: Failure, now: float, uptime_s: float = 0.0) -> RecoveryPlan:
        """A session ended, or none could be had; `worked_s` is how long it had worked."""
        if uptime_s >= STABLE_AFTER_S:
            self._reset()
        if uptime_s < MIN_SESSION_UPTIME_S or self._consecutive_failures == 0:
            self._consecutive_failures += 1
        if uptime_s >= MIN_SESSION_UPTIME_S or self._failing_since is None:
            self._failing_since = now
        self._consecutive_no_response = (
            self._consecutive_no_response + 1 if failure is Failure.NO_RESPONSE else 0
        )
        waits = PORT_BACKOFF if failure is Failure.PORT_UNAVAILABLE else SESSION_BACKOFF
        remedy = self._next_action(failure, now)
        return RecoveryPlan(remedy, waits.delay(self._consecutive_failures, self._random))

    def check_sim(self, now: float, *, busy: bool) -> RecoveryAction | None:
        """Whether the SIM of a session is still busy, which it may be for some time after a start."""
        if not busy:
            self._sim_busy_since = None
            return None
        self._sim_busy_since = now if self._sim_busy_since is None else self._sim_busy_since
        if now - self._sim_busy_since < SIM_BUSY_TIMEOUT_S:
            return None
        remedy = self._next_action(Failure.SIM_BUSY, now)
        # A pulse takes long, and a session must be able to end at once.
        return RecoveryAction.RESTART_MODULE if remedy is RecoveryAction.CYCLE_POWER else remedy

    def check_store(self, now: float, *, unreadable: bool) -> RecoveryAction | None:
        """Whether the messages of a session can be read, though nobody blames the SIM.

        First another session, which costs nothing; then the module's own restart, with rests that grow.
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
        climb = self._escalation_for(Failure.STORE_UNREADABLE)
        if now - self._store_unreadable_since < STORE_UNREADABLE_TIMEOUT_S or not climb.is_cooldown_over(
            now, STORE_UNREADABLE_TIMEOUT_S
        ):
            return None
        return RecoveryAction.RESTART_MODULE if climb.actions_taken else RecoveryAction.NEW_SESSION

    def check_registration(self, failure: Failure | None, now: float) -> RecoveryAction | None:
        """How a session fares with its network: SEARCHING, DENIED, or None where messages can be sent."""
        if failure is None:
            self._unregistered_since = None
            self._registered_since = now if self._registered_since is None else self._registered_since
            if now - self._registered_since >= STABLE_AFTER_S:
                self._escalations.pop(Failure.NO_NETWORK, None)
                self._escalations.pop(Failure.REGISTRATION_DENIED, None)
            return None
        self._registered_since = None
        self._unregistered_since = now if self._unregistered_since is None else self._unregistered_since
        if now - self._unregistered_since < REGISTRATION_TIMEOUT_S:
            return None
        # The two change places from one look to the next: they share their steps and their rest.
        climb = self._escalations.setdefault(Failure.NO_NETWORK, _Escalation())
        if not climb.is_cooldown_over(
            now,
            DENIED_ACTION_INTERVAL_S if failure is Failure.REGISTRATION_DENIED else REGISTRATION_TIMEOUT_S,
        ):
            return None
        rungs = (RecoveryAction.RESELECT_NETWORK, RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE)
        return (
            rungs[climb.actions_taken]
            if climb.actions_taken < len(rungs)
            else rungs[2 - climb.actions_taken % 2]
        )

    def on_action_done(self, action: RecoveryAction, failure: Failure, now: float) -> None:
        """It was carried out."""
        self._escalation_for(failure).actions_taken += 1
        self._escalation_for(failure).last_action_at = now
        self._consecutive_no_response = 0
        self._power_key_pressed_at = None
        self.last_action = action

    def on_power_key_pressed(self, now: float) -> None:
        """A power key was pressed: it may be off by that."""
        self._power_key_pressed_at = now

    def on_action_deferred(self, failure: Failure, now: float) -> None:
        """It was not to be had now (no budget, no leave, no port): the same is asked for after a rest."""
        self._escalation_for(failure).last_action_at = now
        if self._power_key_pressed_at is not None:
            self._power_key_pressed_at = now + MIN_ACTION_INTERVAL_S - POWER_KEY_SETTLE_S

    def describe(self) -> str:
        """For `status`: what is being gone through, empty where nothing is."""
        parts = []
        if self._consecutive_failures:
            parts.append(f"failures in a row: {self._consecutive_failures}")
        parts += [
            f"{trouble.value}, steps taken: {climb.actions_taken}"
            for trouble, climb in self._escalations.items()
            if climb.actions_taken
        ]
        return "; ".join(parts)

    # Inside

    def _next_action(self, failure: Failure, now: float) -> RecoveryAction | None:
        if self._power_key_pressed_at is not None and failure in {
            Failure.NO_RESPONSE,
            Failure.PORT_UNAVAILABLE,
        }:
            # The pulse may have switched it off: it is pressed once more, and then the ladder goes on.
            if now - self._power_key_pressed_at < POWER_KEY_SETTLE_S:
                return None
            if self.last_action is RecoveryAction.CYCLE_POWER:
                return RecoveryAction.PRESS_POWER_KEY
        climb = self._escalation_for(failure)
        rested = climb.is_cooldown_over(now, MIN_ACTION_INTERVAL_S)
        match failure:
            case Failure.NO_RESPONSE if self._consecutive_no_response >= MAX_FAILED_SESSIONS and rested:
                return self._escalate(climb.actions_taken, now)
            case Failure.INIT_FAILED if self._consecutive_failures >= MAX_FAILED_SESSIONS and rested:
                if self._has_responded or climb.actions_taken <= self._has_power_switch:
                    return self._escalate(climb.actions_taken, now)
                return None  # one that could never be used is of another kind, and no restart changes that
            case Failure.NO_SIM | Failure.SIM_BUSY if rested:
                rungs = [RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE] + [
                    RecoveryAction.CYCLE_POWER
                ] * self._has_power_switch
                return rungs[climb.actions_taken % len(rungs)]  # no end: what has no SIM waits for one
            case Failure.INTERNAL_ERROR if self._failing_duration(now) >= EXIT_AFTER_S:
                return RecoveryAction.EXIT_PROCESS
        return None

    def _escalate(self, actions_taken: int, now: float) -> RecoveryAction:
        """Its own restart first, then power where there is any; at last the end."""
        if actions_taken == 0:
            return RecoveryAction.RESTART_MODULE
        if (
            actions_taken > self._has_power_switch
            and self._has_responded
            and self._failing_duration(now) >= EXIT_AFTER_S
        ):
            # A module that this process has never heard would be as silent to the next one.
            return RecoveryAction.EXIT_PROCESS
        return RecoveryAction.CYCLE_POWER if self._has_power_switch else RecoveryAction.RESTART_MODULE

    def _failing_duration(self, now: float) -> float:
        return 0.0 if self._failing_since is None else now - self._failing_since

    def _escalation_for(self, failure: Failure) -> _Escalation:
        same = {Failure.REGISTRATION_DENIED: Failure.NO_NETWORK, Failure.SIM_BUSY: Failure.NO_SIM}
        return self._escalations.setdefault(same.get(failure, failure), _Escalation())

    def _reset(self) -> None:
        self._consecutive_failures = self._consecutive_no_response = 0
        self._failing_since = None
        self.last_action = None
        for trouble in [each for each in self._escalations if each not in _IN_SESSION_FAILURES]:
            del self._escalations[trouble]
