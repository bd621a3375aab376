"""The open journal: transactions, the clock of the uptime, and recovery from errors of the disk.

The tables are written by `inbox`, `outbox`, `actions` and the other files of this package. When one of their
methods returns, its rows survive any end of this process and any loss of power, as long as the disk keeps
acknowledged data.

A commit that failed with an I/O error may nevertheless have reached the disk. That connection is not used
any longer. A new one shows whether the commit is in the file; if it is, it is not repeated.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sqlite3
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from agent.journal import repair, schema
from agent.journal.connection import (
    DbFailure,
    Meta,
    QueryResult,
    classify_error,
    corrupt_error,
    open_journal_file,
)
from agent.journal.files import FileGuard, JournalFiles, JournalLocked
from pdu.record import Record

R = TypeVar("R")
_PATH_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
"""Errors that the operator must remove, in the configuration or the directory; a restart does not help."""
MIN_REBUILD_INTERVAL_S = 600.0
"""Shortest time between two replacements of a damaged file. Nothing can be committed meanwhile."""

OpenFile = Callable[[Path], tuple[sqlite3.Connection, Meta]]


class JournalTime(Record):
    """A point in time by both clocks of the journal, in seconds."""

    wall: float
    """Seconds since 1970 by the device's clock."""
    uptime: float
    """Seconds that the agent has run, summed over all its starts."""


class JournalUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The journal cannot be opened; the text names the file and the remedy.

    `is_configuration_error`: its path is impossible, so a restart does not help.
    """

    def __init__(self, text: str, *, is_configuration_error: bool = False) -> None:
        super().__init__(text)
        self.is_configuration_error = is_configuration_error


class _UncertainCommit:
    """A commit that failed, and that may have reached the disk."""

    def __init__(self, uptime: float) -> None:
        self.uptime = uptime
        """The uptime that it wrote. It grows with every commit, so it identifies this one."""
        self.key: Hashable | None = None
        self.result: Any = None


class Journal:
    """The open journal. Its methods are called one at a time, from any thread."""

    def __init__(
        self,
        path: Path,
        wall_clock: Callable[[], float],
        monotonic_clock: Callable[[], float],
        on_damage: Callable[[str], object] = lambda text: None,
        open_file: OpenFile = open_journal_file,
        lock_files: Callable[[Path], FileGuard] = JournalFiles,
    ) -> None:
        """Open or create the file (mode 0600). Raises JournalUnusable, JournalLocked.

        `wall_clock` returns seconds since 1970, `monotonic_clock` seconds that never jump. `on_damage` is
        called with the text of a log line whenever the file turns out to be damaged or removed, in the
        thread of the call that finds it.
        """
        self.path = path
        self._wall_clock = wall_clock
        self._monotonic_clock = monotonic_clock
        self._on_damage = on_damage
        self._open_file = open_file
        self._failure: DbFailure | None = None
        self._failure_reason = ""
        self._rebuild_allowed_at = -math.inf
        self._uncertain_commit: _UncertainCommit | None = None
        self._confirmed_results: dict[Hashable, Any] = {}
        """Results, by their key, of commits that failed and are nevertheless on the disk."""
        self._last_ids: dict[str, int] = {}
        self._reserved_ids: dict[str, int] = {}
        self.freed_slots: set[tuple[str, int]] = set()
        """Slots that the module has emptied since the last commit; the next commit writes them."""
        # SQLite keeps the log beside the file that a link points to. The lock must be found under all names.
        self._real_path = Path(os.path.realpath(path))
        with contextlib.ExitStack() as undo, self._errors_as_unusable():
            self._files = lock_files(self._real_path)
            undo.callback(self._files.release)
            self.connection, self.meta = self._open_first()
            undo.callback(self.connection.close)
            self._files.record_opened()
            self._uptime_base = self.meta.uptime - monotonic_clock()
            undo.pop_all()

    @contextlib.contextmanager
    def _errors_as_unusable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise JournalUnusable(
                f"journal {self.path} cannot be opened: {error.strerror}; its folder must exist and be "
                "writable by the user that runs modem-agent ([journal] path)",
                is_configuration_error=error.errno in _PATH_ERRNOS,
            ) from error
        except (sqlite3.Error, schema.SchemaTooNew) as error:
            raise JournalUnusable(f"journal {self.path} cannot be opened: {error}") from error

    def _open_first(self) -> tuple[sqlite3.Connection, Meta]:
        """Open the file, or a new one if it is damaged. Raises OSError, sqlite3.Error, SchemaTooNew."""
        if reason := repair.check_before_open(self._real_path):
            return self._rebuild(reason)
        try:
            return self._open_file(self._real_path)
        except sqlite3.DatabaseError as error:
            if classify_error(error) is not DbFailure.FILE:
                raise
            return self._rebuild(str(error))

    def _rebuild(self, reason: str) -> tuple[sqlite3.Connection, Meta]:
        """Open a new file with the rows that can be read. Raises OSError, sqlite3.Error, SchemaTooNew."""
        self._rebuild_allowed_at = self._monotonic_clock() + MIN_REBUILD_INTERVAL_S
        report = repair.rebuild(self._real_path, reason, self._wall_clock())
        if self._failure is not None:
            self._failure = DbFailure.CONNECTION  # the new file is sound
        opened = self._open_file(self._real_path)
        self._on_damage(str(report))
        return opened

    def close(self) -> None:
        """Write the slots that were freed last, and close file and lock. It may be called twice."""
        with contextlib.suppress(sqlite3.Error):  # closed before, or the disk accepts no more writes
            if self._failure is None:
                self._check_files()
                if self.freed_slots:
                    with self.transaction():
                        pass
        self.connection.close()
        self._files.release()

    # Time

    def now(self) -> JournalTime:
        """Return the current time by both clocks."""
        return JournalTime(self._wall_clock(), self._uptime_base + self._monotonic_clock())

    def age(self, wall: float, uptime: float) -> float:
        """Return the seconds since a time: the smaller difference, so that a jump of a clock ages no row."""
        now = self.now()
        return max(0.0, min(now.wall - wall, now.uptime - uptime))

    # Reading and writing

    def next_id(self, table: str) -> int:
        """Return the id of the next row. No id is used twice while the agent runs, even if rows are lost."""
        highest = self.execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
        self._reserved_ids[table] = max(int(highest), self._last_ids.get(table, 0)) + 1
        return self._reserved_ids[table]

    def execute(self, query: str, values: tuple[Any, ...] = ()) -> QueryResult:
        """Run one statement. Raises sqlite3.Error."""
        self._reopen_if_needed()
        try:
            return QueryResult(self.connection.execute(query, values))
        except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema, which is not UTF-8
            damage = corrupt_error("its list of tables is damaged")
            self._record_failure(damage)
            raise damage from error
        except sqlite3.Error as error:
            self._record_failure(error)
            raise

    def commit(self, key: Hashable | None, write: Callable[[JournalTime], R]) -> R:
        """Call `write` in one transaction; return its result. Raises sqlite3.Error.

        `key` identifies a commit that the caller repeats until it succeeds: its method and its row. If this
        raises although the commit has reached the disk, the next call with the same key writes nothing and
        returns the same result.
        """
        if self.is_confirmed(key):
            result: R = self._confirmed_results.pop(key)
            return result
        results: list[R] = []
        try:
            with self.transaction() as now:
                results.append(write(now))
        except sqlite3.Error:
            if not self._resolve_uncertain_commit(key, results):
                raise
        return results[0]

    def is_confirmed(self, key: Hashable | None) -> bool:
        """Return True if a commit with this key failed and is nevertheless on the disk.

        Raises sqlite3.Error.
        """
        self._reopen_if_needed()
        return key in self._confirmed_results

    def _resolve_uncertain_commit(self, key: Hashable | None, results: list[Any]) -> bool:
        """Return True if the commit that has just failed is on the disk.

        If the file cannot be opened now, this is determined as soon as it can be.
        """
        if self._uncertain_commit is None or key is None:
            return False
        self._uncertain_commit.key, self._uncertain_commit.result = key, results[0]
        with contextlib.suppress(sqlite3.Error):
            self._reopen_if_needed()
        return self._confirmed_results.pop(key, self) is not self

    @contextlib.contextmanager
    def transaction(self) -> Iterator[JournalTime]:
        """Commit all that is written in the block, together with the uptime and the freed slots."""
        self._reopen_if_needed()
        self._check_files()
        self.execute("BEGIN IMMEDIATE")
        committing = False
        self._uncertain_commit = None
        self._reserved_ids.clear()
        now = self.now()
        uptime = max(now.uptime, math.nextafter(self.meta.uptime, math.inf))
        try:
            freed = tuple(self.freed_slots)
            for store, slot in freed:
                self.execute("DELETE FROM slots WHERE store = ? AND slot = ?", (store, slot))
            yield now
            meta = self.meta
            self.execute(
                "UPDATE meta SET uptime = ?, newest_timestamp = ?, dedup_horizon = ?, first_sweep_done = ?",
                (uptime, meta.newest_timestamp, meta.dedup_horizon, meta.first_sweep_done),
            )
            committing = True
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
            if committing and self._failure is not None:
                self._uncertain_commit = _UncertainCommit(uptime)
            raise
        self.meta.uptime = uptime
        self._last_ids.update(self._reserved_ids)
        self.freed_slots.difference_update(freed)

    # Errors of the disk

    def _check_files(self) -> None:
        """Write back files that were deleted or replaced, from the open connection. Raises sqlite3.Error."""
        try:
            changed = self._files.find_changed()
            if not changed:
                return
            if ".lock" in changed:
                self._files.lock_again()
            if changed != [".lock"]:
                copy = repair.restore_files(
                    self._real_path, self.connection, self._wall_clock(), keep_replacement="" in changed
                )
                kept = f"; the file that was in its place is kept as {copy}" if copy else ""
                self._on_damage(
                    f"journal {self.path} was deleted or replaced while it was in use: "
                    f"put back with all that it held{kept}"
                )
                self._failure = DbFailure.CONNECTION  # the connection is closed
                self._reopen_if_needed()
        except (OSError, JournalLocked) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise sqlite3.OperationalError(f"the journal is not where it was: {reason}") from error

    def _record_failure(self, error: sqlite3.Error) -> None:
        """Record that the connection or the file must be replaced, if the error requires it."""
        failure = classify_error(error)
        if failure is not None and self._failure is not DbFailure.FILE:
            self._failure, self._failure_reason = failure, str(error)

    def _reopen_if_needed(self) -> None:
        """After a failure, open the file again, or a new one if it is damaged. Raises sqlite3.Error."""
        if self._failure is None:
            return
        self.connection.close()
        try:
            self.connection, meta = self._open_again()
            self._files.record_opened()
        except (OSError, schema.SchemaTooNew) as error:
            raise sqlite3.OperationalError(f"the journal cannot be opened again: {error}") from error
        except sqlite3.Error as error:
            self._record_failure(error)
            raise
        self._failure = None
        uncertain, self._uncertain_commit = self._uncertain_commit, None
        if uncertain is not None and uncertain.key is not None and meta.uptime == uncertain.uptime:
            self._confirmed_results[uncertain.key] = uncertain.result
        meta.merge(self.meta)
        self.meta = meta

    def _open_again(self) -> tuple[sqlite3.Connection, Meta]:
        if self._failure is DbFailure.FILE:
            if self._monotonic_clock() < self._rebuild_allowed_at:
                raise sqlite3.DatabaseError(
                    f"the disk damages the journal again and again ({self._failure_reason})"
                )
            return self._rebuild(self._failure_reason)
        if not self._real_path.exists():
            raise FileNotFoundError(errno.ENOENT, "it is gone")
        return self._open_file(self._real_path)
