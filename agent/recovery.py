"""What to do about a module that does not work, and when: the ladder. Pure; time and chance are handed in.

The lowest rung, bringing the line back into step, belongs to the channel. Then, each only after the one
before has not helped: a new session (which opens the port anew), another choice of network, the radio off and
on, the module's own restart, its power, and at last the end of this process, so that systemd starts another.
Each restart makes a module attach to the network again, and networks bar devices that attach too often: so
the rests between them double, and a budget on disk (`agent.journal.resets`) bounds them whatever happens.

A port that is absent, busy or forbidden is only waited for. So is a person, where only a person can help.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import inf
from random import Random

from agent.retry import Waits

PORT_WAITS = Waits(first_s=1, cap_s=24)
"""A USB module needs seconds to come back, ModemManager lets go after 30 s at the most. No wait is longer,
spread included, so a port that was away for days is taken within half a minute."""
SESSION_WAITS = Waits(first_s=2, cap_s=45)
"""A module that somebody has switched on may just have missed a try of half a minute: with the longest wait
after it and the time to set it up it works again within two minutes. A session in itself makes no module
attach, so short waits do no harm to the network."""
STEADY_S = 900.0
"""A quarter of an hour without trouble: what was before it is forgotten, the waits begin anew."""
WORKED_S = 60.0
"""A session that worked for so long lets no wait grow further, though it forgets nothing."""
RESTING_S = 10.0
"""After a restart that we caused: no module is back sooner."""

DEADLINES = 3
"""Sessions in a row on which nothing answered, until the module counts as mute."""
BUSY_S = 180.0
"""A SIM that is busy for so long is not just starting."""
UNREADABLE_S = 900.0
"""A store whose messages cannot be read for so long does not come right by itself."""
REST_S = 300.0
"""Least time between two steps against one trouble; it doubles with each."""
REST_CAP_S = 4 * 3600.0
UNREGISTERED_S = 600.0
"""How long a network is looked for until something is done; it is also the first rest there."""
DENIED_REST_S = 3600.0
"""Whom the network has turned away asks again at most once an hour."""
SWITCHED_S = 60.0
"""After a pulse at a power key nobody knows whether it went on or off; so long it may take to show."""
END_S = 3600.0
"""Nothing has helped for so long: another process may."""


class Trouble(Enum):
    """What is wrong; the value stands in the journal and in sentences."""

    LOST = "the session was lost"
    ABSENT = "the port cannot be opened"
    SILENT = "the module does not answer"
    UNUSABLE = "the module cannot be used"
    LOCKED = "the SIM asks for its PIN"
    NO_SIM = "the SIM is not seen"
    SIM_BUSY = "the SIM stays busy"
    UNREADABLE = "its messages cannot be read"
    MISTAKE = "a mistake of this program"
    SEARCHING = "no network"
    DENIED = "registration denied"


class Remedy(Enum):
    """What can be done; the value is for people."""

    ANEW = "begin a new session"
    RESELECT = "let the module choose its network anew (AT+COPS=0)"
    RADIO = "switch its radio off and on (AT+CFUN)"
    RESTART = "restart it by its own command"
    POWER = "switch its power"
    PRESS = "press its power key once more, as it may be off"
    END = "end, to be started anew"

    @property
    def step(self) -> str:
        """How the journal calls it (`resets.step`)."""
        return {"RESELECT": "radio", "RADIO": "radio", "RESTART": "restart"}.get(self.name, "power")


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes next: a remedy, if any, then a pause, then a new session."""

    remedy: Remedy | None
    pause_s: float


_OF_A_SESSION = {Trouble.SEARCHING, Trouble.UNREADABLE}
"""Troubles of sessions that work otherwise: that one lasted is no sign that they are over."""


@dataclass(slots=True)
class _Climb:
    """How far the ladder was climbed against one trouble."""

    tried: int = 0
    at: float = -inf
    """When the last step was taken, or was not to be had."""

    def rested(self, now: float, first_s: float) -> bool:
        """Whether the rest after the last step is over."""
        return now - self.at >= min(first_s * 2.0 ** min(max(0, self.tried - 1), 16), REST_CAP_S)


class Ladder:
    """Where the connection stands on the ladder. All times are monotonic seconds."""

    def __init__(self, random: Random, *, power: bool = False) -> None:
        """`power`: there is something that switches it."""
        self._random = random
        self._power = power
        self._failures = 0
        self._silences = 0
        self._failing_since: float | None = None
        self._heard = False
        self._climbs: dict[Trouble, _Climb] = {}
        self._pressed_at: float | None = None
        self._adrift_since: float | None = None
        self._busy_since: float | None = None
        self._unreadable_since: float | None = None
        self._readable_since: float | None = None
        self._registered_since: float | None = None
        self.last: Remedy | None = None
        """The last remedy that was carried out, until a quiet time has passed."""

    # What happened

    def worked(self, now: float) -> None:
        """A session stands: the module answers and could be set up."""
        self._silences = 0
        self._heard = True
        self._pressed_at = self._adrift_since = self._busy_since = None
        self._unreadable_since = self._readable_since = None
        for trouble in (Trouble.SILENT, Trouble.UNUSABLE, Trouble.NO_SIM):
            if trouble in self._climbs and now - self._climbs[trouble].at >= STEADY_S:
                del self._climbs[trouble]

    def failed(self, trouble: Trouble, now: float, worked_s: float = 0.0) -> Plan:
        """A session ended, or none could be had; `worked_s` is how long it had worked."""
        if worked_s >= STEADY_S:
            self._forget()
        if worked_s < WORKED_S or self._failures == 0:
            self._failures += 1
        if worked_s >= WORKED_S or self._failing_since is None:
            self._failing_since = now
        self._silences = self._silences + 1 if trouble is Trouble.SILENT else 0
        waits = PORT_WAITS if trouble is Trouble.ABSENT else SESSION_WAITS
        remedy = self._remedy(trouble, now)
        return Plan(remedy, waits.after(self._failures, self._random))

    def sim(self, now: float, *, busy: bool) -> Remedy | None:
        """Whether the SIM of a session is still busy, which it may be for some time after a start."""
        if not busy:
            self._busy_since = None
            return None
        self._busy_since = now if self._busy_since is None else self._busy_since
        if now - self._busy_since < BUSY_S:
            return None
        remedy = self._remedy(Trouble.SIM_BUSY, now)
        # A pulse takes long, and a session must be able to end at once.
        return Remedy.RESTART if remedy is Remedy.POWER else remedy

    def store(self, now: float, *, refuses: bool) -> Remedy | None:
        """Whether the messages of a session can be read, though nobody blames the SIM.

        First another session, which costs nothing; then the module's own restart, with rests that grow.
        """
        if not refuses:
            self._unreadable_since = None
            self._readable_since = now if self._readable_since is None else self._readable_since
            if now - self._readable_since >= STEADY_S:
                self._climbs.pop(Trouble.UNREADABLE, None)
            return None
        self._readable_since = None
        self._unreadable_since = now if self._unreadable_since is None else self._unreadable_since
        climb = self._climb(Trouble.UNREADABLE)
        if now - self._unreadable_since < UNREADABLE_S or not climb.rested(now, UNREADABLE_S):
            return None
        return Remedy.RESTART if climb.tried else Remedy.ANEW

    def fares(self, trouble: Trouble | None, now: float) -> Remedy | None:
        """How a session fares with its network: SEARCHING, DENIED, or None where messages can be sent."""
        if trouble is None:
            self._adrift_since = None
            self._registered_since = now if self._registered_since is None else self._registered_since
            if now - self._registered_since >= STEADY_S:
                self._climbs.pop(Trouble.SEARCHING, None)
                self._climbs.pop(Trouble.DENIED, None)
            return None
        self._registered_since = None
        self._adrift_since = now if self._adrift_since is None else self._adrift_since
        if now - self._adrift_since < UNREGISTERED_S:
            return None
        # The two change places from one look to the next: they share their steps and their rest.
        climb = self._climbs.setdefault(Trouble.SEARCHING, _Climb())
        if not climb.rested(now, DENIED_REST_S if trouble is Trouble.DENIED else UNREGISTERED_S):
            return None
        rungs = (Remedy.RESELECT, Remedy.RADIO, Remedy.RESTART)
        return rungs[climb.tried] if climb.tried < len(rungs) else rungs[2 - climb.tried % 2]

    def done(self, remedy: Remedy, trouble: Trouble, now: float) -> None:
        """It was carried out."""
        self._climb(trouble).tried += 1
        self._climb(trouble).at = now
        self._silences = 0
        self._pressed_at = None
        self.last = remedy

    def pulsed(self, now: float) -> None:
        """A power key was pressed: it may be off by that."""
        self._pressed_at = now

    def held(self, trouble: Trouble, now: float) -> None:
        """It was not to be had now (no budget, no leave, no port): the same is asked for after a rest."""
        self._climb(trouble).at = now
        if self._pressed_at is not None:
            self._pressed_at = now + REST_S - SWITCHED_S

    def describe(self) -> str:
        """For `status`: what is being gone through, empty where nothing is."""
        parts = []
        if self._failures:
            parts.append(f"failures in a row: {self._failures}")
        parts += [
            f"{trouble.value}, steps taken: {climb.tried}"
            for trouble, climb in self._climbs.items()
            if climb.tried
        ]
        return "; ".join(parts)

    # Inside

    def _remedy(self, trouble: Trouble, now: float) -> Remedy | None:
        if self._pressed_at is not None and trouble in {Trouble.SILENT, Trouble.ABSENT}:
            # The pulse may have switched it off: it is pressed once more, and then the ladder goes on.
            if now - self._pressed_at < SWITCHED_S:
                return None
            if self.last is Remedy.POWER:
                return Remedy.PRESS
        climb = self._climb(trouble)
        rested = climb.rested(now, REST_S)
        match trouble:
            case Trouble.SILENT if self._silences >= DEADLINES and rested:
                return self._harder(climb.tried, now)
            case Trouble.UNUSABLE if self._failures >= DEADLINES and rested:
                if self._heard or climb.tried <= self._power:
                    return self._harder(climb.tried, now)
                return None  # one that could never be used is of another kind, and no restart changes that
            case Trouble.NO_SIM | Trouble.SIM_BUSY if rested:
                rungs = [Remedy.RADIO, Remedy.RESTART] + [Remedy.POWER] * self._power
                return rungs[climb.tried % len(rungs)]  # no end: what has no SIM waits for one
            case Trouble.MISTAKE if self._failing_for(now) >= END_S:
                return Remedy.END
        return None

    def _harder(self, tried: int, now: float) -> Remedy:
        """Its own restart first, then power where there is any; at last the end."""
        if tried == 0:
            return Remedy.RESTART
        if tried > self._power and self._heard and self._failing_for(now) >= END_S:
            # A module that this process has never heard would be as silent to the next one.
            return Remedy.END
        return Remedy.POWER if self._power else Remedy.RESTART

    def _failing_for(self, now: float) -> float:
        return 0.0 if self._failing_since is None else now - self._failing_since

    def _climb(self, trouble: Trouble) -> _Climb:
        same = {Trouble.DENIED: Trouble.SEARCHING, Trouble.SIM_BUSY: Trouble.NO_SIM}
        return self._climbs.setdefault(same.get(trouble, trouble), _Climb())

    def _forget(self) -> None:
        self._failures = self._silences = 0
        self._failing_since = None
        self.last = None
        for trouble in [each for each in self._climbs if each not in _OF_A_SESSION]:
            del self._climbs[trouble]


BROWN_OUT_S = 10.0
"""A module that is lost so soon after a body left was switched off by its own transmitter, most likely."""
BROWN_OUT_WAITS = Waits(first_s=300, cap_s=4 * 3600, factor=2.0)


class SendPause:
    """Lets sending rest where each message takes the module down, while receiving goes on."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._left_at: float | None = None
        self._strikes = 0
        self._until = -inf

    def left(self, now: float) -> None:
        """A body is about to leave. One that left long before it did no harm, or `lost` would have told."""
        if self._left_at is not None and now - self._left_at > BROWN_OUT_S:
            self._strikes = 0
        self._left_at = now

    def lost(self, now: float) -> float | None:
        """The session was lost. Seconds that sending rests from now on, where that is news."""
        if self._left_at is None:
            return None
        struck = now - self._left_at <= BROWN_OUT_S
        self._strikes = self._strikes + 1 if struck else 0
        self._left_at = None
        if self._strikes < 2:
            return None
        pause = BROWN_OUT_WAITS.after(self._strikes - 1, self._random)
        self._until = now + pause
        return pause

    def remaining(self, now: float) -> float:
        """Seconds that nothing may be sent, 0 for none."""
        return max(0.0, self._until - now)
