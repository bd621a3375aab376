"""A damaged journal is kept aside and replaced by a new one, at the start and while it is open."""

import contextlib
import os
import random
import sqlite3
from functools import partial

import pytest
from file_operations import Killed

from agent.journal import repair, schema
from agent.journal.connection import open_journal_file
from agent.journal.journal import Journal, JournalUnusable
from agent.journal.models import StoreOutcome

PAGE = schema.PAGE_BYTES
_FILLED = {}
"""File and log of a filled journal, by the number of its Commands: written once, then copied."""


def sid(number):
    return f"DC{number:032x}"


def filled_journal(env, factories, count=300):
    """Store Commands with SIDs, all done except the last two; return them."""
    commands = [
        factories.command(f"led {number}", sid=sid(number), at=env.wall - count + number)
        for number in range(count)
    ]
    if count in _FILLED and count <= 300:  # a test with more needs the journal that wrote them
        env.journal.close()
        for tail, octets in _FILLED[count].items():
            env.path.with_name(env.path.name + tail).write_bytes(octets)
        env.open()
        env.journal.connection.execute("PRAGMA synchronous = OFF")
        return commands
    env.journal.connection.execute("PRAGMA synchronous = OFF")
    for number, command in enumerate(commands, 1):
        env.store(command, slot=("ME", number % 20), raw=f"{number:04X}")
        if number <= count - 2:
            env.inbox.finish(number, "done")
    _FILLED[count] = {tail: env.path.with_name(env.path.name + tail).read_bytes() for tail in ("", "-wal")}
    return commands


def retry_once(function, *arguments):
    """Call the function again after damage, as the agent does: the second call works on a new file."""
    try:
        return function(*arguments)
    except sqlite3.DatabaseError:
        return function(*arguments)


def damaged_copies(env):
    return repair.damaged_copies(env.path)


def close(env, *, clean=True):
    """Close the journal. If not `clean`, leave the log as after a power cut, with all but the first page."""
    if clean:
        env.journal.close()
        return
    left = {tail: env.path.with_name(env.path.name + tail).read_bytes() for tail in ("", "-wal")}
    env.journal.close()
    for tail, octets in left.items():
        env.path.with_name(env.path.name + tail).write_bytes(octets)


def overwrite(env, at, octets):
    with env.path.open("r+b") as file:
        file.seek(at)
        file.write(octets)


def overwrite_table(env, table, octets=bytes(PAGE)):
    """Overwrite the first page of a table in the closed file."""
    with contextlib.closing(sqlite3.connect(f"{env.path.as_uri()}?mode=ro", uri=True)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        (root,) = connection.execute(query, (table,)).fetchone()
    overwrite(env, (root - 1) * PAGE, octets)


def pages_with_list_of_tables(folder):
    """The pages of a new journal in which no table begins hold its list of tables."""
    repair.create(folder / "new.db")
    with contextlib.closing(sqlite3.connect(folder / "new.db")) as connection:
        roots = {root for (root,) in connection.execute("SELECT rootpage FROM sqlite_master")}
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return set(range(1, pages + 1)) - roots


DAMAGE = {
    "no database": lambda env: env.path.write_bytes(b"no database at all" * 300),
    "zero length": lambda env: env.path.write_bytes(b""),
    "4 KiB of zeros": lambda env: overwrite(env, 0, bytes(PAGE)),
    "a short piece": lambda env: env.path.write_bytes(env.path.read_bytes()[:1000]),
    "cut to a half": lambda env: env.path.write_bytes(env.path.read_bytes()[: env.path.stat().st_size // 2]),
    "garbage": lambda env: env.path.write_bytes(random.Random(1).randbytes(50_000)),
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "with a log"])
def test_agent_starts_with_any_damage(journal_env, factories, how, clean):
    """The damaged file is kept with its log, one line is logged, and what is committed next survives."""
    filled_journal(journal_env, factories)
    close(journal_env, clean=clean)
    DAMAGE[how](journal_env)
    damaged = journal_env.path.read_bytes()
    journal_env.open()
    retry_once(journal_env.inbox.list_pending)
    if clean or how == "zero length":
        [kept] = damaged_copies(journal_env)
        assert kept.read_bytes() == damaged
        assert clean or kept.with_name(kept.name + "-wal").stat().st_size > 0
        [message] = journal_env.damage_messages
        assert "damaged" in message
        assert kept.name in message
    elif not damaged_copies(journal_env):
        assert (
            len(retry_once(journal_env.query_column, "SELECT id FROM commands")) == 300
        )  # its log holds every page
    message_count = len(journal_env.damage_messages)
    assert journal_env.path.stat().st_mode & 0o777 == 0o600
    assert (
        journal_env.store(factories.command("new", sid=sid(10**6), at=journal_env.wall + 60)).outcome
        is StoreOutcome.NEW
    )
    journal_env.restart()
    assert len(journal_env.damage_messages) == message_count
    assert (
        journal_env.store(factories.command("new", sid=sid(10**6), at=journal_env.wall + 60)).outcome
        is StoreOutcome.DUPLICATE
    )
    left = (".new", ".half", ".salvage")
    assert [each.name for each in journal_env.path.parent.iterdir() if each.name.endswith(left)] == []


def test_unreadable_list_of_tables_loses_all_rows(journal_env, factories):
    """No row can be read without it. The file is kept aside, and the log names the consequences."""
    filled_journal(journal_env, factories, 20)
    close(journal_env)
    DAMAGE["4 KiB of zeros"](journal_env)
    journal_env.open()
    assert journal_env.inbox.list_pending() == []
    [message] = journal_env.damage_messages
    assert "0 Commands, 0 replies and 0 deduplication entries" in message
    assert "may be run again" in message


@pytest.mark.parametrize("lost", ["missing", "empty"])
def test_log_of_a_lost_file_is_kept(journal_env, factories, lost):
    """SQLite would delete it. Nothing is read of it, and it is renamed with the damaged file."""
    filled_journal(journal_env, factories, 20)
    close(journal_env, clean=False)
    log = journal_env.path.with_name("journal.db-wal").read_bytes()
    journal_env.path.unlink()
    if lost == "empty":
        journal_env.path.touch()
    journal_env.open()
    [copy] = journal_env.path.parent.glob("journal.db.damaged-*-wal")
    assert copy.read_bytes() == log
    assert ("only its log is left" if lost == "missing" else "it is empty") in journal_env.damage_messages[0]


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_rows_on_readable_pages_are_kept(journal_env, tmp_path, factories, seed):
    """Pages at random are garbage: no Command that was done is run again."""
    chance = random.Random(seed)
    commands = filled_journal(journal_env, factories)
    close(journal_env)
    pages = set(range(1, journal_env.path.stat().st_size // PAGE + 1)) - pages_with_list_of_tables(tmp_path)
    for page in chance.sample(sorted(pages), 3):
        overwrite(journal_env, (page - 1) * PAGE, chance.choice([bytes(PAGE), chance.randbytes(PAGE)]))
    journal_env.open()
    outcomes = [retry_once(journal_env.store, each).outcome for each in commands]
    assert StoreOutcome.NEW not in outcomes
    waiting = {row.body for row in retry_once(journal_env.inbox.list_pending)}
    assert waiting <= {"led 298", "led 299"}
    assert outcomes.count(StoreOutcome.DUPLICATE) >= 150 or any(
        "dedup" in message for message in journal_env.damage_messages
    )


@pytest.mark.long
@pytest.mark.parametrize("seed", range(12))
def test_cut_file_runs_no_old_command_again(journal_env, factories, seed):
    """No Command that is older than the deduplication horizon is run, wherever the file was cut."""
    commands = filled_journal(journal_env, factories)
    close(journal_env)
    size = journal_env.path.stat().st_size
    with journal_env.path.open("r+b") as file:
        file.truncate(random.Random(seed).randrange(1, size))
    journal_env.open()
    assert len(damaged_copies(journal_env)) == 1
    outcomes = [retry_once(journal_env.store, each).outcome for each in commands]
    if journal_env.journal.meta.newest_timestamp and journal_env.journal.meta.dedup_horizon:
        newest = [each.timestamp.timestamp() <= journal_env.journal.meta.dedup_horizon for each in commands]
        assert all(
            outcome is not StoreOutcome.NEW for outcome, old in zip(outcomes, newest, strict=True) if old
        )
    else:
        assert StoreOutcome.NEW not in outcomes or "may be run again" in journal_env.damage_messages[0]


@pytest.mark.long
@pytest.mark.parametrize("kept", [24, 100, 256, 500])
def test_torn_page_yields_no_rows(journal_env, factories, kept):
    """SQLite reads the rest of a page that is cut short as zeros: its rows are lost, not changed."""
    filled_journal(journal_env, factories)
    close(journal_env)
    with sqlite3.connect(journal_env.path) as journal:
        before = dict(journal.execute("SELECT id, body FROM commands"))
    journal.close()
    os.truncate(journal_env.path, journal_env.path.read_bytes().rfind(b"led ") // PAGE * PAGE + kept)
    journal_env.open()
    assert "in the middle of a page" in journal_env.damage_messages[0]
    after = dict(journal_env.journal.execute("SELECT id, body FROM commands"))
    assert 0 < len(after) < len(before)
    assert after.items() <= before.items()


@pytest.mark.parametrize("is_logged", [True, False])
def test_torn_page_beside_a_log(journal_env, factories, is_logged):
    """A crash during a checkpoint tears a page that the log holds. Any other torn page is damage."""
    filled_journal(journal_env, factories)
    close(journal_env)
    journal_env.open()
    for number in range(300, 330):
        journal_env.store(factories.command(f"led {number}", sid=sid(number), at=journal_env.wall))
    if is_logged:
        journal_env.journal.execute("VACUUM")  # writes every page
    close(journal_env, clean=False)
    log = journal_env.path.with_name("journal.db-wal").read_bytes()
    logged = {int.from_bytes(log[at : at + 4]) for at in range(32, len(log), 24 + PAGE)}
    pages = range(1, journal_env.path.stat().st_size // PAGE + 1)
    torn = max(page for page in pages if (page in logged) == is_logged)
    assert set(range(torn + 1, len(pages) + 1)) <= logged
    os.truncate(journal_env.path, (torn - 1) * PAGE + 24)
    journal_env.open()
    assert any("in the middle of a page" in text for text in journal_env.damage_messages) != is_logged
    count = journal_env.journal.execute("SELECT count(*) FROM commands").fetchone()[0]
    assert count == 330 if is_logged else 0 < count < 330


def test_torn_page_in_the_log_is_not_damage(journal_env, factories):
    """The power may fail while SQLite copies the log into the file."""
    commands = filled_journal(journal_env, factories)
    close(journal_env, clean=False)
    with sqlite3.connect(journal_env.path) as journal:
        (pages,) = journal.execute("PRAGMA page_count").fetchone()
    log = journal_env.path.with_name(f"{journal_env.path.name}-wal").read_bytes()
    journal.close()
    journal_env.path.with_name(f"{journal_env.path.name}-wal").write_bytes(log)
    os.truncate(journal_env.path, (pages - 1) * PAGE + 100)
    journal_env.open()
    assert journal_env.damage_messages == []
    assert [journal_env.store(each).outcome for each in commands] == [StoreOutcome.DUPLICATE] * len(commands)


def test_lost_dedup_entries_raise_the_horizon(journal_env, factories):
    """An unknown Command not newer than the newest known time stamp is stored as expired."""
    filled_journal(journal_env, factories)
    (root,) = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name = 'dedup'")
    close(journal_env)
    overwrite(journal_env, (root - 1) * PAGE, bytes(PAGE))
    journal_env.open()
    assert (
        retry_once(
            journal_env.store, factories.command("old", sid=sid(77_777), at=journal_env.wall - 200)
        ).outcome
        is StoreOutcome.EXPIRED
    )
    assert (
        journal_env.store(factories.command("young", sid=sid(77_778), at=journal_env.wall + 1)).outcome
        is StoreOutcome.NEW
    )
    assert "may be run again" in journal_env.damage_messages[0]
    assert "kept as expired" in journal_env.damage_messages[0]


def test_lost_message_clears_its_slot(journal_env, factories):
    """A slot counts as stored only while its message is known, so it is read again."""
    filled_journal(journal_env, factories)
    slots = journal_env.query_column("SELECT raw FROM slots")
    assert slots
    (root,) = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name = 'commands'")
    close(journal_env)
    overwrite(journal_env, (root - 1) * PAGE, bytes(PAGE))
    journal_env.open()
    with pytest.raises(sqlite3.DatabaseError):
        journal_env.inbox.get_pending(1)
    journal_env.inbox.list_pending()
    assert journal_env.query_column("SELECT raw FROM slots") == []


def test_states_survive_damage(journal_env, factories):
    """A running Command is interrupted and a received one is run: damage starts no run again."""
    commands = filled_journal(journal_env, factories, 10)
    journal_env.inbox.mark_running(9, "led", repeatable=False)
    close(journal_env)
    overwrite_table(journal_env, "meta")
    journal_env.open()
    assert [row.id for row in journal_env.inbox.list_running()] == [9]
    assert [row.id for row in journal_env.inbox.list_pending()] == [10]
    assert journal_env.store(commands[8]).outcome is StoreOutcome.DUPLICATE


@pytest.mark.parametrize("page", ["dedup", "commands", "meta", "slots"])
def test_damage_of_an_open_file_is_repaired(journal_env, factories, page):
    """The next call works on a new file, and no id is used twice."""
    filled_journal(journal_env, factories, 2000)
    (root,) = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name = ?", page)
    journal_env.journal.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal_env.journal.connection.execute("PRAGMA cache_size = 0")
    overwrite(journal_env, (root - 1) * PAGE, b"\7" * PAGE)
    journal_env.journal.connection.execute("PRAGMA shrink_memory")
    later = factories.command("later", sid=sid(10**6), at=journal_env.wall + 60)
    for _ in range(3):
        try:
            kept = journal_env.store(later, slot=("ME", 21), raw="AA")
            break
        except sqlite3.DatabaseError:
            continue
    assert kept.outcome in (StoreOutcome.NEW, StoreOutcome.ALREADY_STORED)
    assert len(damaged_copies(journal_env)) == len(journal_env.damage_messages) == 1
    assert journal_env.query_column("SELECT max(id) FROM commands") == [2001]
    assert journal_env.store(factories.command("led 5", sid=sid(5))).outcome in (
        StoreOutcome.DUPLICATE,
        StoreOutcome.EXPIRED,
    )


def test_repeated_damage_is_repaired_every_ten_minutes(journal_env):
    """Meanwhile nothing is committed."""
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    for _ in range(5):
        journal_env.journal._record_failure(error)
        if not journal_env.damage_messages:
            journal_env.inbox.count_by_state()
            continue
        with pytest.raises(sqlite3.DatabaseError, match="again and again"):
            journal_env.inbox.count_by_state()
    assert len(journal_env.damage_messages) == len(damaged_copies(journal_env)) == 1
    journal_env.advance(601)
    journal_env.inbox.count_by_state()
    assert len(journal_env.damage_messages) == len(damaged_copies(journal_env)) == 2


@pytest.mark.long
def test_repair_survives_a_crash_at_any_step(journal_env, factories, file_operations):
    """A later start has all rows, wherever the crash comes, also if the next start crashes early, too."""
    commands = filled_journal(journal_env, factories, 20)
    close(journal_env)
    overwrite_table(journal_env, "meta")
    damaged = {each.name: each.read_bytes() for each in journal_env.path.parent.iterdir()}
    for steps in range(60):
        for each in journal_env.path.parent.iterdir():
            each.unlink()
        for name, octets in damaged.items():
            journal_env.path.with_name(name).write_bytes(octets)
        try:
            with file_operations.kill(journal_env.path.parent, steps):
                journal_env.open()
        except Killed:
            with contextlib.suppress(Killed), file_operations.kill(journal_env.path.parent, steps % 6):
                journal_env.open().journal.close()
            journal_env.open()
            outcomes = [retry_once(journal_env.store, each).outcome for each in commands]
            assert outcomes == [StoreOutcome.DUPLICATE] * 20
            close(journal_env)
        else:
            break
    assert 20 <= steps < 59


def test_newest_damaged_copy_is_kept_with_a_wrong_clock(journal_env):
    """A device without a battery clock may date it before the copies that exist already."""
    for day in (4, 5, 6, 0):
        journal_env.wall = 1e9 + 86400 * day
        journal_env.journal.close()
        journal_env.path.write_bytes(b"no database, day %d" % day * 300)
        journal_env.open()
    assert [each.read_bytes()[:18] for each in damaged_copies(journal_env)] == [
        b"no database, day %d" % n for n in (0, 5, 6)
    ]


def test_number_of_damaged_copies_is_limited(journal_env, factories):
    """A failing memory card does not fill itself."""
    for _ in range(5):
        journal_env.advance(1)
        journal_env.journal.close()
        DAMAGE["garbage"](journal_env)
        journal_env.open()
    assert len(damaged_copies(journal_env)) == repair.MAX_DAMAGED_COPIES


@pytest.mark.parametrize("code", ["SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_PERM"])
def test_busy_or_full_is_not_damage(journal_env, code):
    """Nothing is set aside, and the connection stays."""
    error = sqlite3.OperationalError("no")
    error.sqlite_errorcode = getattr(sqlite3, code)
    connection = journal_env.journal.connection
    journal_env.journal._record_failure(error)
    journal_env.inbox.count_by_state()
    assert journal_env.journal.connection is connection
    assert damaged_copies(journal_env) == []


def test_locked_file_is_not_damage(journal_env):
    """Another tool holds it: the error is one sentence, and nothing is renamed."""
    journal_env.journal.close()
    with contextlib.closing(sqlite3.connect(journal_env.path)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("UPDATE meta SET uptime = 7")
        with pytest.raises(JournalUnusable, match="locked"):
            Journal(
                journal_env.path,
                lambda: 0,
                lambda: 0,
                open_file=partial(open_journal_file, lock_timeout_s=0.01),
            )
    assert damaged_copies(journal_env) == []


def test_interrupted_first_start_is_not_damage(tmp_path, file_operations):
    """Nothing was ever in the file: the next start creates it and logs no damage."""
    for steps in range(20):
        alarms = []
        folder = tmp_path / str(steps)
        folder.mkdir()
        try:
            with file_operations.kill(folder, steps):
                Journal(folder / "journal.db", lambda: 1e9, lambda: 0.0, alarms.append).close()
        except Killed:
            Journal(folder / "journal.db", lambda: 1e9, lambda: 0.0, alarms.append).close()
            assert sorted(each.name for each in folder.iterdir()) == ["journal.db", "journal.db.lock"]
            assert alarms == []
        else:
            break
    assert 6 <= steps < 19


def test_damage_within_a_text_stops_nothing(journal_env, factories):
    """SQLite has no checksum for it: the row is readable, with U+FFFD in place of the octets."""
    journal_env.store(factories.command("led on"))
    journal_env.journal.connection.execute("UPDATE commands SET body = CAST(x'6C6564BB' AS TEXT)")
    (row,) = journal_env.inbox.list_pending()
    assert row.body == "led\ufffd"


def test_damaged_list_of_tables_that_is_not_utf8_is_replaced(journal_env, factories):
    """SQLite quotes it in its message, which Python cannot decode: that is damage like any other."""
    journal_env.store(factories.command("led on"))
    journal_env.journal.connection.execute("PRAGMA writable_schema = ON")
    journal_env.journal.connection.execute(
        "UPDATE sqlite_master SET sql = CAST(x'BB' AS TEXT), name = CAST(x'BB' AS TEXT) WHERE name = 'resets'"
    )
    journal_env.journal.close()
    journal_env.open()
    assert journal_env.query_column("SELECT count(*) FROM resets") == [0]
