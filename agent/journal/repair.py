"""Replaces a damaged journal by a new one with the rows that can still be read.

The damaged file is kept beside the journal, unchanged. The new file is written under another name and renamed
when it is complete. After a crash in between, the next start repeats the replacement; it never starts with
an empty journal.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from agent.journal import row_recovery, schema, timestamps

MAX_DAMAGED_COPIES = 3
"""Damaged journals that are kept. A failing memory card must not fill itself with them."""
_SUFFIXES = ("", "-wal", "-shm")


class RepairReport:
    """The rows that were recovered from a damaged journal, and the tables that lost rows."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        """The reason why the file counts as damaged."""
        self.damaged_copy = ""
        """New name of the damaged file."""
        self.row_counts: dict[str, int] = {}
        """Number of rows of each table that were copied."""
        self.incomplete_tables: list[str] = []
        """Tables of which not all rows could be read."""
        self.dedup_horizon: float | None = None

    def __str__(self) -> str:
        """Return the text of the log line."""
        rows = self.row_counts
        text = (
            f"journal {self.path} is damaged ({self.reason}): it is kept as {self.damaged_copy}, "
            f"and a new one was made with {rows.get('commands', 0)} Commands, "
            f"{rows.get('replies', 0)} replies and {rows.get('dedup', 0)} deduplication entries"
        )
        if self.incomplete_tables:
            text += f"; not all rows could be read of {', '.join(self.incomplete_tables)}"
        if "dedup" in self.incomplete_tables:
            text += ": a Command that is delivered again may be run again"
            if self.dedup_horizon is not None:
                when = datetime.fromtimestamp(self.dedup_horizon, UTC).isoformat(timespec="seconds")
                text += f", unless it was sent before {when}: unknown older Commands are kept as expired"
        return text


def check_before_open(path: Path) -> str | None:
    """Finish a replacement that a crash interrupted; return why the file is damaged, or None.

    This is checked before SQLite opens the file, because SQLite deletes the log beside an empty or missing
    file. Raises OSError.
    """
    new, log = _sibling(path, ".new"), _sibling(path, "-wal")
    if new.exists() and not path.exists():
        for copy in damaged_copies(path)[-1:]:
            for suffix in _SUFFIXES[1:]:
                with suppress(FileNotFoundError):
                    _sibling(path, suffix).rename(_sibling(copy, suffix))
        new.replace(path)
        _fsync_directory(path)
    if not path.exists():
        return "it is missing, only its log is left" if log.exists() and log.stat().st_size else None
    if not path.is_file():
        return None
    if path.stat().st_size == 0:
        return "it is empty"
    return "it ends in the middle of a page" if row_recovery.ends_in_page(path) else None


def create(path: Path) -> None:
    """Create the journal of a first start, completely or not at all: so an empty file is always damaged.

    Raises OSError, sqlite3.Error.
    """
    with _atomic_database(path) as target:
        schema.migrate(target)
    _fsync_directory(path)


def rebuild(path: Path, reason: str, now: float) -> RepairReport:
    """Replace a damaged journal, which no process has open, by a new one with the rows that can be read.

    Raises OSError, sqlite3.Error.
    """
    report = RepairReport(path, reason)
    new = _sibling(path, ".new")
    with _atomic_database(new) as target:
        _copy_tables(path, target, report)
        _reconcile(target, report, now)
    report.damaged_copy = _move_aside(path, now)
    new.replace(path)
    _fsync_directory(path)
    return report


def restore_files(path: Path, connection: sqlite3.Connection, now: float, *, keep_replacement: bool) -> str:
    """Write the content of an open journal back to its path, from which its files have been removed.

    With `keep_replacement`, the file that is at the path now is kept aside, and its new name is returned. The
    connection is closed. Raises OSError, sqlite3.Error; then the connection is still open.
    """
    new = _sibling(path, ".new")
    with _atomic_database(new) as target:
        connection.backup(target)
    aside = _move_aside(path, now) if keep_replacement and path.exists() else ""
    for suffix in _SUFFIXES[1:]:
        _sibling(path, suffix).unlink(missing_ok=True)
    new.replace(path)
    _fsync_directory(path)
    connection.close()  # closing deletes a log by its name, so this comes before the new file has a log
    return aside


def damaged_copies(path: Path) -> list[Path]:
    """Return the damaged journals that are kept beside this one, oldest first."""
    path = path.resolve()
    found = path.parent.glob(f"{path.name}.damaged-*")
    return sorted(each for each in found if not each.name.endswith(("-wal", "-shm")))


def _copy_tables(path: Path, target: sqlite3.Connection, report: RepairReport) -> None:
    """Make the tables in the empty database `target` and copy the rows that can be read at `path`.

    A file of an older version is copied into tables of its version, which are then migrated.
    """
    scratch = _sibling(path, ".salvage")
    _remove_files(scratch)
    try:
        try:
            source = row_recovery.open_damaged(path, scratch)
        except (OSError, sqlite3.Error):
            schema.migrate(target)
            report.incomplete_tables = _table_names(target)
            return
        with closing(source):
            schema.migrate(target, row_recovery.schema_version(source))
            target.execute("BEGIN IMMEDIATE")
            report.incomplete_tables = [
                schema.RENAMED_TABLES.get(table, table)
                for table in _table_names(target)
                if not row_recovery.copy_rows(source, target, table)
            ]
            target.execute("COMMIT")
    finally:
        _remove_files(scratch)
    schema.migrate(target)


def _reconcile(target: sqlite3.Connection, report: RepairReport, now: float) -> None:
    """Make the copied rows consistent: no row may claim more than the journal still knows."""
    incomplete = set(report.incomplete_tables)

    def query_number(query: str) -> float:
        """Return the one value of a query, 0 for NULL."""
        return float(target.execute(query).fetchone()[0] or 0)

    stamps = [query_number("SELECT max(newest_timestamp) FROM meta")]
    stamps += [stamp for (stamp,) in target.execute("SELECT timestamp FROM dedup WHERE timestamp > 0")]
    for (stamp,) in target.execute("SELECT timestamp FROM commands WHERE timestamp IS NOT NULL"):
        with suppress(ValueError):
            stamps.append(datetime.fromisoformat(stamp).timestamp())
    newest = timestamps.newest_plausible((stamp for stamp in stamps if stamp > 0), now)
    uptime = max(
        query_number("SELECT max(uptime) FROM meta"),
        query_number("SELECT max(at_uptime) FROM dedup"),
        query_number("SELECT max(received_uptime) FROM commands"),
        query_number("SELECT max(max(queued_uptime, coalesce(sent_uptime, 0))) FROM replies"),
    )
    horizon = target.execute("SELECT max(dedup_horizon) FROM meta").fetchone()[0]
    if incomplete & {"dedup", "meta"} and newest > 0:
        horizon = newest
    report.dedup_horizon = horizon
    target.execute("BEGIN IMMEDIATE")
    target.execute(
        "UPDATE meta SET uptime = ?, newest_timestamp = ?, dedup_horizon = ?, first_sweep_done = ?",
        (uptime, newest, horizon, newest > 0 or query_number("SELECT max(first_sweep_done) FROM meta")),
    )
    if incomplete & {"commands", "parts", "ignored", "dedup", "status_reports"}:
        # A message that is lost here must be read again before it is deleted from its slot.
        target.execute("DELETE FROM slots")
    if "commands" in incomplete:
        lost = "command_id NOT IN (SELECT id FROM commands)"
        target.execute(f"UPDATE dedup SET command_id = NULL WHERE {lost}")
        target.execute(f"UPDATE replies SET command_id = NULL WHERE {lost}")
        target.execute(f"DELETE FROM actions WHERE {lost}")
    target.execute("COMMIT")
    report.row_counts = {
        table: int(query_number(f"SELECT count(*) FROM {table}")) for table in _table_names(target)
    }


def _move_aside(path: Path, now: float) -> str:
    """Rename the file, then its log; return the new name. Only the newest few copies are kept."""
    date = datetime.fromtimestamp(max(now, 0.0), UTC).strftime("%Y%m%dT%H%M%SZ")
    count, copy = 1, _sibling(path, f".damaged-{date}")
    while any(_sibling(copy, suffix).exists() for suffix in _SUFFIXES):
        count += 1
        copy = _sibling(path, f".damaged-{date}-{count}")
    for suffix in _SUFFIXES:
        with suppress(FileNotFoundError):
            _sibling(path, suffix).rename(_sibling(copy, suffix))
    # A clock that was set back may date this copy before the others.
    others = [each for each in damaged_copies(path) if each != copy]
    for old in others[: 1 - MAX_DAMAGED_COPIES]:
        _remove_files(old)
    return copy.name


@contextmanager
def _atomic_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Create a database that gets its name when the block ends: a crash leaves no incomplete file under it.

    Raises OSError, sqlite3.Error.
    """
    half = _sibling(path, ".half")
    for suffix in ("", "-journal"):
        _sibling(half, suffix).unlink(missing_ok=True)
    os.close(os.open(half, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(half, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = FULL")
        target.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        yield target
    half.replace(path)


def _table_names(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows]


def _sibling(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _remove_files(path: Path) -> None:
    for suffix in _SUFFIXES:
        _sibling(path, suffix).unlink(missing_ok=True)


def _fsync_directory(path: Path) -> None:
    """Make a rename survive a power cut: its directory must reach the disk (fsync(2))."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
