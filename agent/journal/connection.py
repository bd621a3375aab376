"""Opens the SQLite file of the journal, and classifies the errors of SQLite.

`journal_mode=WAL` with `synchronous=FULL` was measured by cutting the power at every write: SQLite's defaults
lost the last acknowledged row in half of the cuts, this pair lost none.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from agent.journal import repair, schema


class DbFailure(Enum):
    """The part that an SQLite error shows to be unusable, by its result codes (sqlite.org/rescode.html)."""

    CONNECTION = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
    """The connection must not be used any longer; a new one may work."""
    FILE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    """The file is damaged."""


def classify_error(error: sqlite3.Error) -> DbFailure | None:
    """Return the failed part; None if the connection can still be used, as after a full disk or a lock."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
    return next((failure for failure in DbFailure if code in failure.value), None)


class Meta:
    """The one row of the table ``meta``."""

    def __init__(
        self, *, uptime: float, newest_timestamp: float, dedup_horizon: float | None, first_sweep_done: bool
    ) -> None:
        self.uptime = uptime
        """Seconds that the agent has run, summed over all its starts."""
        self.newest_timestamp = newest_timestamp
        """The newest service centre time stamp of a Command, seconds since 1970; 0 for none."""
        self.dedup_horizon = dedup_horizon
        """The newest service centre time stamp among the pruned deduplication entries."""
        self.first_sweep_done = first_sweep_done
        """True once all messages that the module held at the first start are stored."""

    def merge(self, known: Meta) -> None:
        """Take over the values from before the file was opened again if they are newer than those in it."""
        self.newest_timestamp = max(self.newest_timestamp, known.newest_timestamp)
        horizons = [each for each in (self.dedup_horizon, known.dedup_horizon) if each is not None]
        self.dedup_horizon = max(horizons, default=None)
        self.first_sweep_done = self.first_sweep_done or known.first_sweep_done


class QueryResult:
    """All rows of a query, read at once: so every error of the file is raised by the query itself."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._rows: list[Any] = cursor.fetchall() if cursor.description is not None else []
        self.lastrowid = cursor.lastrowid

    def fetchone(self) -> Any:
        """Return the first row, None if there is none."""
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return self._rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)


def open_journal_file(path: Path, lock_timeout_s: float = 5.0) -> tuple[sqlite3.Connection, Meta]:
    """Open the file, create it if it is missing, and migrate it to this version.

    A file that another process has locked is waited for during `lock_timeout_s`, then and at each statement.
    Raises OSError, sqlite3.Error, schema.SchemaTooNew.
    """
    if not path.exists():
        repair.create(path)
    os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))  # its OSError is more precise than the error of SQLite
    connection = sqlite3.connect(path, timeout=lock_timeout_s, isolation_level=None, check_same_thread=False)
    connection.text_factory = schema.decode_text
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        schema.migrate(connection)
        return connection, read_meta(connection)
    except UnicodeDecodeError as error:  # SQLite's message quotes a damaged schema, which is not UTF-8
        connection.close()
        raise corrupt_error("its list of tables is damaged") from error
    except BaseException:
        connection.close()
        raise


def read_meta(connection: sqlite3.Connection) -> Meta:
    """Return the row of the table ``meta``. Raises sqlite3.DatabaseError if it is missing."""
    row = connection.execute(
        "SELECT uptime, newest_timestamp, dedup_horizon, first_sweep_done FROM meta"
    ).fetchone()
    if row is None:
        raise corrupt_error("the row of its table meta is missing")
    return Meta(uptime=row[0], newest_timestamp=row[1], dedup_horizon=row[2], first_sweep_done=bool(row[3]))


def corrupt_error(text: str) -> sqlite3.DatabaseError:
    """Return the error of a damaged file."""
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
