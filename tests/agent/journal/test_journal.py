import os
import stat

import pytest

from agent.journal import queries
from agent.journal.files import JournalLocked
from agent.journal.journal import Journal, JournalUnusable


def test_file_is_readable_for_its_owner_only(journal_env):
    """It contains private messages."""
    assert stat.S_IMODE(journal_env.path.stat().st_mode) == 0o600


def test_wal_and_full_synchronous_are_set(journal_env):
    """WAL and FULL: no acknowledged row was lost when the power was cut at every write."""
    assert journal_env.query_column("PRAGMA journal_mode") == ["wal"]
    assert journal_env.query_column("PRAGMA synchronous") == [2]


def test_second_writer_is_refused(journal_env):
    """The error names the process that holds the lock."""
    with pytest.raises(JournalLocked, match=rf"process {os.getpid()}"):
        Journal(journal_env.path, lambda: 0, lambda: 0)
    assert journal_env.inbox.list_pending() == []


def test_stale_lock_file_does_not_block(journal_env):
    """The kernel releases the lock when its process ends."""
    journal_env.journal.close()
    assert journal_env.path.with_name("journal.db.lock").exists()
    journal_env.open()


@pytest.mark.parametrize(
    ("spoil", "part", "configuration"),
    [
        (lambda path: path.mkdir(), "Is a directory", True),
    ],
)
def test_impossible_path_is_a_configuration_error(tmp_path, spoil, part, configuration):
    """The sentence names the file; nothing stays open or locked."""
    path = tmp_path / "journal.db"
    spoil(path)
    with pytest.raises(JournalUnusable, match=part) as caught:
        Journal(path, lambda: 0, lambda: 0)
    assert str(path) in str(caught.value)
    assert caught.value.is_configuration_error is configuration


def test_missing_directory_is_a_configuration_error(tmp_path):
    """The sentence names what to create."""
    with pytest.raises(JournalUnusable, match=r"its folder must exist"):
        Journal(tmp_path / "no" / "journal.db", lambda: 0, lambda: 0)


def test_newer_schema_is_refused(journal_env):
    """An older program must not guess the meaning of unknown columns."""
    journal_env.journal.connection.execute("PRAGMA user_version = 99")
    journal_env.journal.close()
    with pytest.raises(JournalUnusable, match="install the newer modem-agent again"):
        journal_env.open()


def test_failed_transaction_is_rolled_back(journal_env):
    """No row remains, and the freed slots are still to be written."""
    journal_env.journal.freed_slots.add(("ME", 1))

    def spoiled():
        with journal_env.journal.transaction():
            journal_env.journal.connection.execute(
                "INSERT INTO ignored (reason, raw, at_wall) VALUES ('x', '', 0)"
            )
            raise KeyError

    with pytest.raises(KeyError):
        spoiled()
    assert journal_env.query_column("SELECT count(*) FROM ignored") == [0]
    assert journal_env.journal.freed_slots == {("ME", 1)}


def test_queries_read_while_the_agent_writes(journal_env, factories):
    """Newest last, times as ISO 8601, octets as hex."""
    journal_env.store(factories.command(b"\x01\xff", sid=None))
    [row] = queries.fetch_newest(journal_env.path, queries.SELECT_COMMANDS, 10)
    assert row["body"] == "01FF"
    assert row["received"] == "2026-11-22T12:00:00+00:00"
    journal_env.store(factories.ignored(), raw="AB")
    assert queries.fetch_newest(journal_env.path, queries.SELECT_IGNORED, 10)[0]["raw"] == "AB"
    assert queries.fetch_newest(journal_env.path, queries.SELECT_REPLIES, 10) == []


def test_query_without_access_is_one_sentence(journal_env, monkeypatch):
    """The directory of the service is closed to other users: one sentence names the remedy."""

    def refuse(self):
        raise PermissionError

    # A patch, because root, who runs some of the tests, may read every directory.
    monkeypatch.setattr(type(journal_env.path), "is_file", refuse)
    with pytest.raises(queries.JournalUnreadable, match="only root and the service may read the journal"):
        queries.fetch_newest(journal_env.path, queries.SELECT_COMMANDS, 1)


def test_query_without_a_journal_is_one_sentence(tmp_path):
    """Reading creates no file."""
    with pytest.raises(queries.JournalUnreadable, match="there is no journal"):
        queries.fetch_newest(tmp_path / "journal.db", queries.SELECT_COMMANDS, 1)
    assert list(tmp_path.iterdir()) == []
