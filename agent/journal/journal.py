"""The journal: opening, time, transactions. What is written stands in `inbox`, `outbox` and `actions`.

`journal_mode=WAL` with `synchronous=FULL`: measured by cutting the power at every write, SQLite's default
lost the last acknowledged row in half of the cuts, this pair lost none. So when a method returns, its rows
survive whatever happens to this process or its power, as long as the disk keeps what it acknowledged.

A commit that failed with an I/O error may have reached the disk all the same. Nothing more is asked of that
connection: a new one tells whether it has, and then it is not done a second time.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from agent.journal import lock, rescue, schema
from agent.journal.place import Away, Place

R = TypeVar("R")
DAY_S = 86400.0
_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
RENEW_AGAIN_S = 600.0
"""A disk that damages the journal again sooner than this lets nothing be committed meanwhile."""


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


class _Trouble(Enum):
    """What an error of SQLite says about the connection (sqlite.org/rescode.html)."""

    CONNECTION = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Rows:
    """The rows of a query, all of them: whatever is wrong with the file shows while it is asked."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._rows: list[Any] = cursor.fetchall() if cursor.description is not None else []
        self.lastrowid = cursor.lastrowid

    def fetchone(self) -> Any:
        """The first row, None for none."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        """All rows."""
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


class Journal:
    """The open journal. Its methods are called one at a time, from whichever thread.

    `wall` gives seconds since 1970 by the device's clock, `monotonic` seconds that never jump.
    """

    def __init__(
        self,
        path: Path,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        alarm: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Open or create the file (mode 0600). Raises JournalUnusable, lock.JournalHeld.

        `alarm` is given a sentence when the file was damaged, here and later, by the thread of that moment.
        """
        self.path = path
        self._wall = wall
        self._monotonic = monotonic
        self._alarm = alarm
        self._lock = -1
        self._trouble: _Trouble | None = None
        self._why = ""
        self._renew_at = -math.inf
        self._doubt: tuple[Hashable, float, Any] | None = None
        """Key, running time and result of a commit that may have reached the disk."""
        self._landed: dict[Hashable, Any] = {}
        """Results of commits that failed and have reached the disk all the same."""
        self._numbers: dict[str, int] = {}
        self._giving: dict[str, int] = {}
        self.freed: set[tuple[str, int]] = set()
        """Slots that the module has emptied since the last commit; written with the next one."""
        try:
            # Behind a link: SQLite keeps its log there, and whoever comes by another name must meet the lock.
            self._file = Path(os.path.realpath(path))
            self._lock = lock.take(self._file)
            self._why = rescue.prepare(self._file) or ""
            if self._why:
                self._renew()
            else:
                try:
                    self._open()
                except sqlite3.DatabaseError as error:
                    if self._judge(error) is not _Trouble.FILE:
                        raise
                    self._renew()
            self._base: float = self._written - monotonic()
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

    def _open(self) -> None:
        """Raises OSError, sqlite3.Error, schema.TooNew."""
        if not self._file.exists():
            rescue.begin(self._file)
        os.close(os.open(self._file, os.O_RDWR | os.O_CLOEXEC))  # says better than SQLite why it cannot be
        connection = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(connection)
            row = connection.execute("SELECT running, newest_timestamp, horizon, swept FROM clock").fetchone()
            _check(row)
            self._place = Place(self._file, self._lock)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        self._written: float = row[0]
        self.newest_timestamp: float = row[1]
        self.horizon: float | None = row[2]
        self.swept = bool(row[3])
        """Whether all that the module held at the first start of this journal is kept."""

    def _renew(self) -> None:
        """Begin anew with what can be read. Raises OSError, sqlite3.Error, schema.TooNew."""
        self._renew_at = self._monotonic() + RENEW_AGAIN_S
        rescued = rescue.renew(self._file, self._why, self._wall())
        self._trouble = None
        self._open()
        self._alarm(str(rescued))

    def close(self) -> None:
        """Note the slots freed last, let go of file and lock; safe to call twice."""
        if "connection" in self.__dict__:
            with contextlib.suppress(sqlite3.Error):  # closed before, or a disk that takes nothing more
                if self._trouble is None:
                    self._keep_place()
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

    def number(self, table: str) -> int:
        """The number of the next row. None is given twice while the agent runs, whatever the file loses."""
        highest = self.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
        self._giving[table] = max(int(highest), self._numbers.get(table, 0)) + 1
        return self._giving[table]

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> Rows:
        """Run one statement on the connection of the moment. Raises sqlite3.Error."""
        self._ready()
        try:
            return Rows(self.connection.execute(query, values))
        except sqlite3.Error as error:
            self._judge(error)
            raise

    def commit(self, key: Hashable | None, write: Callable[[Moment], R]) -> R:
        """One commit of what `write` writes; returns what it returns. Raises sqlite3.Error.

        `key` says what it is about, where the caller does not rest until it is done. Should this raise
        although the disk has it all, the next call with the same key writes nothing and returns the same.
        """
        if self.has_landed(key):
            result: R = self._landed.pop(key)
            return result
        written: list[R] = []
        try:
            with self.transaction() as now:
                written.append(write(now))
        except sqlite3.Error:
            if self._ask_again(key, written):
                return written[0]
            raise
        return written[0]

    def has_landed(self, key: Hashable | None) -> bool:
        """Whether a commit about this failed and has reached the disk all the same. Raises sqlite3.Error."""
        self._ready()
        return key in self._landed

    def _ask_again(self, key: Hashable | None, written: list[Any]) -> bool:
        """Whether the commit that has just failed is on the disk; if that cannot be told now, it will be."""
        if self._doubt is None or key is None:
            return False
        self._doubt = (key, self._doubt[1], written[0])
        with contextlib.suppress(sqlite3.Error):
            self._ready()
        return self._landed.pop(key, self) is not self

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Moment]:
        """One commit: all that is written inside, the running time and the slots freed meanwhile."""
        self._ready()
        self._keep_place()
        self.execute("BEGIN IMMEDIATE")
        committing = False
        self._doubt = None
        self._giving.clear()
        now = self.now()
        # It grows with every commit, so it also tells whether this very one has reached the disk.
        running = max(now.running, math.nextafter(self._written, math.inf))
        try:
            freed = tuple(self.freed)
            for store, slot in freed:
                self.execute("DELETE FROM slots WHERE store = ? AND slot = ?", (store, slot))
            yield now
            self.execute(
                "UPDATE clock SET running = ?, newest_timestamp = ?, horizon = ?, swept = ?",
                (running, self.newest_timestamp, self.horizon, self.swept),
            )
            committing = True
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            if committing and self._trouble is not None:
                self._doubt = (None, running, None)
            raise
        self._written = running
        self._numbers.update(self._giving)
        self.freed.difference_update(freed)

    # Trouble with the file

    def _keep_place(self) -> None:
        """What somebody has deleted or replaced is put back from what is still open. Raises sqlite3.Error."""
        try:
            lost = self._place.lost()
            if not lost:
                return
            if ".lock" in lost:
                taken = lock.take(self._file)
                os.close(self._lock)
                self._lock = taken
                self._place.locked(taken)
            if lost != [".lock"]:
                aside = rescue.put_back(self._file, self.connection, self._wall(), foreign="" in lost)
                kept = f"; what stood in its place is kept as {aside}" if aside else ""
                self._alarm(
                    f"journal {self.path} was deleted or replaced while it was in use: "
                    f"put back with all that it held{kept}"
                )
                self._trouble = _Trouble.CONNECTION  # until there is another one, whatever comes between
                self._ready()
            self._place = Place(self._file, self._lock)
        except (OSError, Away, lock.JournalHeld) as error:
            raise sqlite3.OperationalError(f"the journal is not where it was: {error}") from error

    def _judge(self, error: sqlite3.Error) -> _Trouble | None:
        """Remember what an error says about connection and file; a full disk or a lock says nothing."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        for trouble in _Trouble:
            if code in trouble.value and self._trouble is not _Trouble.FILE:
                self._trouble, self._why = trouble, str(error)
        return self._trouble

    def _ready(self) -> None:
        """After trouble: a new connection, to a new file if this one is damaged. Raises sqlite3.Error."""
        if self._trouble is None:
            return
        memory = (self.newest_timestamp, self.horizon, self.swept)
        self.connection.close()
        try:
            if self._trouble is _Trouble.CONNECTION:
                if not self._file.exists():
                    raise FileNotFoundError(errno.ENOENT, "it is gone")
                self._open()
            elif self._monotonic() < self._renew_at:
                raise sqlite3.DatabaseError(f"the disk damages the journal again and again ({self._why})")
            else:
                self._renew()
        except (OSError, schema.TooNew) as error:
            raise sqlite3.OperationalError(f"the journal cannot be opened again: {error}") from error
        except sqlite3.Error as error:
            self._judge(error)
            raise
        self._trouble = None
        if self._doubt is not None:
            key, running, result = self._doubt
            self._doubt = None
            if self._written == running and key is not None:
                self._landed[key] = result
        self.newest_timestamp = max(self.newest_timestamp, memory[0])
        self.horizon = max((each for each in (self.horizon, memory[1]) if each is not None), default=None)
        self.swept = self.swept or memory[2]


def _check(clock: object) -> None:
    """Where the one row that every journal has is missing, the file is damaged."""
    if clock is None:
        error = sqlite3.DatabaseError("its clock is missing")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
