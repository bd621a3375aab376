"""A damaged journal: kept aside, a new one begun with what can be read of it.

Nothing is changed in the damaged file. The new one is written beside it and put in its place when it is
whole, so a crash on the way is followed by the same again, never by a start without memory.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agent.journal import row_recovery, schema, timestamps

MAX_DAMAGED_COPIES = 3
"""Damaged journals that are kept; a card that goes bad must not fill itself with them."""
_SUFFIXES = ("", "-wal", "-shm")
_NONE_TYPE = type(None)
_COLUMN_TYPES: dict[str, tuple[type, ...]] = {
    "INTEGER": (int, _NONE_TYPE),
    "REAL": (float, _NONE_TYPE),
    "TEXT": (str, _NONE_TYPE),
    "BLOB": (bytes, _NONE_TYPE),
    "": (str, bytes),
}
"""What may stand in a column of a type; SQLite itself takes anything, also what damage has left there."""


@dataclass(slots=True)
class RepairReport:
    """What became of a damaged journal."""

    path: Path
    reason: str
    damaged_copy: str = ""
    """Name of the damaged file now."""
    row_counts: dict[str, int] = field(default_factory=dict)
    """How many rows of each table were read."""
    incomplete_tables: list[str] = field(default_factory=list)
    """Tables that could not be read whole."""
    dedup_horizon: float | None = None

    def __str__(self) -> str:
        rows = self.row_counts
        told = (
            f"journal {self.path} is damaged ({self.reason}): kept aside as {self.damaged_copy}, begun anew with "
            f"{rows.get('commands', 0)} Commands, {rows.get('replies', 0)} answers and "
            f"{rows.get('seen', 0)} entries of the memory for doubles"
        )
        if self.incomplete_tables:
            told += f"; not all could be read of {', '.join(self.incomplete_tables)}"
        if "seen" in self.incomplete_tables:
            told += ": a Command that is delivered again may be carried out again"
            if self.dedup_horizon is not None:
                when = datetime.fromtimestamp(self.dedup_horizon, UTC).isoformat(timespec="seconds")
                told += f", unless it was sent before {when}: unknown ones from then are kept as expired"
        return told


def check_before_open(path: Path) -> str | None:
    """Before the file is opened: finish what a crash cut short; returns why the file is no journal.

    SQLite itself would throw away the log beside a file that is empty or missing. Raises OSError.
    """
    new = _sibling(path, ".new")
    if new.exists() and not path.exists():
        for aside in damaged_copies(path)[-1:]:
            for tail in _SUFFIXES[1:]:
                with suppress(FileNotFoundError):
                    _sibling(path, tail).rename(_sibling(aside, tail))
        new.replace(path)
        _fsync_directory(path)
    if path.exists() and not path.is_file():
        return None
    size = path.stat().st_size if path.exists() else -1
    log = _sibling(path, "-wal")
    if size == 0:
        return "it is empty"
    if size < 0 and log.exists() and log.stat().st_size > 0:
        return "it is gone, only its log is left"
    if size > 0 and row_recovery.is_torn(path):
        return "it ends in the middle of a page"
    return None


def create(path: Path) -> None:
    """Make the journal of a first start: whole or not at all, so an empty file always is a damaged one.

    Raises OSError, sqlite3.Error.
    """
    with _atomic_database(path) as target:
        schema.migrate(target)
    _fsync_directory(path)


def rebuild(path: Path, reason: str, now: float) -> RepairReport:
    """Put a new journal in the place of a damaged one, which nobody has open.

    Raises OSError, sqlite3.Error.
    """
    rescued = RepairReport(path, reason)
    new, scratch = _sibling(path, ".new"), _sibling(path, ".salvage")
    _remove_files(scratch)
    try:
        with _atomic_database(new) as target:
            schema.migrate(target)
            bones = row_recovery.read_schema_pages(target)
            target.execute("BEGIN IMMEDIATE")
            try:
                source = row_recovery.open_damaged(path, scratch, bones)
            except (OSError, sqlite3.Error):
                rescued.incomplete_tables = list(_table_names(target))
            else:
                with closing(source):
                    _copy_tables(source, target, rescued)
            _reconcile(target, rescued, now)
            target.execute("COMMIT")
    finally:
        _remove_files(scratch)
    rescued.damaged_copy = _move_aside(path, now)
    new.replace(path)
    _fsync_directory(path)
    return rescued


def restore_files(path: Path, connection: sqlite3.Connection, now: float, *, keep_replacement: bool) -> str:
    """Write what an open journal holds to its place, from which its files have gone; it is closed then.

    `foreign`: what stands there now is somebody else's; it is kept aside, its name is returned.
    Raises OSError, sqlite3.Error; then the connection is still open.
    """
    new = _sibling(path, ".new")
    with _atomic_database(new) as target:
        connection.backup(target)
    aside = _move_aside(path, now) if keep_replacement and path.exists() else ""
    for tail in _SUFFIXES[1:]:
        _sibling(path, tail).unlink(missing_ok=True)
    new.replace(path)
    _fsync_directory(path)
    connection.close()  # which deletes a log by its name, so before there is a new one
    return aside


def damaged_copies(path: Path) -> list[Path]:
    """The damaged journals beside this one, oldest first."""
    path = path.resolve()
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(each for each in found if not each.name.endswith(("-wal", "-shm")))


def _copy_tables(source: sqlite3.Connection, target: sqlite3.Connection, report: RepairReport) -> None:
    for name in _table_names(target):
        types = _column_types(target, name)
        columns = tuple(types)
        with suppress(sqlite3.Error):
            there = _column_types(source, name)  # none, where the table is missing: then no row can be read
            columns = tuple(each for each in columns if each in there)
        table = row_recovery.DamagedTable(source, name, columns, _scan_key(target, name))
        holes = ", ".join("?" * len(columns))
        insert = f"INSERT OR REPLACE INTO {name} ({', '.join(columns)}) VALUES ({holes})"
        kinds = [_COLUMN_TYPES[types[each]] for each in columns]
        count = 0
        for row in table.read_rows():
            if not all(map(isinstance, row, kinds)):
                table.is_complete = False
                continue
            try:
                target.execute(insert, row)
                count += 1
            except (sqlite3.IntegrityError, sqlite3.InterfaceError):  # a row that makes no sense
                table.is_complete = False
        report.row_counts[name] = count
        if not table.is_complete:
            report.incomplete_tables.append(name)


def _reconcile(target: sqlite3.Connection, report: RepairReport, now: float) -> None:
    """Make of the rows that were read a journal that promises no more than it knows."""
    incomplete = set(report.incomplete_tables)

    def one(query: str) -> float:
        """The one value of a query, 0 for none."""
        return float(target.execute(query).fetchone()[0] or 0)

    told = [one("SELECT max(newest_timestamp) FROM clock")]
    told += [stamp for (stamp,) in target.execute("SELECT timestamp FROM seen WHERE timestamp IS NOT NULL")]
    for (stamp,) in target.execute("SELECT timestamp FROM commands WHERE timestamp IS NOT NULL").fetchall():
        with suppress(ValueError):
            told.append(datetime.fromisoformat(str(stamp)).timestamp())
    newest = timestamps.newest_plausible((each for each in told if isinstance(each, float) and each > 0), now)
    running = max(
        one("SELECT max(running) FROM clock"),
        one("SELECT max(at_running) FROM seen"),
        one("SELECT max(received_running) FROM commands"),
        one("SELECT max(max(queued_running, coalesce(sent_running, 0))) FROM replies"),
    )
    horizon = target.execute("SELECT max(horizon) FROM clock").fetchone()[0]
    if incomplete & {"seen", "clock"} and newest > 0:
        horizon = newest
    report.dedup_horizon = horizon
    target.execute(
        "UPDATE clock SET running = ?, newest_timestamp = ?, horizon = ?, swept = ?",
        (running, newest, horizon, newest > 0 or one("SELECT max(swept) FROM clock")),
    )
    if incomplete & {"commands", "parts", "strays", "seen", "reports"}:
        # A slot whose message is not known any more must not be taken for one that may be deleted unread.
        target.execute("DELETE FROM slots")
    if "commands" in incomplete:
        lost = "command NOT IN (SELECT id FROM commands)"
        target.execute(f"UPDATE seen SET command = NULL WHERE {lost}")
        target.execute(f"UPDATE replies SET command = NULL WHERE {lost}")
        target.execute(f"DELETE FROM actions WHERE {lost}")


def _move_aside(path: Path, now: float) -> str:
    """Rename the file, then its log; returns the new name. Only the newest few are kept."""
    date = datetime.fromtimestamp(max(now, 0.0), UTC).strftime("%Y%m%dT%H%M%SZ")
    count, aside = 1, _sibling(path, f".damaged-{date}")
    while any(_sibling(aside, tail).exists() for tail in _SUFFIXES):
        count += 1
        aside = _sibling(path, f".damaged-{date}-{count}")
    for tail in _SUFFIXES:
        with suppress(FileNotFoundError):
            _sibling(path, tail).rename(_sibling(aside, tail))
    others = [
        each for each in damaged_copies(path) if each != aside
    ]  # a clock that jumped dates it before them
    for old in others[: 1 - MAX_DAMAGED_COPIES]:
        _remove_files(old)
    return aside.name


@contextmanager
def _atomic_database(path: Path) -> Iterator[sqlite3.Connection]:
    """A new file that gets its name when all is in it: no crash leaves half of one under it.

    Raises OSError, sqlite3.Error.
    """
    half = _sibling(path, ".half")
    for tail in ("", "-journal"):
        _sibling(half, tail).unlink(missing_ok=True)
    os.close(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(half, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = FULL")
        yield target
    half.replace(path)


def _table_names(connection: sqlite3.Connection) -> Iterator[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    yield from (name for (name,) in found if not name.startswith("sqlite_"))


def _column_types(connection: sqlite3.Connection, table: str) -> dict[str, str]:
    """The columns in their order, and their declared types."""
    return {row[1]: row[2] for row in connection.execute(f"PRAGMA table_info({table})")}


def _scan_key(connection: sqlite3.Connection, table: str) -> str | None:
    """The key by which reading goes on behind a damage; the tables without one are small."""
    sql = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()[0]
    if "WITHOUT ROWID" not in sql:
        return "rowid"
    return "key" if table == "seen" else None


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove_files(path: Path) -> None:
    for tail in _SUFFIXES:
        _sibling(path, tail).unlink(missing_ok=True)


def _fsync_directory(path: Path) -> None:
    """A renaming survives a power cut once its folder has reached the disk (fsync(2))."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
