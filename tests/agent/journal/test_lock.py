"""The lock beside a journal: who holds it stands in it."""

import os

import pytest

from agent.journal import lock


def test_it_names_its_holder_and_nobody_before(tmp_path):
    """What an earlier one with a longer number has left is gone."""
    beside = tmp_path / "journal.db.lock"
    beside.write_text("98765432109\n")
    held = lock.acquire(tmp_path / "journal.db")
    try:
        assert beside.read_text() == f"{os.getpid()}\n"
        with pytest.raises(lock.JournalLocked, match=rf"\(process {os.getpid()}\)"):
            lock.acquire(tmp_path / "journal.db")
    finally:
        os.close(held)
    os.close(lock.acquire(tmp_path / "journal.db"))
