"""Runs the methods of the journal for asyncio code, in one worker thread or, in a simulation, at once."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from agent.common.events import Condition, Event, EventKind, Severity
from agent.common.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")


class ThreadExecutor:
    """Runs each call in one worker thread, so that the event loop never waits for the disk.

    `loop.run_in_executor` would chain two futures for each call, which costs more than most calls themselves.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run_calls, name="journal", daemon=True)
        self._thread.start()

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function in the worker thread. If the caller is cancelled before, it is not called.

        Raises RuntimeError after `close`.
        """
        if self._is_closed:
            raise RuntimeError("the thread of the journal has ended")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()

        def call() -> None:
            if future.cancelled():
                return
            try:
                finish = partial(_set_result, future, function(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001  (the caller gets it)
                finish = partial(_set_exception, future, error)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits any more
                loop.call_soon_threadsafe(finish)

        self._calls.put(call)
        return await future

    def close(self) -> None:
        """Wait for the call that is running, and for those that wait, and end the thread."""
        self._is_closed = True
        self._calls.put(None)
        self._thread.join()

    def _run_calls(self) -> None:
        while (call := self._calls.get()) is not None:
            call()


def _set_result(future: asyncio.Future[R], result: R) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[R], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


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
