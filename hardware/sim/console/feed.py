"""The latest records of a sandbox, numbered, for any number of readers that follow them.

A reader keeps nothing here but waits for the number after the one that it has read. So the memory is bounded
by the limits of the records alone, and a slow reader delays nobody: if records that it has not read are gone,
it learns that and starts again with those that are left.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class RecordKind(Enum):
    """The kinds of records. Each has a limit of its own, so that a busy port displaces no Command."""

    PATH = "path"
    """A step in the path of a Command, or a change of a SIM, a Command or an agent."""
    CALLBACK = "callback"
    """A try of a callback."""
    PORT = "port"
    """Octets on the port of a module."""


DEFAULT_LIMITS = {RecordKind.PATH: 4000, RecordKind.CALLBACK: 500, RecordKind.PORT: 1500}
"""Number of the latest records of each kind that are kept."""


@dataclass(frozen=True, slots=True)
class FeedRecord:
    """One record. `item` is encoded only if a reader wants it."""

    number: int
    """Order in the feed, from 1."""
    item: object


class ConsoleFeed:
    """The latest records of each kind."""

    def __init__(self, limits: Mapping[RecordKind, int] = DEFAULT_LIMITS) -> None:
        self._records: dict[RecordKind, deque[FeedRecord]] = {
            kind: deque(maxlen=limit) for kind, limit in limits.items()
        }
        self._last_dropped = 0
        self._changed: asyncio.Event | None = None
        """Exists only while a reader waits."""
        self.last_number = 0
        """Number of the newest record."""
        self.is_closed = False

    def append(self, kind: RecordKind, item: object) -> None:
        """Add a record and wake the readers that wait."""
        self.last_number += 1
        records = self._records[kind]
        if len(records) == records.maxlen:
            self._last_dropped = max(self._last_dropped, records[0].number)
        records.append(FeedRecord(self.last_number, item))
        if self._changed is not None:
            self._wake()

    def open(self) -> None:
        """Let readers wait again after `close`."""
        self.is_closed = False

    def clear(self) -> None:
        """Forget all records; each reader starts again."""
        for records in self._records.values():
            records.clear()
        self.last_number += 1
        self._last_dropped = self.last_number
        self._wake()

    def close(self) -> None:
        """End the waiting of all readers."""
        self.is_closed = True
        self._wake()

    def has_all_after(self, number: int) -> bool:
        """Return True if every record after `number` is still there, and `number` was given out."""
        return self._last_dropped <= number <= self.last_number

    def read(self, after: int, limit: int | None) -> list[FeedRecord]:
        """Return the records after the number `after`, oldest first; at most `limit` unless it is None."""
        newer: list[FeedRecord] = []
        for records in self._records.values():
            of_kind = list(takewhile(lambda record: record.number > after, reversed(records)))
            newer += of_kind[::-1][:limit]
        return sorted(newer, key=lambda record: record.number)[:limit]

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
