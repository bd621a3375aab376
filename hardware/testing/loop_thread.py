"""An event loop in a thread of its own, and waiting for what happens there."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

Result = TypeVar("Result")


class WaitTimedOut(AssertionError):  # noqa: N818 - the name of a condition
    """What a test waited for has not happened, or cannot happen any more; the text says what has."""


class LoopThread:
    """An event loop that runs until `close`. Its methods are called from other threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run_loop, name="modem-agent-sandbox", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[object, object, Result]) -> Result:
        """Run a coroutine on the event loop; return its result or raise its exception."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """End the event loop with its tasks, and the thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()

    def _run_loop(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # cancels the tasks at the end
            runner.get_loop().run_forever()


class ChangeSignal:
    """Tells coroutines of one event loop that something has changed."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def notify(self) -> None:
        """Let those that wait look again."""
        self._changed.set()

    async def wait_for(self, find: Callable[[], Result | None], timeout_s: float) -> Result | None:
        """Return what `find` returns, as soon as it is not None; None after `timeout_s` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while (found := find()) is None:
                    self._changed.clear()
                    await self._changed.wait()
                return found
        except TimeoutError:
            return None


def refuse_in_event_loop(method: str) -> None:
    """Raise RuntimeError if this thread runs an event loop, which a method that waits would block."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        f"{method} would block the event loop of this test: "
        f"write `await asyncio.to_thread(....{method}, ...)` instead"
    )
