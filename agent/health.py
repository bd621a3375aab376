"""Proof of work: every task sets itself a deadline, and the watchdog is fed while none has passed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class Health:
    """The deadlines of the running tasks. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._excused_until = -inf

    def within(self, task: str, seconds: float) -> None:
        """The task promises to report again within that time."""
        self._deadlines[task] = self._clock() + seconds

    def ended(self, task: str) -> None:
        """The task has nothing to promise any more."""
        self._deadlines.pop(task, None)

    def excuse(self, seconds: float) -> None:
        """For so long from now nobody is late: something that all must wait for holds the line."""
        self._excused_until = self._clock() + seconds

    def late(self) -> list[str]:
        """The tasks past their own deadline."""
        now = self._clock()
        if now < self._excused_until:
            return []
        return [task for task, deadline in self._deadlines.items() if deadline < now]
