"""Runs a coroutine that a stop request may cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

R = TypeVar("R")


async def run_unless_stopped(stop_requested: asyncio.Event, work: Coroutine[Any, Any, R]) -> R | None:
    """Return the result of the coroutine, or None if the event was set first and it was cancelled."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop_requested.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    return None if task.cancelled() else task.result()
