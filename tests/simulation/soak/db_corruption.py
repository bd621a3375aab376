"""A journal that is damaged between two lives: a worn card, a file system repaired, somebody's careless hand.

Whole pages, or all behind some place, are gone. Nothing is made of them that SQLite could take for a row:
no checksum guards a page, so nobody could tell. A cut write-ahead log looks like commits that never were,
which the power cuts have already.
"""

import contextlib
import shutil
import sqlite3
from dataclasses import dataclass

PAGE_BYTES = 4096
JOURNAL_NAME = "journal.db"
TABLES = ("commands", "replies", "actions", "ignored", "parts", "slots", "resets")
MAX_SINGLE_ROWS = 5_000
"""Rows that are asked for one by one where a table cannot be read at one go."""


@dataclass
class Corruption:
    """When, what was done, and what had been there."""

    at: float
    description: str
    rows_before: dict[str, list[dict]]


def corrupt_journal(folder, at, rng):
    """Damage the journal in that folder, which nobody has open; None where there is none yet."""
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
            what = f"pages {pages} of {size // PAGE_BYTES} overwritten"
        case "cut":
            length = rng.randint(1, max(1, size - 1))
            with path.open("r+b") as file:
                file.truncate(length)
            what = f"cut to {length} of {size} octets"
        case "header":
            with path.open("r+b") as file:
                file.write(rng.randbytes(100))
            what = "header overwritten"
        case "emptied":
            path.write_bytes(b"")
            what = "emptied"
    return Corruption(at, what, rows)


def _read_copy(folder):
    """What it holds, read from a copy: reading would make a checkpoint."""
    copy = folder / "before"
    copy.mkdir()
    for tail in ("", "-wal"):
        if (folder / (JOURNAL_NAME + tail)).exists():
            shutil.copyfile(folder / (JOURNAL_NAME + tail), copy / (JOURNAL_NAME + tail))
    try:
        return read_tables(copy / JOURNAL_NAME)
    finally:
        shutil.rmtree(copy)


def read_tables(path):
    """The rows of each table by its name; of a damaged one those that can be read."""
    journal = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    journal.row_factory = sqlite3.Row
    with contextlib.closing(journal):
        return {table: _read_table(journal, table) for table in TABLES}


def _read_table(journal, table):
    query = f"SELECT * FROM {table}"  # noqa: S608  (names from the line above)
    try:
        return [dict(row) for row in journal.execute(f"{query} ORDER BY 1")]
    except sqlite3.DatabaseError:
        rows = []
        for number in range(1, MAX_SINGLE_ROWS):
            with contextlib.suppress(sqlite3.DatabaseError):
                rows += [dict(row) for row in journal.execute(f"{query} WHERE rowid = ?", (number,))]
        return rows
