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

from agent.at.error import ModemLost
from agent.at.event import Unsolicited

HINTS = 64
"""More hints than this and nobody knows more than "look at everything"."""
OVERFLOW = Unsolicited("")
"""Stands for hints that were dropped."""
ECHO_RETURNED = Unsolicited("(the echo is on again)")
"""Stands for what no line says: the module has lost its settings."""

ANOTHER = "(another program)"
"""Stands in front of what is suspected of somebody else on the line: no line says it."""

Door = Callable[[Unsolicited], Unsolicited | None]


class NewsQueue:
    """One writer that never waits, one reader."""

    def __init__(self) -> None:
        self._items: deque[Unsolicited] = deque()
        self._hints: set[Unsolicited] = set()
        self._reader: asyncio.Future[None] | None = None
        self._listeners: list[tuple[Callable[[Unsolicited], bool], asyncio.Event]] = []
        self.door: Door = lambda news: news
        """What becomes of a piece of news before it is queued: None drops it and wakes nobody."""
        self._lost: ModemLost | None = None

    def put(self, news: Unsolicited) -> None:
        """Add what came last."""
        for wanted, heard in self._listeners:
            if wanted(news):
                heard.set()
        admitted = self.door(news)
        if admitted is None:
            return
        news = admitted
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

    async def heard(self, wanted: Callable[[Unsolicited], bool], seconds: float) -> bool:
        """Wait until such news comes, whatever becomes of it, or until the time has passed."""
        heard = asyncio.Event()
        listener = (wanted, heard)
        self._listeners.append(listener)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await heard.wait()
        finally:
            self._listeners.remove(listener)
        return heard.is_set()

    def close(self, lost: ModemLost) -> None:
        """Nothing more will come."""
        self._lost = lost
        for _, heard in self._listeners:
            heard.set()
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
