"""The latest records of a sandbox, numbered, for any number of readers that follow them.

A reader keeps nothing here but waits for the number after the one that it has read. So the memory is bounded
by the limits of the records alone, and a slow reader delays nobody: if records that it has not read are gone,
it learns that and starts again with those that are left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecordKind(IntEnum):
    """The kinds of records. Each has a limit of its own, so that a busy port displaces no Command."""

    PATH = 0
    """A step in the path of a Command, or a change of a SIM, a Command or an agent."""
    CALLBACK = 1
    """A try of a callback."""
    PORT = 2
    """Octets on the port of a module."""


DEFAULT_LIMITS = {RecordKind.PATH: 4000, RecordKind.CALLBACK: 500, RecordKind.PORT: 1500}
"""Number of the latest records of each kind that are kept."""


FeedRecord = tuple[int, object]
"""Order in the feed, from 1, and what is recorded; it is encoded only if a reader wants it."""


class ConsoleFeed:
    """The latest records of each kind."""

    def __init__(self, limits: Mapping[RecordKind, int] = DEFAULT_LIMITS) -> None:
        self._records: list[deque[FeedRecord]] = [deque(maxlen=limits[kind]) for kind in RecordKind]
        """By kind."""
        self._last_cleared = 0
        self._changed: asyncio.Event | None = None
        """Exists only while a reader waits."""
        self.last_number = 0
        """Number of the newest record."""
        self.is_closed = False

    def append(self, kind: RecordKind, item: object) -> None:
        """Add a record and wake the readers that wait."""
        self.last_number += 1
        self._records[kind].append((self.last_number, item))
        if self._changed is not None:
            self._wake()

    def open(self) -> None:
        """Let readers wait again after `close`."""
        self.is_closed = False

    def clear(self) -> None:
        """Forget all records; each reader starts again."""
        for records in self._records:
            records.clear()
        self.last_number += 1
        self._last_cleared = self.last_number
        self._wake()

    def close(self) -> None:
        """End the waiting of all readers."""
        self.is_closed = True
        self._wake()

    def has_all_after(self, number: int) -> bool:
        """Return True if no record after `number` is gone, and `number` was given out."""
        is_known = self._last_cleared <= number <= self.last_number
        return is_known and not any(
            len(records) == records.maxlen and records[0][0] > number + 1 for records in self._records
        )

    def read(self, after: int, limit: int | None) -> list[FeedRecord]:
        """Return the records after the number `after`, oldest first; at most `limit` unless it is None."""
        newer: list[FeedRecord] = []
        for records in self._records:
            of_kind = list(takewhile(lambda record: record[0] > after, reversed(records)))
            newer += of_kind[::-1][:limit]
        return sorted(newer, key=lambda record: record[0])[:limit]

    async def wait(self, after: int) -> None:
        """Return when there is a record after the number `after`, or when the feed is closed."""
        while self.last_number <= after and not self.is_closed:
            if self._changed is None:
                self._changed = asyncio.Event()
            await self._changed.wait()

    def _wake(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None
