"""News from the module on its way to whoever wakes for it: in order, without doubles, bounded.

News is a hint, the module's store is the truth. So equal hints that nobody has taken yet are one hint, and
when there are too many of them, all are replaced by one that says so. Only news with a payload is the thing
itself: it is kept whatever comes (direct delivery waits for its acknowledgement, so there is little of it).
"""

from __future__ import annotations

import asyncio
from collections import deque

from agent.at.error import ModemLost
from agent.at.event import Unsolicited

HINTS = 64
"""More hints than this and nobody knows more than "look at everything"."""
OVERFLOW = Unsolicited("")
"""Stands for hints that were dropped."""


class NewsQueue:
    """One writer that never waits, one reader."""

    def __init__(self) -> None:
        self._items: deque[Unsolicited] = deque()
        self._hints: set[Unsolicited] = set()
        self._reader: asyncio.Future[None] | None = None
        self._lost: ModemLost | None = None

    def put(self, news: Unsolicited) -> None:
        """Add what came last."""
        if news.payload is None:
            if news in self._hints:
                return
            if len(self._hints) >= HINTS:
                self._items = deque(item for item in self._items if item.payload is not None)
                self._hints.clear()
                news = OVERFLOW
            self._hints.add(news)
        self._items.append(news)
        self._wake()

    def take(self) -> Unsolicited | None:
        """The oldest piece, None when there is none."""
        if not self._items:
            return None
        news = self._items.popleft()
        self._hints.discard(news)
        return news

    async def next(self) -> Unsolicited:
        """The oldest piece, waiting for it; after the last one raises ModemLost if the modem is lost."""
        while (news := self.take()) is None:
            if self._lost is not None:
                raise ModemLost(str(self._lost))
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return news

    def waiting(self) -> tuple[Unsolicited, ...]:
        """What nobody has taken yet."""
        return tuple(self._items)

    def close(self, lost: ModemLost) -> None:
        """Nothing more will come."""
        self._lost = lost
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
