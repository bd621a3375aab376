"""Runs the methods of the journal for asyncio code, in one worker thread or, in a simulation, at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from agent.common.events import Condition, Event, EventKind, Severity
from agent.common.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")


class ThreadExecutor:
    """Runs each call in one worker thread, so that the event loop never waits for the disk."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "journal")

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in the worker thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for the call that is running, if any, and end the thread."""
        self._pool.shutdown()


class InlineExecutor:
    """Runs each call in the event loop itself: in virtual time a call that blocks takes no time."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return function(*args, **kwargs)

    def close(self) -> None:
        """Do nothing."""


COMMIT_RETRY_DELAYS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses after failed commits, for example with a full disk; the last one is repeated."""


def commit_failed_event(error: sqlite3.Error) -> Event:
    """Return the log event for a failed commit. It does not name a task, because the failure stops all."""
    text = (
        f"{error}; messages stay in the module, results wait, "
        "nothing is started or sent until a commit succeeds"
    )
    return Event(EventKind.JOURNAL_CANNOT_COMMIT, text, severity=Severity.ERROR, condition=Condition.JOURNAL)


COMMIT_RECOVERED_EVENT = Event(EventKind.JOURNAL_COMMITS_AGAIN, resolves=Condition.JOURNAL)


async def retry_until_committed(
    runtime: Runtime, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
) -> R:
    """Call the function until it raises no sqlite3.Error: for results that must not be lost.

    They are kept in memory meanwhile. The first failure is logged, and the success after it.
    """
    failures = 0
    while True:
        try:
            result = await runtime.db.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            if failures == 0:
                runtime.emit(commit_failed_event(error))
            await asyncio.sleep(COMMIT_RETRY_DELAYS_S[min(failures, len(COMMIT_RETRY_DELAYS_S) - 1)])
            failures += 1
        else:
            if failures:
                runtime.emit(COMMIT_RECOVERED_EVENT)
            return result
