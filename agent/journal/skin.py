"""Runs the journal's methods beside the event loop: in one worker thread, or inline in simulated time."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Protocol, TypeVar

from agent.story import Step, Tell, Weight

P = ParamSpec("P")
R = TypeVar("R")


class Skin(Protocol):
    """The seam between the event loop and the disk: one call at a time, in the order of asking."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def close(self) -> None: ...


class Inline:
    """Runs each call at once, on the loop: for simulated time, where nothing really waits."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    def close(self) -> None:
        """Nothing to close."""


class Thread:
    """Runs each call in the one thread that touches the disk, so the loop never waits for a commit."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, "journal")

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    def close(self) -> None:
        """Wait for the call under way, if any."""
        self._executor.shutdown()


COMMIT_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""A full disk or a device that went away is asked again at these pauses, and on at the last."""


def cannot_commit(error: sqlite3.Error) -> Step:
    """The one line for it, whichever task meets it first: what it means for all of them."""
    text = f"{error}; messages stay in the module, results wait, nothing is begun or sent until it can"
    return Step("journal cannot commit", text, weight=Weight.ERROR)


COMMITS_AGAIN = Step("journal commits again")


async def insist(skin: Skin, tell: Tell, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run it until the journal takes it: for what has happened already and must not be forgotten.

    Its values wait in memory meanwhile; the trouble is told once, and its end.
    """
    failures = 0
    while True:
        try:
            result = await skin.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            if failures == 0:
                tell(cannot_commit(error))
            await asyncio.sleep(COMMIT_WAITS_S[min(failures, len(COMMIT_WAITS_S) - 1)])
            failures += 1
        else:
            if failures:
                tell(COMMITS_AGAIN)
            return result
