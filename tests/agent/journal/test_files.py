"""The journal's files are taken away or replaced while it is open: nothing that was acknowledged is lost."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.journal import repair
from agent.journal.files import JournalLocked, acquire_lock
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.models import StoreOutcome

OTHER = "DC" + "1" * 32


@pytest.fixture
def journal_env(journal_env):
    """With a folder of its own."""
    journal_env.journal.close()
    journal_env.path = journal_env.path.with_name("state") / "journal.db"
    journal_env.path.parent.mkdir()
    return journal_env.open()


def remove(desk, *tails):
    for tail in tails:
        desk.path.with_name(desk.path.name + tail).unlink()


def held(desk):
    """What a start after a kill would find: the file and its log, copied as they are."""
    found = desk.path.with_name("found")
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    for tail in ("", "-wal"):
        shutil.copy(desk.path.with_name(desk.path.name + tail), found / ("journal.db" + tail))
    connection = sqlite3.connect(found / "journal.db")
    try:
        return [sid for (sid,) in connection.execute("SELECT sid FROM commands ORDER BY id")]
    finally:
        connection.close()


@pytest.mark.parametrize("tails", [("", "-wal", "-shm"), ("",), ("-wal",), ("", "-wal", "-shm", ".lock")])
def test_what_was_deleted_is_put_back(journal_env, factories, tails):
    """With the next commit, whole, and said once; the file is nobody else's to read."""
    journal_env.store(factories.command())
    remove(journal_env, *tails)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert held(journal_env) == [factories.command().sid, OTHER]
    [said] = journal_env.damage_messages
    assert "put back with all that it held" in said
    assert journal_env.path.stat().st_mode & 0o777 == 0o600
    assert repair.damaged_copies(journal_env.path) == []
    journal_env.restart()
    assert [journal_env.store(factories.command(sid=sid)).outcome for sid in (None, OTHER)] == [
        StoreOutcome.NEW,
        StoreOutcome.DUPLICATE,
    ]
    assert len(journal_env.damage_messages) == 1


@pytest.mark.parametrize("what", ["a copy", "a stranger", "nothing in it"])
def test_what_stands_in_its_place_is_kept_aside(journal_env, factories, what):
    """Ours is the truth: the other one may be of last week. It is not thrown away."""
    journal_env.store(factories.command())
    other = journal_env.path.with_name("other.db")
    if what == "a copy":
        shutil.copy(journal_env.path, other)
    else:
        other.write_bytes(b"" if what == "nothing in it" else b"a text of somebody")
    octets = other.read_bytes()
    other.rename(journal_env.path)
    journal_env.store(factories.command(sid=OTHER))
    assert held(journal_env) == [factories.command().sid, OTHER]
    [aside] = repair.damaged_copies(journal_env.path)
    assert aside.read_bytes() == octets
    assert aside.name in journal_env.damage_messages[0]


def test_a_folder_that_was_made_anew(journal_env, factories):
    """Somebody moved the whole folder away and made an empty one: the journal stands there again."""
    journal_env.store(factories.command())
    folder = journal_env.path.parent
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    journal_env.store(factories.command(sid=OTHER))
    assert held(journal_env) == [factories.command().sid, OTHER]


def test_a_folder_that_is_gone_may_come_back(journal_env, factories):
    """Nothing is committed meanwhile, so no message is deleted; then all goes on, in the same file."""
    journal_env.store(factories.command())
    folder = journal_env.path.parent
    folder.rename(folder.with_name("moved"))
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match=r"its folder .* is gone"):
            journal_env.store(factories.command(sid=OTHER))
    assert journal_env.inbox.count_by_state()["received"] == 1
    folder.with_name("moved").rename(folder)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert held(journal_env) == [factories.command().sid, OTHER]
    assert journal_env.damage_messages == []


@pytest.fixture
def symlinked_journal(journal_env):
    """The same, named by a link that stands in another folder."""
    journal_env.journal.close()
    journal_env.real, journal_env.path = journal_env.path, journal_env.path.parent.with_name("link.db")
    journal_env.path.symlink_to(journal_env.real)
    journal_env.open()
    journal_env.path, journal_env.link = journal_env.real, journal_env.path
    return journal_env


def test_a_link_to_the_journal_is_followed(symlinked_journal, factories):
    """All files stand beside the journal itself, and its lock is met by whoever comes by another name."""
    symlinked_journal.store(factories.command())
    symlinked_journal.store(factories.command(sid=OTHER))
    assert symlinked_journal.link.is_symlink()
    assert list(symlinked_journal.link.parent.glob("link.db*")) == [symlinked_journal.link]
    for name in (symlinked_journal.link, symlinked_journal.real):
        with pytest.raises(JournalLocked):
            Journal(name, float, float)


def test_behind_a_link_it_is_put_back_too(symlinked_journal, factories):
    """The link stays what it is."""
    symlinked_journal.store(factories.command())
    remove(symlinked_journal, "", "-wal", ".lock")
    assert symlinked_journal.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert symlinked_journal.link.is_symlink()
    assert held(symlinked_journal) == [factories.command().sid, OTHER]


def test_a_damaged_one_behind_a_link_is_found_beside_it(symlinked_journal):
    """`status` names what was kept aside."""
    symlinked_journal.journal.close()
    symlinked_journal.real.write_bytes(b"")
    symlinked_journal.open()
    [aside] = repair.damaged_copies(symlinked_journal.real)
    assert repair.damaged_copies(symlinked_journal.link) == [aside]


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), sqlite3.OperationalError("no memory")])
def test_one_that_cannot_be_opened_after_it_was_put_back_is_opened_later(journal_env, factories, error):
    """The connection that held it is closed then; nothing is asked of it any more."""
    journal_env.store(factories.command())
    remove(journal_env, "")

    journal_env.open_error = error
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match=str(error.args[-1])):
            journal_env.store(factories.command(sid=OTHER))
    journal_env.open_error = None
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert held(journal_env) == [factories.command().sid, OTHER]
    assert len(journal_env.damage_messages) == 1


def test_error_of_the_first_open_releases_the_lock(journal_env):
    """The error is one sentence, and another start can lock the journal."""
    journal_env.journal.close()
    journal_env.open_error = FileNotFoundError(errno.ENOENT, "it is gone")
    with pytest.raises(JournalUnusable, match="it is gone"):
        journal_env.open()
    os.close(acquire_lock(journal_env.path))


def test_the_lock_is_taken_again(journal_env, factories):
    """A lock file that was deleted would let a second agent in."""
    journal_env.store(factories.command())
    remove(journal_env, ".lock")
    journal_env.store(factories.command(sid=OTHER))
    with pytest.raises(JournalLocked):
        acquire_lock(journal_env.path)
    assert journal_env.damage_messages == []


def test_a_second_agent_that_came_in_meanwhile_is_not_fought(journal_env, factories):
    """It is named, and nothing is committed as long as it is there."""
    journal_env.store(factories.command())
    remove(journal_env, ".lock")
    other = acquire_lock(journal_env.path)
    with pytest.raises(sqlite3.OperationalError, match=f"process {os.getpid()}"):
        journal_env.store(factories.command(sid=OTHER))
    os.close(other)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW


def test_directory_without_access_counts_as_unchanged(journal_env, factories, monkeypatch):
    """The right to enter the directory was taken away: the open files go on."""
    stat = Path.stat

    def forbidden(path, **options):
        if path.is_relative_to(journal_env.path.parent):
            raise PermissionError(errno.EACCES, "no")
        return stat(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", forbidden)
        assert journal_env.store(factories.command()).outcome is StoreOutcome.NEW
    assert journal_env.damage_messages == []


@pytest.mark.parametrize("where", ["restore_files", "_atomic_database", "_fsync_directory"])
def test_no_room_to_put_it_back(journal_env, factories, monkeypatch, where):
    """It is tried again with the next commit; what is open stays so."""
    journal_env.store(factories.command())
    remove(journal_env, "", "-wal", "-shm", ".lock")
    step = getattr(repair, where)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(repair, where, full)
    with pytest.raises(sqlite3.OperationalError, match="No space left"):
        journal_env.store(factories.command(sid=OTHER))
    assert journal_env.inbox.count_by_state()["received"] == 1
    monkeypatch.setattr(repair, where, step)
    journal_env.store(factories.command(sid=OTHER))
    assert held(journal_env) == [factories.command().sid, OTHER]


def test_a_clean_stop_puts_it_back_as_well(journal_env, factories):
    """What was acknowledged is there at the next start, also where nothing was committed after the deed."""
    journal_env.store(factories.command())
    remove(journal_env, "", "-wal", "-shm")
    journal_env.journal.close()
    journal_env.open()
    assert journal_env.store(factories.command()).outcome is StoreOutcome.DUPLICATE


@pytest.mark.parametrize("step", range(5))
def test_a_crash_on_the_way_loses_nothing_more(journal_env, factories, monkeypatch, step):
    """Once the new file is whole, the next start finishes what was cut short."""

    class Killed(BaseException):
        pass

    left = [step]

    def dying(really):
        def call(*arguments, **named):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return really(*arguments, **named)

        return call

    journal_env.store(factories.command())
    shutil.copy(journal_env.path, journal_env.path.with_name("other.db"))
    journal_env.path.with_name("other.db").rename(journal_env.path)
    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(f"pathlib.Path.{name}", dying(getattr(type(journal_env.path), name)))
        with pytest.raises(Killed):
            journal_env.store(factories.command(sid=OTHER))
    os.close(journal_env.journal._lock_fd)  # as the kernel does it
    killed = journal_env.journal.connection
    journal_env.open()
    if step > 1:
        assert journal_env.store(factories.command()).outcome is StoreOutcome.DUPLICATE
    assert journal_env.store(factories.command(sid="DC" + "2" * 32)).outcome is StoreOutcome.NEW
    killed.close()


def test_it_names_its_holder_and_nobody_before(tmp_path):
    """What an earlier one with a longer number has left is gone."""
    beside = tmp_path / "journal.db.lock"
    beside.write_text("98765432109\n")
    held = acquire_lock(tmp_path / "journal.db")
    try:
        assert beside.read_text() == f"{os.getpid()}\n"
        with pytest.raises(JournalLocked, match=rf"\(process {os.getpid()}\)"):
            acquire_lock(tmp_path / "journal.db")
    finally:
        os.close(held)
    os.close(acquire_lock(tmp_path / "journal.db"))
