"""Files of an open journal that are deleted or replaced are restored; the lock names its holder."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

import pytest
from file_operations import Killed

from agent.journal import repair
from agent.journal.files import JournalLocked, acquire_lock
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.models import StoreOutcome

OTHER = "DC" + "1" * 32


@pytest.fixture
def journal_env(journal_env):
    """A journal in a directory of its own."""
    journal_env.journal.close()
    journal_env.path = journal_env.path.with_name("state") / "journal.db"
    journal_env.path.parent.mkdir()
    return journal_env.open()


def remove(env, *tails):
    for tail in tails:
        env.path.with_name(env.path.name + tail).unlink()


def stored_sids(env):
    """Return the SIDs that a start after a kill would find, from a copy of the file and its log."""
    found = env.path.with_name("found")
    shutil.rmtree(found, ignore_errors=True)
    found.mkdir()
    for tail in ("", "-wal"):
        shutil.copy(env.path.with_name(env.path.name + tail), found / ("journal.db" + tail))
    connection = sqlite3.connect(found / "journal.db")
    try:
        return [sid for (sid,) in connection.execute("SELECT sid FROM commands ORDER BY id")]
    finally:
        connection.close()


@pytest.mark.parametrize("tails", [("", "-wal", "-shm"), ("",), ("-wal",), ("", "-wal", "-shm", ".lock")])
def test_deleted_files_are_restored(journal_env, factories, tails):
    """The next commit restores them with all rows and mode 0600, and logs it once."""
    journal_env.store(factories.command())
    remove(journal_env, *tails)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]
    [message] = journal_env.damage_messages
    assert "put back with all that it held" in message
    assert journal_env.path.stat().st_mode & 0o777 == 0o600
    assert repair.damaged_copies(journal_env.path) == []
    journal_env.restart()
    assert [journal_env.store(factories.command(sid=sid)).outcome for sid in (None, OTHER)] == [
        StoreOutcome.NEW,
        StoreOutcome.DUPLICATE,
    ]
    assert len(journal_env.damage_messages) == 1


@pytest.mark.parametrize("what", ["a copy", "another file", "an empty file"])
def test_replacement_is_kept_aside(journal_env, factories, what):
    """The open journal is restored: the replacement may be an old copy. It is not thrown away."""
    journal_env.store(factories.command())
    other = journal_env.path.with_name("other.db")
    if what == "a copy":
        shutil.copy(journal_env.path, other)
    else:
        other.write_bytes(b"" if what == "an empty file" else b"some text")
    octets = other.read_bytes()
    other.rename(journal_env.path)
    journal_env.store(factories.command(sid=OTHER))
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]
    [aside] = repair.damaged_copies(journal_env.path)
    assert aside.read_bytes() == octets
    assert aside.name in journal_env.damage_messages[0]


def test_journal_is_restored_into_a_new_directory(journal_env, factories):
    """The directory was moved away and an empty one was made."""
    journal_env.store(factories.command())
    folder = journal_env.path.parent
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    journal_env.store(factories.command(sid=OTHER))
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]


def test_missing_directory_stops_commits_until_it_is_back(journal_env, factories):
    """No message is deleted meanwhile; then the same file is used again."""
    journal_env.store(factories.command())
    folder = journal_env.path.parent
    folder.rename(folder.with_name("moved"))
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match=r"its folder .* is gone"):
            journal_env.store(factories.command(sid=OTHER))
    assert journal_env.inbox.count_by_state()["received"] == 1
    folder.with_name("moved").rename(folder)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]
    assert journal_env.damage_messages == []


@pytest.fixture
def symlinked_journal(journal_env):
    """A journal that is opened by a symlink in another directory."""
    journal_env.journal.close()
    journal_env.real, journal_env.path = journal_env.path, journal_env.path.parent.with_name("link.db")
    journal_env.path.symlink_to(journal_env.real)
    journal_env.open()
    journal_env.path, journal_env.link = journal_env.real, journal_env.path
    return journal_env


def test_symlink_to_the_journal_is_followed(symlinked_journal, factories):
    """All files are beside the journal itself, and its lock is found under both names."""
    symlinked_journal.store(factories.command())
    symlinked_journal.store(factories.command(sid=OTHER))
    assert symlinked_journal.link.is_symlink()
    assert list(symlinked_journal.link.parent.glob("link.db*")) == [symlinked_journal.link]
    for name in (symlinked_journal.link, symlinked_journal.real):
        with pytest.raises(JournalLocked):
            Journal(name, float, float)


def test_journal_behind_a_symlink_is_restored(symlinked_journal, factories):
    """The symlink stays."""
    symlinked_journal.store(factories.command())
    remove(symlinked_journal, "", "-wal", ".lock")
    assert symlinked_journal.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert symlinked_journal.link.is_symlink()
    assert stored_sids(symlinked_journal) == [factories.command().sid, OTHER]


def test_damaged_copies_behind_a_symlink_are_found(symlinked_journal):
    """`status` lists them under both names."""
    symlinked_journal.journal.close()
    symlinked_journal.real.write_bytes(b"")
    symlinked_journal.open()
    [aside] = repair.damaged_copies(symlinked_journal.real)
    assert repair.damaged_copies(symlinked_journal.link) == [aside]


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), sqlite3.OperationalError("no memory")])
def test_restored_journal_is_opened_later_after_an_error(journal_env, factories, error):
    """The connection that held it is closed and is not used any more."""
    journal_env.store(factories.command())
    remove(journal_env, "")

    journal_env.open_error = error
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError, match=str(error.args[-1])):
            journal_env.store(factories.command(sid=OTHER))
    journal_env.open_error = None
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]
    assert len(journal_env.damage_messages) == 1


def test_error_of_the_first_open_releases_the_lock(journal_env):
    """The error is one sentence, and another start can lock the journal."""
    journal_env.journal.close()
    journal_env.open_error = FileNotFoundError(errno.ENOENT, "it is gone")
    with pytest.raises(JournalUnusable, match="it is gone"):
        journal_env.open()
    os.close(acquire_lock(journal_env.path))


def test_deleted_lock_is_acquired_again(journal_env, factories):
    """Without it a second agent could start."""
    journal_env.store(factories.command())
    remove(journal_env, ".lock")
    journal_env.store(factories.command(sid=OTHER))
    with pytest.raises(JournalLocked):
        acquire_lock(journal_env.path)
    assert journal_env.damage_messages == []


def test_second_agent_with_the_lock_stops_commits(journal_env, factories):
    """The error names its process, and nothing is committed while it runs."""
    journal_env.store(factories.command())
    remove(journal_env, ".lock")
    other = acquire_lock(journal_env.path)
    with pytest.raises(sqlite3.OperationalError, match=f"process {os.getpid()}"):
        journal_env.store(factories.command(sid=OTHER))
    os.close(other)
    assert journal_env.store(factories.command(sid=OTHER)).outcome is StoreOutcome.NEW


def test_directory_without_access_counts_as_unchanged(journal_env, factories, monkeypatch):
    """The permission to enter the directory is withdrawn: the open files are used further."""
    stat = Path.stat

    def forbidden(path, **options):
        if path.is_relative_to(journal_env.path.parent):
            raise PermissionError(errno.EACCES, "no")
        return stat(path, **options)

    with monkeypatch.context() as patch:  # root, who runs some of the tests, may enter every directory
        patch.setattr(Path, "stat", forbidden)
        assert journal_env.store(factories.command()).outcome is StoreOutcome.NEW
    assert journal_env.damage_messages == []


@pytest.mark.parametrize("operations", range(5))
def test_restore_is_repeated_after_a_full_disk(journal_env, factories, file_operations, operations):
    """Whichever opening or renaming fails, the next commit restores it; the connection stays usable."""
    journal_env.store(factories.command())
    remove(journal_env, "", "-wal", "-shm")
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        file_operations.fail(journal_env.path.parent, operations, full, ("open", "os.rename")),
        pytest.raises(sqlite3.OperationalError, match="No space left"),
    ):
        journal_env.store(factories.command(sid=OTHER))
    assert journal_env.inbox.count_by_state()["received"] == 1
    journal_env.store(factories.command(sid=OTHER))
    assert stored_sids(journal_env) == [factories.command().sid, OTHER]


def test_close_restores_deleted_files(journal_env, factories):
    """Acknowledged rows are there at the next start, even if nothing was committed after the deletion."""
    journal_env.store(factories.command())
    remove(journal_env, "", "-wal", "-shm")
    journal_env.journal.close()
    journal_env.open()
    assert journal_env.store(factories.command()).outcome is StoreOutcome.DUPLICATE


@pytest.mark.parametrize("step", range(14))
def test_restore_survives_a_crash_at_any_step(journal_env, factories, file_operations, step):
    """Rows that were committed are there at the next start, and it accepts new ones."""
    journal_env.store(factories.command())
    shutil.copy(journal_env.path, journal_env.path.with_name("other.db"))
    journal_env.path.with_name("other.db").rename(journal_env.path)
    with file_operations.kill(journal_env.path.parent, step), pytest.raises(Killed):
        journal_env.store(factories.command(sid=OTHER))
    os.close(journal_env.journal._files._lock_fd)  # as the kernel does it
    killed = journal_env.journal.connection
    journal_env.open()
    assert journal_env.store(factories.command()).outcome is StoreOutcome.DUPLICATE
    assert journal_env.store(factories.command(sid="DC" + "2" * 32)).outcome is StoreOutcome.NEW
    killed.close()


def test_lock_names_its_holder(tmp_path):
    """A longer process id of an earlier holder is overwritten."""
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
