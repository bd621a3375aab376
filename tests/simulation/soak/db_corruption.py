"""Corrupts the journal file between two agent runs, as a worn SD card or a file-system repair does.

Whole pages, or everything after some offset, are destroyed. The new content never looks like a valid row:
SQLite pages have no checksum, so such an error could not be detected. A truncated write-ahead log is the same
as commits that were lost, which the power cuts cover.
"""

import contextlib
import shutil
import sqlite3
from dataclasses import dataclass

from agent.journal.schema import decode_text

PAGE_BYTES = 4096
JOURNAL_NAME = "journal.db"
TABLES = ("commands", "replies", "actions", "ignored", "parts", "slots", "resets")
MAX_SINGLE_ROWS = 5_000
"""Number of rows that are read one by one if a table cannot be read at once."""


@dataclass
class Corruption:
    """A corruption: its time, a description, and the rows before it."""

    at: float
    description: str
    rows_before: dict[str, list[dict]]


def corrupt_journal(folder, at, rng):
    """Corrupt the journal in this folder, which must not be open. Return None if there is no journal yet."""
    path = folder / JOURNAL_NAME
    if not path.exists():
        return None
    rows = _read_copy(folder)
    if rng.random() < 0.7:
        connection = sqlite3.connect(path)
        with contextlib.closing(connection):
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    match rng.choices(("pages", "cut", "header", "emptied"), (6, 2, 1, 1))[0]:
        case "pages":
            pages = sorted(
                rng.sample(
                    range(max(1, size // PAGE_BYTES)), min(rng.choice((1, 1, 2, 4)), size // PAGE_BYTES)
                )
            )
            filling = rng.choice((b"\x00", b"\xff", None))
            with path.open("r+b") as file:
                for page in pages:
                    file.seek(page * PAGE_BYTES)
                    file.write(
                        b"\xee" + rng.randbytes(PAGE_BYTES - 1) if filling is None else filling * PAGE_BYTES
                    )
            description = f"pages {pages} of {size // PAGE_BYTES} overwritten"
        case "cut":
            length = rng.randint(1, max(1, size - 1))
            with path.open("r+b") as file:
                file.truncate(length)
            description = f"cut to {length} of {size} octets"
        case "header":
            with path.open("r+b") as file:
                file.write(rng.randbytes(100))
            description = "header overwritten"
        case "emptied":
            path.write_bytes(b"")
            description = "emptied"
    return Corruption(at, description, rows)


def _read_copy(folder):
    """Return the rows of each table, read from a copy because reading would make a checkpoint."""
    copy = folder / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        if (folder / (JOURNAL_NAME + suffix)).exists():
            shutil.copyfile(folder / (JOURNAL_NAME + suffix), copy / (JOURNAL_NAME + suffix))
    try:
        return read_tables(copy / JOURNAL_NAME)
    finally:
        shutil.rmtree(copy)


def read_tables(path):
    """Return the rows of each table by its name; of a damaged table only those that can be read."""
    journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    journal.row_factory = sqlite3.Row
    journal.text_factory = decode_text
    with contextlib.closing(journal):
        return {table: _read_table(journal, table) for table in TABLES}


def _read_table(journal, table):
    query = f"SELECT * FROM {table}"  # noqa: S608  (names from `TABLES`)
    try:
        return [dict(row) for row in journal.execute(f"{query} ORDER BY 1")]
    except sqlite3.DatabaseError:
        rows = []
        for number in range(1, MAX_SINGLE_ROWS):
            with contextlib.suppress(sqlite3.DatabaseError):
                rows += [dict(row) for row in journal.execute(f"{query} WHERE rowid = ?", (number,))]
        return rows
