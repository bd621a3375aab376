"""Backoff for handlers that cannot be started because the device lacks files, memory or processes.

Such a handler has not run at all, so its Command does not have to fail. It is tried again after growing
delays and given up after an hour, because the sender expects a reply. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Hashable
from random import Random

from agent.common.backoff import Backoff
from agent.common.events import Condition, Event, EventKind, EventSink, Severity

RESOURCE_BACKOFF = Backoff(initial_s=1, max_s=60, factor=2)
GIVE_UP_AFTER_S = 3600.0


class ResourceBackoff:
    """Delays the Commands and actions that could not be started, by a key of the caller."""

    def __init__(self, random: Random, emit: EventSink) -> None:
        self._random = random
        self._emit = emit
        self._first_failure_at: dict[Hashable, float] = {}
        self._retry_at: dict[Hashable, float] = {}
        self._consecutive_failures = 0

    def on_exhausted(self, key: Hashable, reason: str, now: float) -> bool:
        """Record that a start failed. Return True if it is to be tried again, False if it is given up.

        While the condition lasts, only its first failure is a warning.
        """
        first_failure_at = self._first_failure_at.setdefault(key, now)
        if now - first_failure_at >= GIVE_UP_AFTER_S:
            self.forget(key)
            return False
        self._consecutive_failures += 1
        self._retry_at[key] = now + RESOURCE_BACKOFF.delay(self._consecutive_failures, self._random)
        severity = Severity.WARNING if self._consecutive_failures == 1 else Severity.DEBUG
        text = f"{reason}; nothing has run, and each start is tried again for {GIVE_UP_AFTER_S / 60:.0f} min"
        self._emit(
            Event(EventKind.CANNOT_START_HANDLERS, text, severity=severity, condition=Condition.HANDLERS)
        )
        return True

    def remaining_s(self, key: Hashable, now: float) -> float:
        """Return the seconds until the next attempt, 0 if it may start now."""
        return max(0.0, self._retry_at.get(key, now) - now)

    def forget(self, key: Hashable) -> None:
        """Forget the failures of one key."""
        self._first_failure_at.pop(key, None)
        self._retry_at.pop(key, None)

    def on_started(self, key: Hashable) -> None:
        """Record that a start succeeded: the others may start at once as well."""
        self.forget(key)
        if self._consecutive_failures:
            self._consecutive_failures = 0
            self._retry_at.clear()
            self._emit(Event(EventKind.HANDLERS_START_AGAIN, resolves=Condition.HANDLERS))
