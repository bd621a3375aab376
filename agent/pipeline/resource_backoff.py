"""When the host cannot start anything: what is tried again when, and for how long. Time is an argument.

Without a file, memory or a process to spare nothing of a handler has run, so its Command need not end by
that. It is tried again after waits that grow, and given up after an hour: whoever sent it waits for an
answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from random import Random
from typing import ParamSpec, TypeVar

from agent.common.backoff import Backoff
from agent.common.events import Event, EventSink, Severity
from agent.handlers.results import EXHAUSTION_ERRNOS

RESOURCE_BACKOFF = Backoff(initial_s=1, max_s=60, factor=2)
GIVE_UP_AFTER_S = 3600.0

P = ParamSpec("P")
R = TypeVar("R")


class ResourceBackoff:
    """What could not be started, and since when."""

    def __init__(self, random: Random, emit: EventSink) -> None:
        self._random = random
        self._emit = emit
        self._first_failure_at: dict[Hashable, float] = {}
        self._retry_at: dict[Hashable, float] = {}
        self._consecutive_failures = 0

    def on_exhausted(self, key: Hashable, reason: str, now: float) -> bool:
        """It could not be started; whether it is to be tried again. Said once for all while it lasts."""
        since = self._first_failure_at.setdefault(key, now)
        if now - since >= GIVE_UP_AFTER_S:
            self.forget(key)
            return False
        self._consecutive_failures += 1
        pause = RESOURCE_BACKOFF.delay(self._consecutive_failures, self._random)
        self._retry_at[key] = now + pause
        weight = Severity.WARNING if self._consecutive_failures == 1 else Severity.DEBUG
        text = f"{reason}; nothing of it has run, each is tried again for {GIVE_UP_AFTER_S / 60:.0f} min"
        self._emit(Event("no handler can be started", text, severity=weight))
        return True

    def remaining_s(self, key: Hashable, now: float) -> float:
        """Seconds that it has to wait yet, 0 for none."""
        return max(0.0, self._retry_at.get(key, now) - now)

    def forget(self, key: Hashable) -> None:
        """It is not to be tried any more."""
        self._first_failure_at.pop(key, None)
        self._retry_at.pop(key, None)

    def on_started(self, key: Hashable) -> None:
        """It has started: the host has again what it takes, and others need wait no longer than first."""
        self.forget(key)
        if self._consecutive_failures:
            self._consecutive_failures = 0
            self._retry_at.clear()
            self._emit(Event("handlers are started again"))


def is_resource_exhaustion(error: Exception) -> bool:
    """Whether an error is one of the host, not of what was to be done."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in EXHAUSTION_ERRNOS)


async def retry_while_exhausted(
    random: Random, emit: EventSink, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run it until the host has what it takes: even pure code reads its own files when it first runs."""
    failures = 0
    while True:
        try:
            result = function(*args, **kwargs)
        except (OSError, MemoryError) as error:
            if not is_resource_exhaustion(error):
                raise
            failures += 1
            if failures == 1:
                emit(Event("host", f"{error or 'out of memory'}; trying on", severity=Severity.WARNING))
            await asyncio.sleep(RESOURCE_BACKOFF.delay(failures, random))
        else:
            return result
