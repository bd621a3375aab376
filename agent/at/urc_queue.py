"""News from the module on its way to whoever wakes for it: in order, without doubles, bounded.

News is a hint, the module's store is the truth. So equal hints that nobody has taken yet are one hint, and
when there are too many of them, all are replaced by one that says so. Only news with a payload is the thing
itself: it is kept whatever comes (direct delivery waits for its acknowledgement, so there is little of it).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from agent.at.errors import ModemLost
from agent.at.events import Unsolicited

MAX_HINTS = 64
"""More hints than this and nobody knows more than "look at everything"."""
URCS_DROPPED = Unsolicited("")
"""Stands for hints that were dropped."""
ECHO_RETURNED = Unsolicited("(the echo is on again)")
"""Stands for what no line says: the module has lost its settings."""

CONTENTION_PREFIX = "(another program)"
"""Stands in front of what is suspected of somebody else on the line: no line says it."""

UrcFilter = Callable[[Unsolicited], Unsolicited | None]


class UrcQueue:
    """One writer that never waits, one reader."""

    def __init__(self) -> None:
        self._items: deque[Unsolicited] = deque()
        self._hints: set[Unsolicited] = set()
        self._reader_waiter: asyncio.Future[None] | None = None
        self._watchers: list[tuple[Callable[[Unsolicited], bool], asyncio.Event]] = []
        self.urc_filter: UrcFilter = lambda news: news
        """What becomes of a piece of news before it is queued: None drops it and wakes nobody."""
        self._lost_error: ModemLost | None = None

    def put(self, urc: Unsolicited) -> None:
        """Add what came last."""
        for wanted, heard in self._watchers:
            if wanted(urc):
                heard.set()
        admitted = self.urc_filter(urc)
        if admitted is None:
            return
        urc = admitted
        if urc.payload is None:
            if urc in self._hints:
                return
            if len(self._hints) >= MAX_HINTS:
                self._items = deque(item for item in self._items if item.payload is not None)
                self._hints.clear()
                urc = URCS_DROPPED
            self._hints.add(urc)
        self._items.append(urc)
        self._wake_reader()

    def try_get(self) -> Unsolicited | None:
        """The oldest piece, None when there is none."""
        if not self._items:
            return None
        news = self._items.popleft()
        self._hints.discard(news)
        return news

    async def get(self) -> Unsolicited:
        """The oldest piece, waiting for it; after the last one raises ModemLost if the modem is lost."""
        while (news := self.try_get()) is None:
            if self._lost_error is not None:
                raise ModemLost(str(self._lost_error))
            self._reader_waiter = asyncio.get_running_loop().create_future()
            await self._reader_waiter
        return news

    async def wait_for(self, predicate: Callable[[Unsolicited], bool], timeout_s: float) -> bool:
        """Wait until such news comes, whatever becomes of it, or until the time has passed."""
        heard = asyncio.Event()
        listener = (predicate, heard)
        self._watchers.append(listener)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await heard.wait()
        finally:
            self._watchers.remove(listener)
        return heard.is_set()

    def close(self, error: ModemLost) -> None:
        """Nothing more will come."""
        self._lost_error = error
        for _, heard in self._watchers:
            heard.set()
        self._wake_reader()

    def _wake_reader(self) -> None:
        if self._reader_waiter is not None and not self._reader_waiter.done():
            self._reader_waiter.set_result(None)
