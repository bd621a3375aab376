"""The journal in memory."""

import sqlite3
from pathlib import Path

import pytest

from agent.journal import schema
from agent.journal.memory import open_memory_journal


def test_memory_journal_is_a_journal_without_files(tmp_path):
    """It has the tables of this version, commits and rolls back, and is independent of others."""
    first, second = (open_memory_journal(tmp_path / "journal.db", lambda: 0.0, lambda: 0.0) for _ in range(2))
    assert first.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)
    with first.transaction():
        first.execute("INSERT INTO ignored (reason, raw, at_wall) VALUES ('a', 'b', 1)")
    with pytest.raises(sqlite3.OperationalError):
        first.commit(None, lambda _: [first.execute(query) for query in ("DELETE FROM ignored", "x")])
    counts = [each.execute("SELECT count(*) FROM ignored").fetchone()[0] for each in (first, second)]
    first.close()
    second.close()
    assert counts == [1, 0]
    assert list(Path(tmp_path).iterdir()) == []
