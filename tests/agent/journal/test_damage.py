"""A damaged journal: kept aside, begun anew with what can be read, whenever it is noticed."""

import contextlib
import os
import random
import sqlite3

import pytest

from agent.journal import lock, rescue
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.rows import Outcome

PAGE = 4096
_FILLED = {}
"""File and log of a filled journal, by the number of its Commands."""


def sid(number):
    return f"DC{number:032x}"


def filled(desk, make, count=300):
    """Commands with SIDs, most of them done; the last two are open. Written once, then copied."""
    commands = [
        make.command(f"led {number}", sid=sid(number), at=desk.wall - count + number)
        for number in range(count)
    ]
    if count in _FILLED and count <= 300:  # a test with more needs the journal that wrote them
        desk.journal.close()
        for tail, octets in _FILLED[count].items():
            desk.path.with_name(desk.path.name + tail).write_bytes(octets)
        desk.open()
        desk.journal.connection.execute("PRAGMA synchronous = OFF")
        return commands
    desk.journal.connection.execute("PRAGMA synchronous = OFF")
    for number, command in enumerate(commands, 1):
        desk.keep(command, slot=("ME", number % 20), raw=f"{number:04X}")
        if number <= count - 2:
            desk.inbox.finish(number, "done")
    _FILLED[count] = {tail: desk.path.with_name(desk.path.name + tail).read_bytes() for tail in ("", "-wal")}
    return commands


def again(function, *arguments):
    """As whoever asks the journal does it: damage that shows fails one call, the next works on a new file."""
    try:
        return function(*arguments)
    except sqlite3.DatabaseError:
        return function(*arguments)


def aside(desk):
    return rescue.kept_aside(desk.path)


def close(desk, *, clean=True):
    """A clean end leaves no log; after a power cut all but the first page is in the log."""
    if clean:
        desk.journal.close()
        return
    left = {tail: desk.path.with_name(desk.path.name + tail).read_bytes() for tail in ("", "-wal")}
    desk.journal.close()
    for tail, octets in left.items():
        desk.path.with_name(desk.path.name + tail).write_bytes(octets)


def spoil(desk, at, octets):
    with desk.path.open("r+b") as file:
        file.seek(at)
        file.write(octets)


DAMAGE = {
    "no database": lambda desk: desk.path.write_bytes(b"no database at all" * 300),
    "zero length": lambda desk: desk.path.write_bytes(b""),
    "4 KiB of zeros": lambda desk: spoil(desk, 0, bytes(PAGE)),
    "a short piece": lambda desk: desk.path.write_bytes(desk.path.read_bytes()[:1000]),
    "cut to a half": lambda desk: desk.path.write_bytes(
        desk.path.read_bytes()[: desk.path.stat().st_size // 2]
    ),
    "rubbish": lambda desk: desk.path.write_bytes(random.Random(1).randbytes(50_000)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "with a log"])
def test_it_always_starts(desk, make, how, clean):
    """The damaged file is kept, with its log; it is said once; what comes next is committed and survives."""
    filled(desk, make)
    close(desk, clean=clean)
    DAMAGE[how](desk)
    damaged = desk.path.read_bytes()
    desk.open()
    again(desk.inbox.waiting)
    if clean or how == "zero length":
        [kept] = aside(desk)
        assert kept.read_bytes() == damaged
        assert clean or kept.with_name(kept.name + "-wal").stat().st_size > 0
        [said] = desk.alarms
        assert "damaged" in said
        assert kept.name in said
    elif not aside(desk):
        assert len(again(desk.column, "SELECT id FROM commands")) == 300  # its log holds every page
    said = len(desk.alarms)
    assert desk.path.stat().st_mode & 0o777 == 0o600
    assert desk.keep(make.command("new", sid=sid(10**6), at=desk.wall + 60)).outcome is Outcome.NEW
    desk.restart()
    assert len(desk.alarms) == said
    assert desk.keep(make.command("new", sid=sid(10**6), at=desk.wall + 60)).outcome is Outcome.DOUBLE
    left = (".new", ".half", ".salvage")
    assert [each.name for each in desk.path.parent.iterdir() if each.name.endswith(left)] == []


@pytest.mark.parametrize(
    ("how", "clean"),
    [("4 KiB of zeros", True), ("4 KiB of zeros", False), ("zero length", False), ("a short piece", False)],
)
def test_a_lost_head_costs_nothing(desk, make, how, clean):
    """The rest of the file, or its log, holds all rows: nothing runs twice, what waits is still to be run."""
    commands = filled(desk, make, 300 if clean else 20)
    close(desk, clean=clean)
    DAMAGE[how](desk)
    desk.open()
    assert [again(desk.keep, each).outcome for each in commands] == [Outcome.DOUBLE] * len(commands)
    assert [row.body for row in desk.inbox.waiting()] == [each.body for each in commands[-2:]]
    lost = "".join(desk.alarms).partition("not all could be read of ")[2]
    assert not {"commands", "seen", "slots"} & set(lost.replace(";", ",").split(", "))


@pytest.mark.parametrize("seed", range(12))
def test_what_can_be_read_is_kept(desk, make, seed):
    """Pages at random are rubbish: no Command that was done is run again."""
    chance = random.Random(seed)
    commands = filled(desk, make)
    close(desk)
    pages = desk.path.stat().st_size // PAGE
    for page in chance.sample(range(1, pages), 3):
        spoil(desk, page * PAGE, chance.choice([bytes(PAGE), chance.randbytes(PAGE)]))
    desk.open()
    outcomes = [again(desk.keep, each).outcome for each in commands]
    assert Outcome.NEW not in outcomes
    waiting = {row.body for row in again(desk.inbox.waiting)}
    assert waiting <= {"led 298", "led 299"}
    assert outcomes.count(Outcome.DOUBLE) >= 150 or any("seen" in said for said in desk.alarms)


@pytest.mark.parametrize("seed", range(12))
def test_it_may_be_cut_anywhere(desk, make, seed):
    """Nothing that was carried out is carried out again as long as the time stamps of others tell its age."""
    commands = filled(desk, make)
    close(desk)
    size = desk.path.stat().st_size
    with desk.path.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(1, size))
    desk.open()
    assert len(aside(desk)) == 1
    outcomes = [again(desk.keep, each).outcome for each in commands]
    if desk.journal.newest_timestamp and desk.journal.horizon:
        newest = [each.timestamp.timestamp() <= desk.journal.horizon for each in commands]
        assert all(outcome is not Outcome.NEW for outcome, old in zip(outcomes, newest, strict=True) if old)
    else:
        assert Outcome.NEW not in outcomes or "may be carried out again" in desk.alarms[0]


@pytest.mark.parametrize("kept", [24, 700, 2048, 4000])
def test_no_row_is_made_of_what_is_missing(desk, make, kept):
    """Of a page that is cut short SQLite reads the rest as zeros: its rows are lost, not changed."""
    filled(desk, make)
    close(desk)
    with sqlite3.connect(desk.path) as journal:
        before = dict(journal.execute("SELECT id, body FROM commands"))
    journal.close()
    os.truncate(desk.path, desk.path.read_bytes().rfind(b"led ") // PAGE * PAGE + kept)
    desk.open()
    assert "in the middle of a page" in desk.alarms[0]
    after = dict(desk.journal.execute("SELECT id, body FROM commands"))
    assert 0 < len(after) < len(before)
    assert after.items() <= before.items()


def test_an_old_use_of_the_log_holds_no_page(desk, make):
    """SQLite begins the log anew without making it shorter; what stands behind is not read."""
    filled(desk, make)
    desk.journal.execute("PRAGMA wal_checkpoint(RESTART)")
    desk.keep(make.command("led 300"))
    close(desk, clean=False)
    os.truncate(desk.path, desk.path.stat().st_size - 100)
    desk.open()
    assert "in the middle of a page" in desk.alarms[0]


def test_a_page_that_the_log_still_has_is_not_missing(desk, make):
    """The power may go while the log is brought into the file."""
    commands = filled(desk, make)
    close(desk, clean=False)
    with sqlite3.connect(desk.path) as journal:
        (pages,) = journal.execute("PRAGMA page_count").fetchone()
    log = desk.path.with_name(f"{desk.path.name}-wal").read_bytes()
    journal.close()
    desk.path.with_name(f"{desk.path.name}-wal").write_bytes(log)
    os.truncate(desk.path, (pages - 1) * PAGE + 100)
    desk.open()
    assert desk.alarms == []
    assert [desk.keep(each).outcome for each in commands] == [Outcome.DOUBLE] * len(commands)


def test_an_unknown_old_command_is_kept_and_not_run(desk, make):
    """Where the memory has holes, the newest time stamp that is known is how far it reaches."""
    filled(desk, make)
    (root,) = desk.column("SELECT rootpage FROM sqlite_master WHERE name = 'seen'")
    close(desk)
    spoil(desk, (root - 1) * PAGE, bytes(PAGE))
    desk.open()
    assert (
        again(desk.keep, make.command("old", sid=sid(77_777), at=desk.wall - 200)).outcome is Outcome.EXPIRED
    )
    assert desk.keep(make.command("young", sid=sid(77_778), at=desk.wall + 1)).outcome is Outcome.NEW
    assert "may be carried out again" in desk.alarms[0]
    assert "kept as expired" in desk.alarms[0]


def test_a_slot_whose_message_is_lost_is_not_deleted_unread(desk, make):
    """Its row says "known" only while the message itself is known."""
    filled(desk, make)
    slots = desk.column("SELECT raw FROM slots")
    assert slots
    (root,) = desk.column("SELECT rootpage FROM sqlite_master WHERE name = 'commands'")
    close(desk)
    spoil(desk, (root - 1) * PAGE, bytes(PAGE))
    desk.open()
    with pytest.raises(sqlite3.DatabaseError):
        desk.inbox.command(1)
    desk.inbox.waiting()
    assert desk.column("SELECT raw FROM slots") == []


def test_what_ran_stays_interrupted_and_what_is_queued_is_sent(desk, make):
    """States are taken over: a run is not begun anew because of damage."""
    commands = filled(desk, make, 10)
    desk.inbox.begin(9, "led", repeatable=False)
    close(desk)
    DAMAGE["4 KiB of zeros"](desk)
    desk.open()
    assert [row.id for row in desk.inbox.interrupted()] == [9]
    assert [row.id for row in desk.inbox.waiting()] == [10]
    assert desk.keep(commands[8]).outcome is Outcome.DOUBLE


@pytest.mark.parametrize("page", ["seen", "commands", "clock", "slots"])
def test_damage_may_show_while_it_runs(desk, make, page):
    """The next try works on a new file; numbers are not given twice, so what runs is not mistaken."""
    filled(desk, make, 2000)
    (root,) = desk.column("SELECT rootpage FROM sqlite_master WHERE name = ?", page)
    desk.journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    desk.journal.connection.execute("PRAGMA cache_size = 0")
    spoil(desk, (root - 1) * PAGE, b"\7" * PAGE)
    desk.journal.connection.execute("PRAGMA shrink_memory")
    later = make.command("later", sid=sid(10**6), at=desk.wall + 60)
    for _ in range(3):
        try:
            kept = desk.keep(later, slot=("ME", 21), raw="AA")
            break
        except sqlite3.DatabaseError:
            continue
    assert kept.outcome in (Outcome.NEW, Outcome.KNOWN)
    assert len(aside(desk)) == len(desk.alarms) == 1
    assert desk.column("SELECT max(id) FROM commands") == [2001]
    assert desk.keep(make.command("led 5", sid=sid(5))).outcome in (Outcome.DOUBLE, Outcome.EXPIRED)


def test_a_disk_that_damages_it_again_is_not_asked_in_a_loop(desk, make, monkeypatch):
    """Once, and not again for ten minutes: meanwhile nothing is committed."""
    renewed = []
    monkeypatch.setattr(rescue, "renew", lambda *_: renewed.append(1) or rescue.Rescued(desk.path, ""))
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    for _ in range(5):
        desk.journal._judge(error)
        if not renewed:
            desk.inbox.counts()
            continue
        with pytest.raises(sqlite3.DatabaseError, match="again and again"):
            desk.inbox.counts()
    assert len(renewed) == 1
    desk.pass_time(601)
    desk.inbox.counts()
    assert len(renewed) == 2


def test_a_crash_on_the_way_is_followed_by_the_same_again(desk, make, monkeypatch):
    """Whenever it comes, the next start has the memory."""
    commands = filled(desk, make, 20)
    close(desk, clean=False)
    DAMAGE["4 KiB of zeros"](desk)
    steps = 0

    class Killed(BaseException):
        pass

    def dying(function):
        def step(*arguments, **named):
            nonlocal steps
            if steps == 0:
                raise Killed
            steps -= 1
            return function(*arguments, **named)

        return step

    monkeypatch.setattr("pathlib.Path.rename", dying(type(desk.path).rename))
    monkeypatch.setattr("pathlib.Path.replace", dying(type(desk.path).replace))
    held = []
    take = lock.take
    monkeypatch.setattr(lock, "take", lambda path: held.append(take(path)) or held[-1])
    killed = 0
    for survived in range(9):
        steps = survived
        try:
            desk.open()
        except Killed:
            os.close(held.pop())  # as the kernel does it
            killed += 1
            continue
        break
    assert killed >= 3
    assert [again(desk.keep, each).outcome for each in commands] == [Outcome.DOUBLE] * 20


def test_half_of_a_new_file_is_never_taken_for_it(desk, make, monkeypatch):
    """A crash while rows are copied, where nothing but a log stands in the journal's place."""
    commands = filled(desk, make, 20)
    close(desk, clean=False)
    desk.path.unlink()

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(rescue, "_settle", killed)
        held = lock.take(desk.path)
        patch.setattr(lock, "take", lambda _: held)
        with pytest.raises(Killed):
            desk.open()
        os.close(held)  # as the kernel does it
    desk.open()
    assert "only its log is left" in desk.alarms[0]
    assert [again(desk.keep, each).outcome for each in commands] == [Outcome.DOUBLE] * 20


def test_the_newest_damaged_one_is_kept_whatever_the_clock_says(desk):
    """A device without a battery clock may date it before those that are kept already."""
    for day in (4, 5, 6, 0):
        desk.wall = 1e9 + 86400 * day
        desk.journal.close()
        desk.path.write_bytes(b"no database, day %d" % day * 300)
        desk.open()
    assert [each.read_bytes()[:18] for each in aside(desk)] == [b"no database, day %d" % n for n in (0, 5, 6)]


def test_only_the_newest_damaged_ones_are_kept(desk, make):
    """A card that goes bad does not fill itself."""
    for _ in range(5):
        desk.pass_time(1)
        desk.journal.close()
        DAMAGE["rubbish"](desk)
        desk.open()
    assert len(aside(desk)) == rescue.KEPT_ASIDE


@pytest.mark.parametrize("code", ["SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_PERM"])
def test_what_is_in_use_or_full_is_not_damaged(desk, code):
    """Nothing is set aside, no connection is made anew."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = getattr(sqlite3, code)
    connection = desk.journal.connection
    desk.journal._judge(error)
    desk.inbox.counts()
    assert desk.journal.connection is connection
    assert aside(desk) == []


def test_a_locked_journal_is_not_damaged(desk, monkeypatch):
    """Somebody else's tool holds it: one sentence, nothing is renamed."""
    desk.journal.close()
    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: real(*args, **named, timeout=0.01))
    other = real(desk.path)
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE clock SET running = 7")
    with pytest.raises(JournalUnusable, match="locked"):
        Journal(desk.path, lambda: 0, lambda: 0)
    other.close()
    assert aside(desk) == []


@pytest.mark.parametrize("step", range(1, 8))
def test_a_first_start_that_is_cut_off_alarms_nobody(tmp_path, monkeypatch, step):
    """Nothing was ever in it: the next start begins, and says nothing of damage."""
    left = [step]

    class Cut(BaseException):
        pass

    def cutting(really):
        def cut(*arguments, **named):
            left[0] -= 1
            if left[0] == 0:
                raise Cut
            return really(*arguments, **named)

        return cut

    alarms = []
    path = tmp_path / "journal.db"
    with monkeypatch.context() as patch:
        for owner, name in (
            (rescue.os, "open"),
            (rescue.os, "close"),
            (rescue.sqlite3, "connect"),
            (rescue.schema, "migrate"),
            (rescue.os, "fsync"),
        ):
            patch.setattr(owner, name, cutting(getattr(owner, name)))
        with contextlib.suppress(Cut):
            rescue.begin(path)
    Journal(path, lambda: 1e9, lambda: 0.0, alarms.append).close()
    assert alarms == []
    assert rescue.kept_aside(path) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["journal.db", "journal.db.lock"]
