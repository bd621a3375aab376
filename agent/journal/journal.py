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

from agent.journal import lock, repair, schema
from agent.journal.files import JournalDirectoryUnavailable, JournalFiles

R = TypeVar("R")
DAY_S = 86400.0
_PATH_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
MIN_REBUILD_INTERVAL_S = 600.0
"""A disk that damages the journal again sooner than this lets nothing be committed meanwhile."""


@dataclass(frozen=True, slots=True)
class JournalTime:
    """A point in time by both clocks of the journal, in seconds."""

    wall: float
    uptime: float


class JournalUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The journal cannot be opened; the text names the file and what to do.

    `configuration`: its place is impossible, so that starting again helps nobody.
    """

    def __init__(self, text: str, *, is_configuration_error: bool = False) -> None:
        super().__init__(text)
        self.is_configuration_error = is_configuration_error


class _DbFailure(Enum):
    """What an error of SQLite says about the connection (sqlite.org/rescode.html)."""

    CONNECTION = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class QueryResult:
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
        wall_clock: Callable[[], float],
        monotonic_clock: Callable[[], float],
        on_damage: Callable[[str], object] = lambda text: None,
    ) -> None:
        """Open or create the file (mode 0600). Raises JournalUnusable, lock.JournalHeld.

        `alarm` is given a sentence when the file was damaged, here and later, by the thread of that moment.
        """
        self.path = path
        self._wall_clock = wall_clock
        self._monotonic_clock = monotonic_clock
        self._on_damage = on_damage
        self._lock_fd = -1
        self._failure: _DbFailure | None = None
        self._failure_reason = ""
        self._rebuild_allowed_at = -math.inf
        self._uncertain_commit: tuple[Hashable, float, Any] | None = None
        """Key, running time and result of a commit that may have reached the disk."""
        self._confirmed_results: dict[Hashable, Any] = {}
        """Results of commits that failed and have reached the disk all the same."""
        self._last_ids: dict[str, int] = {}
        self._reserved_ids: dict[str, int] = {}
        self.freed_slots: set[tuple[str, int]] = set()
        """Slots that the module has emptied since the last commit; written with the next one."""
        try:
            # Behind a link: SQLite keeps its log there, and whoever comes by another name must meet the lock.
            self._real_path = Path(os.path.realpath(path))
            self._lock_fd = lock.acquire(self._real_path)
            self._failure_reason = repair.check_before_open(self._real_path) or ""
            if self._failure_reason:
                self._rebuild()
            else:
                try:
                    self._open()
                except sqlite3.DatabaseError as error:
                    if self._classify_error(error) is not _DbFailure.FILE:
                        raise
                    self._rebuild()
            self._uptime_base: float = self._committed_uptime - monotonic_clock()
        except OSError as error:
            self.close()
            raise JournalUnusable(
                f"journal {path} cannot be opened: {error.strerror}; its folder must exist and be writable "
                "by the user that runs modem-agent ([journal] path)",
                is_configuration_error=error.errno in _PATH_ERRNOS,
            ) from error
        except (sqlite3.Error, schema.SchemaTooNew) as error:
            self.close()
            raise JournalUnusable(f"journal {path} cannot be opened: {error}") from error

    def _open(self) -> None:
        """Raises OSError, sqlite3.Error, schema.TooNew."""
        if not self._real_path.exists():
            repair.create(self._real_path)
        os.close(
            os.open(self._real_path, os.O_RDWR | os.O_CLOEXEC)
        )  # says better than SQLite why it cannot be
        connection = sqlite3.connect(self._real_path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            schema.migrate(connection)
            row = connection.execute(
                "SELECT uptime, newest_timestamp, dedup_horizon, first_sweep_done FROM meta"
            ).fetchone()
            _check_meta_row(row)
            self._files = JournalFiles(self._real_path, self._lock_fd)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        self._committed_uptime: float = row[0]
        self.newest_timestamp: float = row[1]
        self.dedup_horizon: float | None = row[2]
        self.first_sweep_done = bool(row[3])
        """Whether all that the module held at the first start of this journal is kept."""

    def _rebuild(self) -> None:
        """Begin anew with what can be read. Raises OSError, sqlite3.Error, schema.TooNew."""
        self._rebuild_allowed_at = self._monotonic_clock() + MIN_REBUILD_INTERVAL_S
        rescued = repair.rebuild(self._real_path, self._failure_reason, self._wall_clock())
        self._failure = None
        self._open()
        self._on_damage(str(rescued))

    def close(self) -> None:
        """Note the slots freed last, let go of file and lock; safe to call twice."""
        if "connection" in self.__dict__:
            with contextlib.suppress(sqlite3.Error):  # closed before, or a disk that takes nothing more
                if self._failure is None:
                    self._check_files()
                    if self.freed_slots:
                        with self.transaction():
                            pass
            self.connection.close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def now(self) -> JournalTime:
        """The present by both clocks."""
        return JournalTime(self._wall_clock(), self._uptime_base + self._monotonic_clock())

    def age(self, wall: float, uptime: float) -> float:
        """Seconds since that moment: the smaller difference, so that a clock that jumps ages nothing."""
        now = self.now()
        return max(0.0, min(now.wall - wall, now.uptime - uptime))

    def next_id(self, table: str) -> int:
        """The number of the next row. None is given twice while the agent runs, whatever the file loses."""
        highest = self.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
        self._reserved_ids[table] = max(int(highest), self._last_ids.get(table, 0)) + 1
        return self._reserved_ids[table]

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> QueryResult:
        """Run one statement on the connection of the moment. Raises sqlite3.Error."""
        self._reopen_if_needed()
        try:
            return QueryResult(self.connection.execute(query, values))
        except sqlite3.Error as error:
            self._classify_error(error)
            raise

    def commit(self, key: Hashable | None, write: Callable[[JournalTime], R]) -> R:
        """One commit of what `write` writes; returns what it returns. Raises sqlite3.Error.

        `key` says what it is about, where the caller does not rest until it is done. Should this raise
        although the disk has it all, the next call with the same key writes nothing and returns the same.
        """
        if self.is_confirmed(key):
            result: R = self._confirmed_results.pop(key)
            return result
        written: list[R] = []
        try:
            with self.transaction() as now:
                written.append(write(now))
        except sqlite3.Error:
            if self._resolve_uncertain_commit(key, written):
                return written[0]
            raise
        return written[0]

    def is_confirmed(self, key: Hashable | None) -> bool:
        """Whether a commit about this failed and has reached the disk all the same. Raises sqlite3.Error."""
        self._reopen_if_needed()
        return key in self._confirmed_results

    def _resolve_uncertain_commit(self, key: Hashable | None, results: list[Any]) -> bool:
        """Whether the commit that has just failed is on the disk; if that cannot be told now, it will be."""
        if self._uncertain_commit is None or key is None:
            return False
        self._uncertain_commit = (key, self._uncertain_commit[1], results[0])
        with contextlib.suppress(sqlite3.Error):
            self._reopen_if_needed()
        return self._confirmed_results.pop(key, self) is not self

    @contextlib.contextmanager
    def transaction(self) -> Iterator[JournalTime]:
        """One commit: all that is written inside, the running time and the slots freed meanwhile."""
        self._reopen_if_needed()
        self._check_files()
        self.execute("BEGIN IMMEDIATE")
        committing = False
        self._uncertain_commit = None
        self._reserved_ids.clear()
        now = self.now()
        # It grows with every commit, so it also tells whether this very one has reached the disk.
        running = max(now.uptime, math.nextafter(self._committed_uptime, math.inf))
        try:
            freed = tuple(self.freed_slots)
            for store, slot in freed:
                self.execute("DELETE FROM slots WHERE store = ? AND slot = ?", (store, slot))
            yield now
            self.execute(
                "UPDATE meta SET uptime = ?, newest_timestamp = ?, dedup_horizon = ?, first_sweep_done = ?",
                (running, self.newest_timestamp, self.dedup_horizon, self.first_sweep_done),
            )
            committing = True
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            if committing and self._failure is not None:
                self._uncertain_commit = (None, running, None)
            raise
        self._committed_uptime = running
        self._last_ids.update(self._reserved_ids)
        self.freed_slots.difference_update(freed)

    # Trouble with the file

    def _check_files(self) -> None:
        """What somebody has deleted or replaced is put back from what is still open. Raises sqlite3.Error."""
        try:
            lost = self._files.find_changed()
            if not lost:
                return
            if ".lock" in lost:
                taken = lock.acquire(self._real_path)
                os.close(self._lock_fd)
                self._lock_fd = taken
                self._files.set_lock_file(taken)
            if lost != [".lock"]:
                aside = repair.restore_files(
                    self._real_path, self.connection, self._wall_clock(), keep_replacement="" in lost
                )
                kept = f"; what stood in its place is kept as {aside}" if aside else ""
                self._on_damage(
                    f"journal {self.path} was deleted or replaced while it was in use: "
                    f"put back with all that it held{kept}"
                )
                self._failure = _DbFailure.CONNECTION  # until there is another one, whatever comes between
                self._reopen_if_needed()
            self._files = JournalFiles(self._real_path, self._lock_fd)
        except (OSError, JournalDirectoryUnavailable, lock.JournalLocked) as error:
            raise sqlite3.OperationalError(f"the journal is not where it was: {error}") from error

    def _classify_error(self, error: sqlite3.Error) -> _DbFailure | None:
        """Remember what an error says about connection and file; a full disk or a lock says nothing."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        for trouble in _DbFailure:
            if code in trouble.value and self._failure is not _DbFailure.FILE:
                self._failure, self._failure_reason = trouble, str(error)
        return self._failure

    def _reopen_if_needed(self) -> None:
        """After trouble: a new connection, to a new file if this one is damaged. Raises sqlite3.Error."""
        if self._failure is None:
            return
        memory = (self.newest_timestamp, self.dedup_horizon, self.first_sweep_done)
        self.connection.close()
        try:
            if self._failure is _DbFailure.CONNECTION:
                if not self._real_path.exists():
                    raise FileNotFoundError(errno.ENOENT, "it is gone")
                self._open()
            elif self._monotonic_clock() < self._rebuild_allowed_at:
                raise sqlite3.DatabaseError(
                    f"the disk damages the journal again and again ({self._failure_reason})"
                )
            else:
                self._rebuild()
        except (OSError, schema.SchemaTooNew) as error:
            raise sqlite3.OperationalError(f"the journal cannot be opened again: {error}") from error
        except sqlite3.Error as error:
            self._classify_error(error)
            raise
        self._failure = None
        if self._uncertain_commit is not None:
            key, running, result = self._uncertain_commit
            self._uncertain_commit = None
            if self._committed_uptime == running and key is not None:
                self._confirmed_results[key] = result
        self.newest_timestamp = max(self.newest_timestamp, memory[0])
        self.dedup_horizon = max(
            (each for each in (self.dedup_horizon, memory[1]) if each is not None), default=None
        )
        self.first_sweep_done = self.first_sweep_done or memory[2]


def _check_meta_row(meta_row: object) -> None:
    """Where the one row that every journal has is missing, the file is damaged."""
    if meta_row is None:
        error = sqlite3.DatabaseError("its row of the table meta is missing")
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error
