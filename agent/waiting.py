"""Which messages have to wait before they are tried again, and why. Pure: the time is an argument.

It outlives sessions: a line that comes and goes shortens no wait. The process may end, then the attempts on
disk tell at the next start that something is wrong.
"""

from __future__ import annotations

from math import inf


class Waiting:
    """A wait for a destination keeps all its messages back, so that none overtakes another.

    Times are seconds of one clock.
    """

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, str]] = {}
        self._all_until = -inf
        self._all_why = ""

    def hold(self, destination: str, until: float, why: str) -> None:
        """Messages to that destination wait."""
        self._until[destination] = (until, why)

    def hold_all(self, until: float, why: str) -> None:
        """No message leaves, to whomever."""
        self._all_until, self._all_why = until, why

    def done(self, destination: str) -> None:
        """The message that the others waited for has met its fate."""
        self._until.pop(destination, None)

    def knows(self, destination: str) -> bool:
        """Whether a message to it failed since this process began."""
        return destination in self._until

    def all_left(self, now: float) -> float:
        """Seconds that nothing may leave, 0 for none."""
        return max(0.0, self._all_until - now)

    def held(self, now: float) -> dict[str, float]:
        """The destinations that wait, and for how many seconds yet."""
        return {name: until - now for name, (until, _) in self._until.items() if until > now}

    def why(self, now: float) -> str:
        """For people; empty where nothing waits."""
        told = [
            f"{name}: {self._until[name][1]}; again in {left:.0f} s" for name, left in self.held(now).items()
        ]
        if left := self.all_left(now):
            told = [f"{self._all_why}; again in {left:.0f} s"]
        return ", ".join(told)
