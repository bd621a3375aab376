"""Deadlines of the running tasks. The systemd watchdog is notified only while none of them has passed.

A bare timer would keep a hanging agent alive. So each task sets its own deadline before it begins work that
may hang, and the agent stops notifying the watchdog as soon as one task is overdue.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf


class DeadlineMonitor:
    """The deadline of each task by the task's name."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._clock = clock
        self._deadlines: dict[str, float] = {}
        self._suspended_until = -inf

    def expect_within(self, task: str, seconds: float) -> None:
        """Set the task's deadline, in place of its earlier one."""
        self._deadlines[task] = self._clock() + seconds

    def clear(self, task: str) -> None:
        """Remove the task's deadline: it is idle or has ended."""
        self._deadlines.pop(task, None)

    def suspend(self, seconds: float) -> None:
        """Treat no task as overdue for this long, because all of them wait for the same resource."""
        self._suspended_until = self._clock() + seconds

    def overdue(self) -> list[str]:
        """Return the names of the tasks that are past their deadline."""
        now = self._clock()
        if now < self._suspended_until:
            return []
        return [task for task, deadline in self._deadlines.items() if deadline < now]
