"""Copies the readable rows of a damaged SQLite file.

SQLite ends a query at the first page that it cannot read. A table with row ids is then read in smaller and
smaller ranges of row ids around the unreadable pages. A table without row ids is read from both ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.journal import schema

_PAGE_SIZES = [512 << power for power in range(7)]
_LOG_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAX_ROW_ID = (1 << 63) - 1
MAX_FAILED_QUERIES = 50_000
"""Failed queries after which the rest of a table is given up: some seconds of work on a slow device."""


def open_damaged(path: Path, scratch: Path) -> sqlite3.Connection:
    """Open a damaged file for reading; the file itself is not changed.

    Raises OSError, or sqlite3.Error if not even the list of tables and the schema version can be read.
    """
    if not path.exists() or path.stat().st_size == 0:  # SQLite would delete the log beside it
        raise sqlite3.DatabaseError("the file is missing or empty")
    import shutil  # noqa: PLC0415  (with its compressors it is large, and a damaged journal is rare)

    if ends_in_page(path):  # SQLite would read the missing part of that page as zeros
        shutil.copyfile(path, scratch)
        page_bytes = _read_page_bytes(path)
        os.truncate(scratch, path.stat().st_size // page_bytes * page_bytes)
        with suppress(FileNotFoundError):
            shutil.copyfile(_log_beside(path), _log_beside(scratch))
        path = scratch
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        connection.text_factory = schema.decode_text
        # Without this, SQLite refuses every query on a file that is shorter than its header says.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        version = schema_version(connection)
    except BaseException:
        connection.close()
        raise
    if not 0 < version <= len(schema.MIGRATIONS):
        connection.close()
        raise sqlite3.DatabaseError(f"the schema version {version} is not valid")
    return connection


def schema_version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables in this file. Raises sqlite3.Error."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def ends_in_page(path: Path) -> bool:
    """Return True if the file was cut off within a page, and its write-ahead log does not hold that page."""
    page_bytes = _read_page_bytes(path)
    complete_pages, rest = divmod(path.stat().st_size, page_bytes)
    return rest != 0 and complete_pages + 1 not in _logged_pages(_log_beside(path), page_bytes)


def _read_page_bytes(path: Path) -> int:
    """Return the size of a page that the header of the file has; that of new journals if it is damaged."""
    with path.open("rb") as file:
        size = int.from_bytes(file.read(18)[16:], "big")
    return size if size in _PAGE_SIZES else schema.PAGE_BYTES


def _logged_pages(log: Path, page_bytes: int) -> set[int]:
    """Return the numbers of the pages in a write-ahead log (https://www.sqlite.org/fileformat2.html#walformat)."""
    if not log.exists():
        return set()
    with log.open("rb") as file:
        salt = file.read(_LOG_HEADER_BYTES)[16:24]
        pages = set()
        while len(header := file.read(_FRAME_HEADER_BYTES)) == _FRAME_HEADER_BYTES and header[8:16] == salt:
            pages.add(int.from_bytes(header[:4], "big"))
            file.seek(page_bytes, os.SEEK_CUR)
        return pages


def _log_beside(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def copy_rows(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> bool:
    """Copy the readable rows of a table that both files have with the same columns.

    Returns True if all rows were read and the new table accepted them. Raises sqlite3.Error if the new file
    cannot be written.
    """
    reader = _TableReader(source, target, table)
    for row in reader.read_rows():
        try:
            target.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)
        except sqlite3.IntegrityError:
            reader.is_complete = False
    return reader.is_complete


class _TableReader:
    """Reads one table of a damaged file. `is_complete` is valid when all rows have been read."""

    def __init__(self, source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> None:
        """`target` is a sound file with the same tables."""
        self.is_complete = True
        self._source = source
        self._table = table
        (sql,) = target.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        self._has_row_ids = "WITHOUT ROWID" not in sql
        columns = target.execute(f"PRAGMA table_info({table})").fetchall()
        self._primary_key = [name for _, name, _, _, _, position in columns if position]

    def read_rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield every row that can be read, some of them perhaps twice."""
        return self._read_by_row_id() if self._has_row_ids else self._read_from_both_ends()

    def _read_by_row_id(self) -> Iterator[tuple[Any, ...]]:
        query = f"SELECT rowid, * FROM {self._table} WHERE rowid BETWEEN ? AND ? ORDER BY rowid"
        ranges = [(1, _MAX_ROW_ID)]
        failed_queries = 0
        while ranges and failed_queries < MAX_FAILED_QUERIES:
            first, last = ranges.pop()
            try:
                for row_id, *values in self._source.execute(query, (first, last)):
                    yield tuple(values)
                    first = row_id + 1
            except sqlite3.Error:
                self.is_complete = False
                failed_queries += 1
                if first < last:
                    middle = (first + last) // 2
                    ranges += [(middle + 1, last), (first, middle)]

    def _read_from_both_ends(self) -> Iterator[tuple[Any, ...]]:
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{column} {direction}" for column in self._primary_key)
            try:
                yield from self._source.execute(f"SELECT * FROM {self._table} ORDER BY {order}")
            except sqlite3.Error:
                self.is_complete = False
            else:
                return
