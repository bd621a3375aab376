import os
import stat

import pytest

from agent.journal import reading
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.lock import JournalHeld


def test_the_file_is_for_the_agent_alone(desk):
    """People's messages stand in it."""
    assert stat.S_IMODE(desk.path.stat().st_mode) == 0o600


def test_it_survives_power_cuts(desk):
    """WAL and FULL: the pair that lost no acknowledged row when the power was cut at every write."""
    assert desk.column("PRAGMA journal_mode") == ["wal"]
    assert desk.column("PRAGMA synchronous") == [2]


def test_a_second_writer_is_told_who_holds_it(desk):
    """The sentence names the process."""
    with pytest.raises(JournalHeld, match=rf"process {os.getpid()}"):
        Journal(desk.path, lambda: 0, lambda: 0)
    assert desk.inbox.waiting() == []


def test_a_lock_left_behind_blocks_nobody(desk):
    """The kernel lets go of it with its process."""
    desk.journal.close()
    assert desk.path.with_name("journal.db.lock").exists()
    desk.open()


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
    assert caught.value.configuration is configuration


def test_a_missing_folder_is_named(tmp_path):
    """The operator reads what to make."""
    with pytest.raises(JournalUnusable, match=r"its folder must exist"):
        Journal(tmp_path / "no" / "journal.db", lambda: 0, lambda: 0)


def test_a_newer_file_is_left_alone(desk):
    """An older program must not guess at columns it does not know."""
    desk.journal.connection.execute("PRAGMA user_version = 99")
    desk.journal.close()
    with pytest.raises(JournalUnusable, match="install the newer modem-agent again"):
        desk.open()


def test_a_failed_transaction_leaves_nothing(desk):
    """Not a row, and the slots freed meanwhile are still to be written."""
    desk.journal.freed.add(("ME", 1))

    def spoiled():
        with desk.journal.transaction():
            desk.journal.connection.execute("INSERT INTO strays (reason, raw, at_wall) VALUES ('x', '', 0)")
            raise KeyError

    with pytest.raises(KeyError):
        spoiled()
    assert desk.column("SELECT count(*) FROM strays") == [0]
    assert desk.journal.freed == {("ME", 1)}


def test_people_may_look_while_the_agent_writes(desk, make):
    """Read-only, newest last, times readable, octets as hex."""
    desk.keep(make.command(b"\x01\xff", sid=None))
    [row] = reading.rows(desk.path, reading.INBOX, 10)
    assert row["body"] == "01FF"
    assert row["received"] == "2026-11-22T12:00:00+00:00"
    desk.keep(make.stray(), raw="AB")
    assert reading.rows(desk.path, reading.STRAYS, 10)[0]["raw"] == "AB"
    assert reading.rows(desk.path, reading.OUTBOX, 10) == []


def test_a_folder_that_lets_nobody_look_is_one_sentence(desk, monkeypatch):
    """The service's own folder is closed to others: they are told, and not with a traceback."""

    def refuse(self):
        raise PermissionError

    monkeypatch.setattr(type(desk.path), "is_file", refuse)
    with pytest.raises(reading.Unreadable, match="not for this user; use sudo"):
        reading.rows(desk.path, reading.INBOX, 1)


def test_no_journal_is_one_sentence(tmp_path):
    """Looking makes no file."""
    with pytest.raises(reading.Unreadable, match="there is no journal"):
        reading.rows(tmp_path / "journal.db", reading.INBOX, 1)
    assert list(tmp_path.iterdir()) == []
