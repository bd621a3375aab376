"""Ends the agent when there is nothing left to do: for a device that wakes, fetches, answers and powers off.

The agent is idle while the module is registered, its message store was swept, no handler runs, and no
Command, reply or action waits, except those that have waited for longer than a limit. It ends when it has
been idle for the quiet time: after registration the network delivers the messages that it has kept, one by
one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

from agent.common.runtime import Runtime
from agent.journal.open_work import OpenWork
from pdu.record import Record

CHECK_INTERVAL_S = 1.0
"""Interval between two looks. The device is awake for a short time only, so they cost little."""


class IdleLimits(Record, kw_only=True):
    """When the agent ends by itself, in seconds."""

    quiet_s: float = 20.0
    """Time of idling until the end."""
    max_s: float = 300.0
    """Time after the start at which it ends in any case."""
    wait_s: float = 60.0
    """What waits for longer, for a rate limit or another attempt, is left to the next start."""


class UntilIdle:
    """Waits until the agent is idle."""

    def __init__(
        self,
        *,
        limits: IdleLimits,
        runtime: Runtime,
        read_open_work: Callable[[float], OpenWork],
        find_obstacle: Callable[[], str],
    ) -> None:
        """`read_open_work` takes the seconds after which work is not waited for any more.

        `find_obstacle` returns why messages cannot be received now, "" if they can.
        """
        self._limits = limits
        self._runtime = runtime
        self._read_open_work = read_open_work
        self._find_obstacle = find_obstacle
        self._newest: tuple[int | None, ...] = ()

    async def wait(self) -> str:
        """Return "" after the quiet time of idling, or why the agent is not idle when the time is over."""
        loop = asyncio.get_running_loop()
        started = idle_since = loop.time()
        while True:
            now = loop.time()
            reason = await self._find_work(now - started)
            if reason:
                idle_since = now
            if now - idle_since >= self._limits.quiet_s:
                return ""
            if now - started >= self._limits.max_s:
                return reason or "it was idle for less than the quiet time"
            await asyncio.sleep(CHECK_INTERVAL_S)

    async def _find_work(self, running_s: float) -> str:
        """Return why the agent is not idle; "" if it is."""
        # What an earlier start has left is waited for as long as what comes now.
        limit_s = self._limits.wait_s if running_s > self._limits.wait_s else float("inf")
        try:
            work = await self._runtime.db.run(self._read_open_work, limit_s)
        except sqlite3.Error as error:
            return f"the journal cannot be read: {error}"
        has_news, self._newest = work.newest != self._newest, work.newest
        return self._find_obstacle() or str(work) or ("a message has just arrived" if has_news else "")
