import os
import stat

import pytest

from agent.journal import queries
from agent.journal.files import JournalLocked
from agent.journal.journal import Journal, JournalUnusable


def test_the_file_is_for_the_agent_alone(journal_env):
    """People's messages stand in it."""
    assert stat.S_IMODE(journal_env.path.stat().st_mode) == 0o600


def test_it_survives_power_cuts(journal_env):
    """WAL and FULL: the pair that lost no acknowledged row when the power was cut at every write."""
    assert journal_env.query_column("PRAGMA journal_mode") == ["wal"]
    assert journal_env.query_column("PRAGMA synchronous") == [2]


def test_a_second_writer_is_told_who_holds_it(journal_env):
    """The sentence names the process."""
    with pytest.raises(JournalLocked, match=rf"process {os.getpid()}"):
        Journal(journal_env.path, lambda: 0, lambda: 0)
    assert journal_env.inbox.list_pending() == []


def test_a_lock_left_behind_blocks_nobody(journal_env):
    """The kernel lets go of it with its process."""
    journal_env.journal.close()
    assert journal_env.path.with_name("journal.db.lock").exists()
    journal_env.open()


@pytest.mark.parametrize(
    ("spoil", "part", "configuration"),
    [
        (lambda path: path.mkdir(), "Is a directory", True),
    ],
)
def test_an_impossible_file_is_one_sentence(tmp_path, spoil, part, configuration):
    """With the name of the file; nothing stays open or locked."""
    path = tmp_path / "journal.db"
    spoil(path)
    with pytest.raises(JournalUnusable, match=part) as caught:
        Journal(path, lambda: 0, lambda: 0)
    assert str(path) in str(caught.value)
    assert caught.value.is_configuration_error is configuration


def test_a_missing_folder_is_named(tmp_path):
    """The operator reads what to make."""
    with pytest.raises(JournalUnusable, match=r"its folder must exist"):
        Journal(tmp_path / "no" / "journal.db", lambda: 0, lambda: 0)


def test_a_newer_file_is_left_alone(journal_env):
    """An older program must not guess at columns it does not know."""
    journal_env.journal.connection.execute("PRAGMA user_version = 99")
    journal_env.journal.close()
    with pytest.raises(JournalUnusable, match="install the newer modem-agent again"):
        journal_env.open()


def test_a_failed_transaction_leaves_nothing(journal_env):
    """Not a row, and the slots freed meanwhile are still to be written."""
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


def test_people_may_look_while_the_agent_writes(journal_env, factories):
    """Read-only, newest last, times readable, octets as hex."""
    journal_env.store(factories.command(b"\x01\xff", sid=None))
    [row] = queries.fetch_newest(journal_env.path, queries.SELECT_COMMANDS, 10)
    assert row["body"] == "01FF"
    assert row["received"] == "2026-11-22T12:00:00+00:00"
    journal_env.store(factories.stray(), raw="AB")
    assert queries.fetch_newest(journal_env.path, queries.SELECT_IGNORED, 10)[0]["raw"] == "AB"
    assert queries.fetch_newest(journal_env.path, queries.SELECT_REPLIES, 10) == []


def test_a_folder_that_lets_nobody_look_is_one_sentence(journal_env, monkeypatch):
    """The service's own folder is closed to others: they are told, and not with a traceback."""

    def refuse(self):
        raise PermissionError

    monkeypatch.setattr(type(journal_env.path), "is_file", refuse)
    with pytest.raises(queries.JournalUnreadable, match="not for this user; use sudo"):
        queries.fetch_newest(journal_env.path, queries.SELECT_COMMANDS, 1)


def test_no_journal_is_one_sentence(tmp_path):
    """Looking makes no file."""
    with pytest.raises(queries.JournalUnreadable, match="there is no journal"):
        queries.fetch_newest(tmp_path / "journal.db", queries.SELECT_COMMANDS, 1)
    assert list(tmp_path.iterdir()) == []
