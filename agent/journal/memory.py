"""A journal in memory, for thousands of agents in one process. It is as long-lived as the `Journal` object.

It has the tables of a journal on a disk and runs the same statements. Each costs about 40 KiB.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path

from agent.journal import schema
from agent.journal.connection import Meta, read_meta
from agent.journal.journal import Journal

_CACHE_PAGES = 10
"""The cache is a second copy of pages that are in memory already."""


class NoFiles:
    """Nothing to lock and to check: no other process can reach the journal."""

    def record_opened(self) -> None:
        """Do nothing."""

    def find_changed(self) -> list[str]:
        """Return an empty list."""
        return []

    def lock_again(self) -> None:
        """Do nothing."""

    def release(self) -> None:
        """Do nothing."""


def open_memory_journal(
    path: Path,
    wall_clock: Callable[[], float],
    monotonic_clock: Callable[[], float],
    on_damage: Callable[[str], object] = lambda text: None,
) -> Journal:
    """Return an empty journal; `path` only names it, and the other parameters are those of `Journal`."""
    return Journal(
        path,
        wall_clock,
        monotonic_clock,
        on_damage,
        open_file=_open_empty,
        lock_files=lambda _: NoFiles(),
    )


def _open_empty(_: Path) -> tuple[sqlite3.Connection, Meta]:
    connection = sqlite3.connect(
        ":memory:",
        isolation_level=None,
        cached_statements=0,  # those of an agent take twice the memory of its journal
    )
    connection.deserialize(_make_template())
    connection.execute(f"PRAGMA cache_size = {_CACHE_PAGES}")
    return connection, read_meta(connection)


@cache
def _make_template() -> bytes:
    """Return the file of an empty journal: copying it is faster than making its tables."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {schema.PAGE_BYTES}")
        schema.migrate(connection)
        return connection.serialize()
