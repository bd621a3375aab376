"""The queue of unsolicited events from the connection to their reader: ordered, deduplicated, bounded.

Each event is interpreted once, when it comes, so that an irrelevant event does not wake the reader. An event
is only a hint; the module's store is authoritative. So equal hints that have not been read yet are queued
once, and too many hints are replaced by one `RescanNeeded`. An event with a payload is the message itself
(+CMT, +CDS): it is never dropped. Few of these can be queued, because the module waits for each
acknowledgement.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from agent.at.errors import ModemLost
from agent.at.events import RescanNeeded, Unsolicited, UrcEvent

MAX_HINTS = 64
"""More hints than this carry no more information than `RescanNeeded`."""

QueuedT = TypeVar("QueuedT")


class UrcQueue(Generic[QueuedT]):
    """A queue with one writer, which never waits, and one reader."""

    def __init__(self, interpret: Callable[[UrcEvent], QueuedT | None]) -> None:
        """`interpret` returns what is queued for an event, or None to drop the event."""
        self._interpret = interpret
        self._items: deque[tuple[QueuedT, bool]] = deque()
        """Each item, with True if it is only a hint."""
        self._hints: set[QueuedT] = set()
        """The hints among the items."""
        self._reader_waiter: asyncio.Future[None] | None = None
        self._watchers: list[tuple[Callable[[Unsolicited], bool], asyncio.Event]] = []
        self._lost_error: ModemLost | None = None

    def put(self, event: UrcEvent) -> None:
        """Interpret an event and queue the result."""
        is_hint = not isinstance(event, Unsolicited) or event.payload is None
        if isinstance(event, Unsolicited):
            for predicate, matched in self._watchers:
                if predicate(event):
                    matched.set()
        item = self._interpret(event)
        if item is not None:
            self.put_interpreted(item, is_hint=is_hint)

    def put_interpreted(self, item: QueuedT, *, is_hint: bool = True) -> None:
        """Queue an item as it is."""
        if is_hint:
            if item in self._hints:
                return
            if len(self._hints) >= MAX_HINTS:
                self._items = deque(queued for queued in self._items if not queued[1])
                self._hints.clear()
                rescan = self._interpret(RescanNeeded())
                item = item if rescan is None else rescan
            self._hints.add(item)
        self._items.append((item, is_hint))
        self._wake_reader()

    def try_get(self) -> QueuedT | None:
        """Return the oldest item, or None when the queue is empty."""
        if not self._items:
            return None
        item, is_hint = self._items.popleft()
        if is_hint:
            self._hints.discard(item)
        return item

    async def get(self) -> QueuedT:
        """Return the oldest item, and wait for one if the queue is empty.

        Raises ModemLost once the connection is lost and the queue is empty.
        """
        while (item := self.try_get()) is None:
            if self._lost_error is not None:
                raise ModemLost(str(self._lost_error))
            self._reader_waiter = asyncio.get_running_loop().create_future()
            await self._reader_waiter
        return item

    async def wait_for(self, predicate: Callable[[Unsolicited], bool], timeout_s: float) -> bool:
        """Wait for a matching URC, which is also queued as usual. Return False on timeout."""
        matched = asyncio.Event()
        watcher = (predicate, matched)
        self._watchers.append(watcher)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await matched.wait()
        finally:
            self._watchers.remove(watcher)
        return matched.is_set()

    def close(self, error: ModemLost) -> None:
        """End the queue: no further event comes."""
        self._lost_error = error
        for _, matched in self._watchers:
            matched.set()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader_waiter is not None and not self._reader_waiter.done():
            self._reader_waiter.set_result(None)
