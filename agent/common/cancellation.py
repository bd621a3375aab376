"""Work that may be ended when all is to end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def run_unless_stopped(stop_requested: asyncio.Event, work: Coroutine[Any, Any, bool]) -> bool:
    """What the work says, or False where `stop` came first: it was ended then."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop_requested.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait((task,))
    return not task.cancelled() and task.result()
