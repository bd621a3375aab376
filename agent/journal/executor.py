"""Runs the journal's methods beside the event loop: in one worker thread, or inline in simulated time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from agent.common.events import Condition, Event, EventKind, EventSink, Severity

P = ParamSpec("P")
R = TypeVar("R")


class DbExecutor(Protocol):
    """The seam between the event loop and the disk: one call at a time, in the order of asking."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def close(self) -> None: ...


class InlineExecutor:
    """Runs each call at once, on the loop: for simulated time, where nothing really waits."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    def close(self) -> None:
        """Nothing to close."""


class ThreadExecutor:
    """Runs each call in the one thread that touches the disk, so the loop never waits for a commit."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "journal")

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for the call under way, if any."""
        self._pool.shutdown()


COMMIT_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""A full disk or a device that went away is asked again at these pauses, and on at the last."""


def commit_failed_event(error: sqlite3.Error) -> Event:
    """The one line for it, whichever task meets it first: what it means for all of them."""
    text = f"{error}; messages stay in the module, results wait, nothing is begun or sent until it can"
    return Event(EventKind.JOURNAL_CANNOT_COMMIT, text, severity=Severity.ERROR, condition=Condition.JOURNAL)


COMMIT_RECOVERED_EVENT = Event(EventKind.JOURNAL_COMMITS_AGAIN, resolves=Condition.JOURNAL)


async def retry_until_committed(
    db: DbExecutor, emit: EventSink, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Run it until the journal takes it: for what has happened already and must not be forgotten.

    Its values wait in memory meanwhile; the trouble is told once, and its end.
    """
    failures = 0
    while True:
        try:
            result = await db.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            if failures == 0:
                emit(commit_failed_event(error))
            await asyncio.sleep(COMMIT_RETRY_DELAYS_S[min(failures, len(COMMIT_RETRY_DELAYS_S) - 1)])
            failures += 1
        else:
            if failures:
                emit(COMMIT_RECOVERED_EVENT)
            return result
