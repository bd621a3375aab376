"""Decides when the power key of a module that has never answered is pressed. Pure: times are passed in.

Most HATs come up switched off. The key is pressed after half a minute without an answer, and again after
waits that grow. A module that is off has no attach to lose, so the presses are not counted as resets.
"""

from __future__ import annotations

from math import inf

FIRST_WAIT_S = 30.0
"""Time from the start without an answer until the first press: a module that switches itself on has booted by
then, because it began with the device."""
POWER_KEY_SETTLE_S = 60.0
"""Time after a pulse on the power key until the module shows whether the pulse switched it on or off."""
MAX_WAIT_S = 3600.0
"""The wait after a press is `POWER_KEY_SETTLE_S` at first and doubles up to this: the module's supply may
come hours later."""
TRIES_BEFORE_RESETS = 3
"""After so many presses a silent module is treated as one that hangs, too."""


class SwitchOnSchedule:
    """Counts the presses of one process. All times are monotonic seconds."""

    def __init__(self, *, can_switch_on: bool) -> None:
        self._may_be_off = can_switch_on
        """True until the first answer of the module, if its power key or its supply can switch it on."""
        self._started_at: float | None = None
        self._last_pulse_at = -inf
        self._tries = 0

    def on_started(self, now: float) -> None:
        """Record that the first session is about to begin."""
        self._started_at = now

    def on_answer(self) -> None:
        """Record that the module has answered: it is on."""
        self._may_be_off = False

    def on_tried(self, now: float) -> None:
        """Record that the key was pressed, or could not be. The next wait is longer."""
        self._tries += 1
        self._last_pulse_at = now

    def on_pulse(self, now: float) -> None:
        """Record any pulse on the key: the module needs time to show its effect."""
        self._last_pulse_at = now

    @property
    def comes_first(self) -> bool:
        """True while the module is more likely off than hanging."""
        return self._may_be_off and self._tries < TRIES_BEFORE_RESETS

    def is_due(self, now: float) -> bool:
        """Return True if the key is to be pressed now."""
        return self.remaining_s(now) <= 0

    def remaining_s(self, now: float) -> float:
        """Return the seconds until the next press, infinite if none is planned."""
        if not self._may_be_off:
            return inf
        if not self._tries:
            return (now if self._started_at is None else self._started_at) + FIRST_WAIT_S - now
        wait_s = min(POWER_KEY_SETTLE_S * 2.0 ** min(self._tries - 1, 16), MAX_WAIT_S)
        return self._last_pulse_at + wait_s - now

    def describe(self) -> str:
        """Return the presses so far for `modem-agent status`, empty if there are none."""
        if not self._may_be_off or not self._tries:
            return ""
        return f"it may be switched off, attempts to switch it on: {self._tries}"
