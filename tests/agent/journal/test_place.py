"""The journal's files are taken away or replaced while it is open: nothing that was acknowledged is lost."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path
from stat import S_ISDIR

import pytest

from agent.journal import lock, rescue
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.rows import Outcome

OTHER = "DC" + "1" * 32


@pytest.fixture
def desk(desk):
    """With a folder of its own."""
    desk.journal.close()
    desk.path = desk.path.with_name("state") / "journal.db"
    desk.path.parent.mkdir()
    return desk.open()


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
def test_what_was_deleted_is_put_back(desk, make, tails):
    """With the next commit, whole, and said once; the file is nobody else's to read."""
    desk.keep(make.command())
    remove(desk, *tails)
    assert desk.keep(make.command(sid=OTHER)).outcome is Outcome.NEW
    assert held(desk) == [make.command().sid, OTHER]
    [said] = desk.alarms
    assert "put back with all that it held" in said
    assert desk.path.stat().st_mode & 0o777 == 0o600
    assert rescue.kept_aside(desk.path) == []
    desk.restart()
    assert [desk.keep(make.command(sid=sid)).outcome for sid in (None, OTHER)] == [
        Outcome.NEW,
        Outcome.DOUBLE,
    ]
    assert len(desk.alarms) == 1


@pytest.mark.parametrize("what", ["a copy", "a stranger", "nothing in it"])
def test_what_stands_in_its_place_is_kept_aside(desk, make, what):
    """Ours is the truth: the other one may be of last week. It is not thrown away."""
    desk.keep(make.command())
    other = desk.path.with_name("other.db")
    if what == "a copy":
        shutil.copy(desk.path, other)
    else:
        other.write_bytes(b"" if what == "nothing in it" else b"a text of somebody")
    octets = other.read_bytes()
    other.rename(desk.path)
    desk.keep(make.command(sid=OTHER))
    assert held(desk) == [make.command().sid, OTHER]
    [aside] = rescue.kept_aside(desk.path)
    assert aside.read_bytes() == octets
    assert aside.name in desk.alarms[0]


def test_a_folder_that_was_made_anew(desk, make):
    """Somebody moved the whole folder away and made an empty one: the journal stands there again."""
    desk.keep(make.command())
    folder = desk.path.parent
    folder.rename(folder.with_name("moved"))
    folder.mkdir()
    desk.keep(make.command(sid=OTHER))
    assert held(desk) == [make.command().sid, OTHER]


def test_a_folder_that_is_gone_may_come_back(desk, make):
    """Nothing is committed meanwhile, so no message is deleted; then all goes on, in the same file."""
    desk.keep(make.command())
    folder = desk.path.parent
    folder.rename(folder.with_name("moved"))
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match=r"its folder .* is gone"):
            desk.keep(make.command(sid=OTHER))
    assert desk.inbox.counts()["received"] == 1
    folder.with_name("moved").rename(folder)
    assert desk.keep(make.command(sid=OTHER)).outcome is Outcome.NEW
    assert held(desk) == [make.command().sid, OTHER]
    assert desk.alarms == []


def test_another_disk_in_its_place_is_not_written_to(desk, make, monkeypatch):
    """A disk that is mounted over the folder hides the journal: that is for a person to say."""
    desk.keep(make.command())
    monkeypatch.setattr(desk.journal._place, "_disk", -1)
    remove(desk, "")
    with pytest.raises(sqlite3.OperationalError, match="another disk is mounted"):
        desk.keep(make.command(sid=OTHER))
    assert not desk.path.exists()


def test_an_overlay_is_one_disk(desk, make, monkeypatch):
    """There folders and files have device numbers of their own."""
    stat = Path.stat

    def overlaid(path, **named):
        found = stat(path, **named)
        folder = S_ISDIR(found.st_mode)
        return os.stat_result([*found[:2], found.st_dev + 1, *found[3:10]]) if folder else found

    monkeypatch.setattr(Path, "stat", overlaid)
    desk.restart()
    desk.keep(make.command())
    remove(desk, "")
    assert desk.keep(make.command(sid=OTHER)).outcome is Outcome.NEW
    assert held(desk) == [make.command().sid, OTHER]


@pytest.fixture
def linked(desk):
    """The same, named by a link that stands in another folder."""
    desk.journal.close()
    desk.real, desk.path = desk.path, desk.path.parent.with_name("link.db")
    desk.path.symlink_to(desk.real)
    desk.open()
    desk.path, desk.link = desk.real, desk.path
    return desk


def test_a_link_to_the_journal_is_followed(linked, make):
    """All files stand beside the journal itself, and its lock is met by whoever comes by another name."""
    linked.keep(make.command())
    linked.keep(make.command(sid=OTHER))
    assert linked.link.is_symlink()
    assert list(linked.link.parent.glob("link.db*")) == [linked.link]
    for name in (linked.link, linked.real):
        with pytest.raises(lock.JournalHeld):
            Journal(name, float, float)


def test_behind_a_link_it_is_put_back_too(linked, make):
    """The link stays what it is."""
    linked.keep(make.command())
    remove(linked, "", "-wal", ".lock")
    assert linked.keep(make.command(sid=OTHER)).outcome is Outcome.NEW
    assert linked.link.is_symlink()
    assert held(linked) == [make.command().sid, OTHER]


def test_a_damaged_one_behind_a_link_is_found_beside_it(linked):
    """`status` names what was kept aside."""
    linked.journal.close()
    linked.real.write_bytes(b"")
    linked.open()
    [aside] = rescue.kept_aside(linked.real)
    assert rescue.kept_aside(linked.link) == [aside]


@pytest.mark.parametrize("error", [OSError(errno.EMFILE, "too many"), sqlite3.OperationalError("no memory")])
def test_one_that_cannot_be_opened_after_it_was_put_back_is_opened_later(desk, make, monkeypatch, error):
    """The connection that held it is closed then; nothing is asked of it any more."""
    desk.keep(make.command())
    remove(desk, "")

    def refused():
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(desk.journal, "_open", refused)
        for _ in range(2):
            with pytest.raises(sqlite3.OperationalError, match=str(error.args[-1])):
                desk.keep(make.command(sid=OTHER))
    assert desk.keep(make.command(sid=OTHER)).outcome is Outcome.NEW
    assert held(desk) == [make.command().sid, OTHER]
    assert len(desk.alarms) == 1


def test_a_place_that_goes_while_it_is_opened_is_said(tmp_path, monkeypatch):
    """Like any other reason why it cannot be opened; the lock is let go."""

    def gone(path, _lock):
        raise FileNotFoundError(errno.ENOENT, "it is gone", str(path))

    monkeypatch.setattr("agent.journal.journal.Place", gone)
    with pytest.raises(JournalUnusable, match="it is gone"):
        Journal(tmp_path / "journal.db", float, float)
    os.close(lock.take(tmp_path / "journal.db"))


def test_the_lock_is_taken_again(desk, make):
    """A lock file that was deleted would let a second agent in."""
    desk.keep(make.command())
    remove(desk, ".lock")
    desk.keep(make.command(sid=OTHER))
    with pytest.raises(lock.JournalHeld):
        lock.take(desk.path)
    assert desk.alarms == []


def test_a_second_agent_that_came_in_meanwhile_is_not_fought(desk, make):
    """It is named, and nothing is committed as long as it is there."""
    desk.keep(make.command())
    remove(desk, ".lock")
    other = lock.take(desk.path)
    with pytest.raises(sqlite3.OperationalError, match=f"process {os.getpid()}"):
        desk.keep(make.command(sid=OTHER))
    os.close(other)
    assert desk.keep(make.command(sid=OTHER)).outcome is Outcome.NEW


def test_what_may_not_be_looked_at_is_there(desk, make, monkeypatch):
    """The right to enter the folder was taken away: what is open goes on."""
    stat = Path.stat

    def forbidden(path, **named):
        if path.is_relative_to(desk.path.parent):
            raise PermissionError(errno.EACCES, "no")
        return stat(path, **named)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", forbidden)
        assert desk.keep(make.command()).outcome is Outcome.NEW
    assert desk.alarms == []


@pytest.mark.parametrize("where", ["put_back", "_whole", "_sync_folder"])
def test_no_room_to_put_it_back(desk, make, monkeypatch, where):
    """It is tried again with the next commit; what is open stays so."""
    desk.keep(make.command())
    remove(desk, "", "-wal", "-shm", ".lock")
    step = getattr(rescue, where)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rescue, where, full)
    with pytest.raises(sqlite3.OperationalError, match="No space left"):
        desk.keep(make.command(sid=OTHER))
    assert desk.inbox.counts()["received"] == 1
    monkeypatch.setattr(rescue, where, step)
    desk.keep(make.command(sid=OTHER))
    assert held(desk) == [make.command().sid, OTHER]


def test_a_clean_stop_puts_it_back_as_well(desk, make):
    """What was acknowledged is there at the next start, also where nothing was committed after the deed."""
    desk.keep(make.command())
    remove(desk, "", "-wal", "-shm")
    desk.journal.close()
    desk.open()
    assert desk.keep(make.command()).outcome is Outcome.DOUBLE


@pytest.mark.parametrize("step", range(5))
def test_a_crash_on_the_way_loses_nothing_more(desk, make, monkeypatch, step):
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

    desk.keep(make.command())
    shutil.copy(desk.path, desk.path.with_name("other.db"))
    desk.path.with_name("other.db").rename(desk.path)
    with monkeypatch.context() as patch:
        for name in ("rename", "replace"):
            patch.setattr(f"pathlib.Path.{name}", dying(getattr(type(desk.path), name)))
        with pytest.raises(Killed):
            desk.keep(make.command(sid=OTHER))
    os.close(desk.journal._lock)  # as the kernel does it
    killed = desk.journal.connection
    desk.open()
    if step > 1:
        assert desk.keep(make.command()).outcome is Outcome.DOUBLE
    assert desk.keep(make.command(sid="DC" + "2" * 32)).outcome is Outcome.NEW
    killed.close()
