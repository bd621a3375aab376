"""The journal: opening, time, transactions. What is written stands in `inbox`, `outbox` and `actions`.

`journal_mode=WAL` with `synchronous=FULL`: measured by cutting the power at every write, SQLite's default
lost the last acknowledged row in half of the cuts, this pair lost none. So when a method returns, its rows
survive whatever happens to this process or its power, as long as the disk keeps what it acknowledged.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.journal import lock, schema

DAY_S = 86400.0
_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES)


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time by both clocks of the journal, in seconds."""

    wall: float
    running: float


class JournalUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The journal cannot be opened; the text names the file and what to do.

    `configuration`: its place is impossible, so that starting again helps nobody.
    """

    def __init__(self, text: str, *, configuration: bool = False) -> None:
        super().__init__(text)
        self.configuration = configuration


class Journal:
    """The open journal. Its methods are called one at a time, from whichever thread.

    `wall` gives seconds since 1970 by the device's clock, `monotonic` seconds that never jump.
    """

    def __init__(self, path: Path, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        """Open or create the file (mode 0600). Raises JournalUnusable, lock.JournalHeld."""
        self.path = path
        self._wall = wall
        self._monotonic = monotonic
        self._lock = -1
        self.freed: set[tuple[str, int]] = set()
        """Slots that the module has emptied since the last commit; written with the next one."""
        try:
            self._lock = lock.take(path)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self.connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = WAL")
            self.connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(self.connection)
            row = self.connection.execute("SELECT running, newest_timestamp, horizon FROM clock").fetchone()
            self._base: float = row[0] - monotonic()
            self.newest_timestamp: float = row[1]
            self.horizon: float | None = row[2]
        except OSError as error:
            self.close()
            raise JournalUnusable(
                f"journal {path} cannot be opened: {error.strerror}; its folder must exist and be writable "
                "by the user that runs modem-agent ([journal] path)",
                configuration=error.errno in _PLACE,
            ) from error
        except (sqlite3.Error, schema.TooNew) as error:
            self.close()
            raise JournalUnusable(f"journal {path} cannot be opened: {error}") from error
        except lock.JournalHeld:
            self.close()
            raise

    def close(self) -> None:
        """Note the slots freed last, let go of file and lock; safe to call twice."""
        if "connection" in self.__dict__:
            with contextlib.suppress(sqlite3.Error):  # closed before, or a disk that takes nothing more
                if self.freed:
                    with self.transaction():
                        pass
            self.connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def now(self) -> Moment:
        """The present by both clocks."""
        return Moment(self._wall(), self._base + self._monotonic())

    def age(self, wall: float, running: float) -> float:
        """Seconds since that moment: the smaller difference, so that a clock that jumps ages nothing."""
        now = self.now()
        return max(0.0, min(now.wall - wall, now.running - running))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Moment]:
        """One commit: all that is written inside, the running time and the slots freed meanwhile."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            now = self.now()
            freed = tuple(self.freed)
            for store, slot in freed:
                execute("DELETE FROM slots WHERE store = ? AND slot = ?", (store, slot))
            yield now
            execute(
                "UPDATE clock SET running = ?, newest_timestamp = ?, horizon = ?",
                (now.running, self.newest_timestamp, self.horizon),
            )
            execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                execute("ROLLBACK")
            raise
        self.freed.difference_update(freed)
