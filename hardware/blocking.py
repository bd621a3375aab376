"""A thread for one call that may block: opening and closing a port, switching the power of a module.

Each such call has a thread of its own, which ends with it and keeps no process alive: one that hangs in the
kernel holds up neither the event loop nor the call after it.
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
    """Do something beside the event loop. Raises RuntimeError where the interpreter is about to end."""
    threading.Thread(target=work, name=name, daemon=True).start()


async def run_in_thread(
    work: Callable[[], ResultT], name: str, on_abandoned: Callable[[ResultT], object] = lambda _result: None
) -> ResultT:
    """The same, and wait for its result or its exception.

    When nobody waits any more, `abandoned` is given the result, in a thread too.
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
        except Exception as error:  # noqa: BLE001  (it is handed on to whoever waits)
            with contextlib.suppress(RuntimeError):  # the loop has ended, so has whoever waited
                loop.call_soon_threadsafe(fail, error)
            return
        try:
            loop.call_soon_threadsafe(settle, result)
        except RuntimeError:  # the same
            on_abandoned(result)

    start_thread(run, name)
    return await future
