"""Proof of work: every task sets itself a deadline, and the watchdog is fed while none has passed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class DeadlineMonitor:
    """The deadlines of the running tasks. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._suspended_until = -inf

    def expect_within(self, task: str, seconds: float) -> None:
        """The task promises to report again within that time."""
        self._deadlines[task] = self._clock() + seconds

    def clear(self, task: str) -> None:
        """The task has nothing to promise any more."""
        self._deadlines.pop(task, None)

    def suspend(self, seconds: float) -> None:
        """For so long from now nobody is late: something that all must wait for holds the line."""
        self._suspended_until = self._clock() + seconds

    def overdue(self) -> list[str]:
        """The tasks past their own deadline."""
        now = self._clock()
        if now < self._suspended_until:
            return []
        return [task for task, deadline in self._deadlines.items() if deadline < now]
