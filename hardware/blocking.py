"""Runs one blocking call in a thread: opening or closing a port, switching the power of a module.

Each call has its own daemon thread, which ends with the call. So a call that hangs in the kernel delays
neither the event loop nor the next call nor the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

ResultT = TypeVar("ResultT")


def start_thread(work: Callable[[], object], name: str) -> None:
    """Start a daemon thread. Raises RuntimeError if the interpreter is shutting down."""
    threading.Thread(target=work, name=name, daemon=True).start()


async def run_in_thread(
    work: Callable[[], ResultT], name: str, on_abandoned: Callable[[ResultT], object] = lambda _result: None
) -> ResultT:
    """Run `work` in a daemon thread and return its result, or raise its exception.

    If the caller is cancelled, the thread continues, and another thread calls `on_abandoned` with the result.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[ResultT] = loop.create_future()

    def settle(result: ResultT) -> None:
        if future.cancelled():
            start_thread(partial(on_abandoned, result), name)
        else:
            future.set_result(result)

    def fail(error: Exception) -> None:
        if not future.cancelled():
            future.set_exception(error)

    def run() -> None:
        try:
            result = work()
        except Exception as error:  # noqa: BLE001  (passed on to the caller)
            with contextlib.suppress(RuntimeError):  # the loop has ended, and the caller with it
                loop.call_soon_threadsafe(fail, error)
            return
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # the loop has ended
            on_abandoned(result)

    start_thread(run, name)
    return await future
