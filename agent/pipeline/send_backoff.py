"""Which messages have to wait before they are tried again, and why. Pure: the time is an argument.

It outlives sessions: a line that comes and goes shortens no wait. The process may end, then the attempts on
disk tell at the next start that something is wrong.
"""

from __future__ import annotations

from math import inf


class DestinationBackoff:
    """A wait for a destination keeps all its messages back, so that none overtakes another.

    Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self._held_until: dict[str, tuple[float, str]] = {}
        self._all_held_until = -inf
        self._all_held_reason = ""

    def hold(self, destination: str, until: float, reason: str) -> None:
        """Messages to that destination wait."""
        self._held_until[destination] = (until, reason)

    def hold_all(self, until: float, reason: str) -> None:
        """No message leaves, to whomever."""
        self._all_held_until, self._all_held_reason = until, reason

    def release(self, destination: str) -> None:
        """The message that the others waited for has met its fate."""
        self._held_until.pop(destination, None)

    def has_failed(self, destination: str) -> bool:
        """Whether a message to it failed since this process began."""
        return destination in self._held_until

    def all_remaining_s(self, now: float) -> float:
        """Seconds that nothing may leave, 0 for none."""
        return max(0.0, self._all_held_until - now)

    def held_destinations(self, now: float) -> dict[str, float]:
        """The destinations that wait, and for how many seconds yet."""
        return {name: until - now for name, (until, _) in self._held_until.items() if until > now}

    def describe(self, now: float) -> str:
        """For people; empty where nothing waits."""
        told = [
            f"{name}: {self._held_until[name][1]}; again in {left:.0f} s"
            for name, left in self.held_destinations(now).items()
        ]
        if left := self.all_remaining_s(now):
            told = [f"{self._all_held_reason}; again in {left:.0f} s"]
        return ", ".join(told)
