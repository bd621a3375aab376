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

from agent.handlers.outcome import EXHAUSTED
from agent.retry import Waits
from agent.story import Step, Tell, Weight

WAITS = Waits(first_s=1, cap_s=60, factor=2)
GIVE_UP_S = 3600.0

P = ParamSpec("P")
R = TypeVar("R")


class Scarcity:
    """What could not be started, and since when."""

    def __init__(self, random: Random, tell: Tell) -> None:
        self._random = random
        self._tell = tell
        self._first: dict[Hashable, float] = {}
        self._until: dict[Hashable, float] = {}
        self._failures = 0

    def met(self, what: Hashable, reason: str, now: float) -> bool:
        """It could not be started; whether it is to be tried again. Said once for all while it lasts."""
        since = self._first.setdefault(what, now)
        if now - since >= GIVE_UP_S:
            self.over(what)
            return False
        self._failures += 1
        pause = WAITS.after(self._failures, self._random)
        self._until[what] = now + pause
        weight = Weight.WARNING if self._failures == 1 else Weight.DETAIL
        text = f"{reason}; nothing of it has run, each is tried again for {GIVE_UP_S / 60:.0f} min"
        self._tell(Step("no handler can be started", text, weight=weight))
        return True

    def left(self, what: Hashable, now: float) -> float:
        """Seconds that it has to wait yet, 0 for none."""
        return max(0.0, self._until.get(what, now) - now)

    def over(self, what: Hashable) -> None:
        """It is not to be tried any more."""
        self._first.pop(what, None)
        self._until.pop(what, None)

    def started(self, what: Hashable) -> None:
        """It has started: the host has again what it takes, and others need wait no longer than first."""
        self.over(what)
        if self._failures:
            self._failures = 0
            self._until.clear()
            self._tell(Step("handlers are started again"))


def is_scarcity(error: Exception) -> bool:
    """Whether an error is one of the host, not of what was to be done."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in EXHAUSTED)


async def afford(
    random: Random, tell: Tell, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run it until the host has what it takes: even pure code reads its own files when it first runs."""
    failures = 0
    while True:
        try:
            result = function(*args, **kwargs)
        except (OSError, MemoryError) as error:
            if not is_scarcity(error):
                raise
            failures += 1
            if failures == 1:
                tell(Step("host", f"{error or 'out of memory'}; trying on", weight=Weight.WARNING))
            await asyncio.sleep(WAITS.after(failures, random))
        else:
            return result
