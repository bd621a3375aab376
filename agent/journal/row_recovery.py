"""Reading what can be read of a damaged SQLite file, row by row.

SQLite ends a query at the first page that it cannot make sense of. So a table is read up to the damage, the
first key beyond it is searched for with growing steps, and reading goes on from there, in both directions.
Keys must grow on the way: pages that lead back to earlier ones count as damage.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
_DB_HEADER_BYTES, _WAL_HEADER_BYTES, _WAL_FRAME_HEADER_BYTES = 100, 32, 24
"""Octets of the file's header, of the log's, and before each page in the log."""
_KEY_PREFIX_BYTES = 12
"""Octets of a key that steps are counted in."""


class DamagedTable:
    """One table of a damaged file. `complete` is known when its rows have been read."""

    def __init__(
        self, connection: sqlite3.Connection, name: str, columns: tuple[str, ...], key: str | None
    ) -> None:
        """`key` is ``rowid``, or a column of octets that is a key by itself; None where there is neither.

        Without one nothing is looked for behind the first damage.
        """
        self._connection = connection
        self._name = name
        self._select = f"SELECT {key or 0}, {', '.join(columns)} FROM {name}"
        self._key = key
        self.is_complete = True
        self._reached_end = False

    def read_rows(self) -> Iterator[tuple[object, ...]]:
        """The columns of every row that can be read."""
        if self._key is None:
            try:
                for row in self._connection.execute(self._select):
                    yield row[1:]
            except sqlite3.Error:
                self.is_complete = False
            return
        low: int | bytes | None = None
        while True:
            for row in self._scan_forward(low):
                low = row[0]
                yield row[1:]
            if self._reached_end:
                return
            self.is_complete = False
            beyond = self._find_key_beyond(low)
            for row in self._scan_backward(beyond, low):
                yield row[1:]
            if beyond is None:
                return
            low = beyond

    def _scan_forward(self, low: int | bytes | None) -> Iterator[tuple[int | bytes, *tuple[object, ...]]]:
        """Rows above `low`, upwards, until the end or the damage; `_ended` tells which."""
        self._reached_end = False
        where, values = _where_clause(self._key, [(">", low)])
        try:
            for row in self._connection.execute(f"{self._select}{where} ORDER BY {self._key}", values):
                if not isinstance(row[0], (int, bytes)) or (low is not None and not _is_greater(row[0], low)):
                    return
                low = row[0]
                yield row
        except sqlite3.Error:
            yield from self._row_before_damage([(">", low)], "ASC")
            return
        self._reached_end = True

    def _scan_backward(
        self, high: int | bytes | None, low: int | bytes | None
    ) -> Iterator[tuple[int | bytes, *tuple[object, ...]]]:
        """Rows from `high`, or from the end of the table, downwards, until `low` or the damage."""
        where, values = _where_clause(self._key, [("<=", high), (">", low)])
        last: int | bytes | None = None
        try:
            for row in self._connection.execute(f"{self._select}{where} ORDER BY {self._key} DESC", values):
                if not isinstance(row[0], (int, bytes)) or (
                    last is not None and not _is_greater(last, row[0])
                ):
                    return
                last = row[0]
                yield row
        except sqlite3.Error:
            yield from self._row_before_damage(
                [("<=", high) if last is None else ("<", last), (">", low)], "DESC"
            )

    def _row_before_damage(
        self, bounds: list[tuple[str, int | bytes | None]], order: str
    ) -> Iterator[tuple[int | bytes, *tuple[object, ...]]]:
        """The row right before the damage: Python reads one ahead, and loses this one by what it meets."""
        where, values = _where_clause(self._key, bounds)
        with contextlib.suppress(sqlite3.Error):
            row = self._connection.execute(
                f"{self._select}{where} ORDER BY {self._key} {order} LIMIT 1", values
            ).fetchone()
            lows = [bound for sign, bound in bounds if sign == ">" and bound is not None]
            if (
                row is not None
                and isinstance(row[0], (int, bytes))
                and all(_is_greater(row[0], low) for low in lows)
            ):
                yield row

    def _find_key_beyond(self, low: int | bytes | None) -> int | bytes | None:
        """A key behind the damage, None where none is found: steps may reach over all that is left."""
        blob = self._key != "rowid"
        for step in range(8 * _KEY_PREFIX_BYTES if blob else 63):
            probe = _next_blob_key(low, step) if blob else min(int(low or 0) + (1 << step), (1 << 63) - 1)
            if probe is None:
                return None
            try:
                row = self._connection.execute(
                    f"SELECT {self._key} FROM {self._name} WHERE {self._key} >= ?"
                    f" ORDER BY {self._key} LIMIT 1",
                    (probe,),
                ).fetchone()
            except sqlite3.Error:
                continue
            if row is None:
                return None
            found: int | bytes = row[0]
            return found if low is None or _is_greater(found, low) else None
        return None


def _where_clause(
    key: str | None, bounds: list[tuple[str, int | bytes | None]]
) -> tuple[str, list[int | bytes | None]]:
    """The clause for those bounds that there are, and its values."""
    there = [(sign, bound) for sign, bound in bounds if bound is not None]
    clause = " AND ".join(f"{key} {sign} ?" for sign, _ in there)
    return f" WHERE {clause}" if clause else "", [bound for _, bound in there]


def _is_greater(one: object, other: object) -> bool:
    """Whether both are of one kind and in that order."""
    if isinstance(one, int) and isinstance(other, int):
        return one > other
    return isinstance(one, bytes) and isinstance(other, bytes) and one > other


def _next_blob_key(low: int | bytes | None, step: int) -> bytes | None:
    octets = low if isinstance(low, bytes) else b""
    number = int.from_bytes(octets[:_KEY_PREFIX_BYTES].ljust(_KEY_PREFIX_BYTES, b"\0")) + (1 << step)
    return None if number >> (8 * _KEY_PREFIX_BYTES) else number.to_bytes(_KEY_PREFIX_BYTES)


def read_schema_pages(connection: sqlite3.Connection) -> dict[int, bytes]:
    """The pages of a new journal that tell where its tables begin, by their number from 1."""
    new = Path(connection.execute("PRAGMA database_list").fetchone()[2])
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    begin = {row[0] for row in connection.execute("SELECT rootpage FROM sqlite_master")}
    octets = new.read_bytes()
    pages = range(1, len(octets) // size + 1)
    return {page: octets[(page - 1) * size : page * size] for page in pages if page not in begin}


def is_torn(path: Path) -> bool:
    """Whether the file ends within a page that its log does not hold either (sqlite.org/fileformat2.html).

    A crash while SQLite brings the log into the file may leave it so, with nothing lost. Raises OSError.
    """
    with path.open("rb") as file:
        head = file.read(_DB_HEADER_BYTES)
    size = int.from_bytes(head[16:18])
    size = 65536 if size == 1 else size
    length = path.stat().st_size
    if not head.startswith(_MAGIC) or size < 512 or length % size == 0:
        return False
    return length // size + 1 not in _wal_page_numbers(path.with_name(f"{path.name}-wal"), size)


def _wal_page_numbers(wal: Path, size: int) -> Iterator[int]:
    """The numbers of the pages in a log, up to what an earlier use of the same file has left in it."""
    if not wal.exists():
        return
    with wal.open("rb") as file:
        salts = file.read(_WAL_HEADER_BYTES)[16:24]
        while (
            len(head := file.read(_WAL_FRAME_HEADER_BYTES)) == _WAL_FRAME_HEADER_BYTES and head[8:16] == salts
        ):
            yield int.from_bytes(head[:4])
            file.seek(size, os.SEEK_CUR)


def open_damaged(path: Path, scratch: Path, schema_pages: dict[int, bytes]) -> sqlite3.Connection:
    """A connection to whatever stands at `path`; the file itself is left as it is.

    Where it is not known any more which tables it has, a copy at `scratch` gets the `skeleton` of a new file:
    the tables that a journal begins with are at the same pages in every file. Raises OSError, sqlite3.Error.
    """
    size = len(schema_pages[1])
    # Beside an empty file SQLite would delete the log; what is missing of a torn page it reads as zeros.
    if path.exists() and path.stat().st_size > 0 and not is_torn(path):
        with contextlib.suppress(sqlite3.Error):
            return _connect(f"{path.absolute().as_uri()}?mode=ro")
    if path.exists():
        shutil.copyfile(path, scratch)
    else:
        scratch.write_bytes(b"")
    log = path.with_name(f"{path.name}-wal")
    with_log = log.exists() and log.stat().st_size > 0
    if with_log:
        shutil.copyfile(log, scratch.with_name(f"{scratch.name}-wal"))
    with scratch.open("r+b") as file:
        file.truncate(scratch.stat().st_size // size * size)
        for page, octets in schema_pages.items():
            file.seek((page - 1) * len(octets))
            file.write(octets)
        file.seek(18)
        file.write(b"\2\2" if with_log else b"\1\1")  # file format 1.3: with a log beside it, or not
        pages = file.seek(0, os.SEEK_END) // size
        file.seek(28)
        file.write(pages.to_bytes(4))
    return _connect(scratch.absolute().as_uri())


def _connect(uri: str) -> sqlite3.Connection:
    """Raises sqlite3.Error where the list of tables cannot be read."""
    connection = sqlite3.connect(uri, uri=True)
    try:
        connection.text_factory = lambda octets: octets.decode(errors="replace")
        # Pages beyond the end of a file that was cut off are then missing one by one and not all together.
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        for table in ("clock", "commands", "seen"):
            connection.execute(f"SELECT 1 FROM {table} WHERE 0")
    except BaseException:
        connection.close()
        raise
    return connection
