"""What a journal that was begun anew still knows, and what it promises no more."""

import sqlite3

import pytest

import pdu
from agent.journal import repair
from agent.journal.models import OutgoingMessage, StoreOutcome

PAGE = 4096


def filled_journal(desk, make, count):
    """Commands with SIDs, all done but the last two; returns them."""
    commands = [
        make.command(f"led {number}", sid=f"DC{number:032x}", at=desk.wall - count + number)
        for number in range(count)
    ]
    for number, command in enumerate(commands, 1):
        desk.store(command, slot=("ME", number), raw=f"{number:04X}")
        if number <= count - 2:
            desk.inbox.finish(number, "done")
    return commands


def test_nothing_refers_to_a_command_that_is_lost(journal_env, factories):
    """An answer is sent all the same, its Command still counts as seen; what it asked for is not begun."""
    commands = filled_journal(journal_env, factories, 10)
    answer = OutgoingMessage("2936", pdu.segment("on")[0], 1, 1)
    journal_env.inbox.finish(9, "done", None, [answer], ("led", "then"))
    (root,) = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name = 'commands'")
    journal_env.journal.close()
    octets = bytearray(journal_env.path.read_bytes())
    octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    journal_env.path.write_bytes(octets)
    journal_env.open()
    with pytest.raises(sqlite3.DatabaseError):
        journal_env.inbox.get_pending(9)
    assert journal_env.inbox.get_pending(9) is None  # the damage showed, this is a new file
    assert journal_env.query_column("SELECT command_id FROM dedup WHERE command_id IS NOT NULL") == []
    assert journal_env.query_column("SELECT command_id FROM replies") == [None]
    assert journal_env.query_column("SELECT command_id FROM actions") == []
    assert journal_env.outbox.next_queued().user_data.text == "on"
    assert journal_env.actions.list_pending() == []
    assert [journal_env.store(each).outcome for each in commands] == [StoreOutcome.DUPLICATE] * 10


def test_a_journal_without_its_clock_is_damaged(journal_env, factories):
    """The row that each has tells how far it reaches: without it one is begun anew with all the rest."""
    commands = filled_journal(journal_env, factories, 20)
    journal_env.journal.connection.execute("DELETE FROM meta")
    journal_env.journal.close()
    journal_env.open()
    assert "meta is missing" in journal_env.damage_messages[0]
    assert len(repair.damaged_copies(journal_env.path)) == 1
    assert [journal_env.store(each).outcome for each in commands] == [StoreOutcome.DUPLICATE] * 20


def test_damage_while_it_runs_takes_nothing_from_what_is_known(journal_env, factories):
    """How far time stamps and the memory for doubles reach is known here, though the file has lost it."""
    journal_env.store(factories.command())
    newest = journal_env.journal.meta.newest_timestamp
    journal_env.journal.meta.dedup_horizon = newest - 100
    journal_env.journal.meta.first_sweep_done = True
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    journal_env.journal._record_failure(error)
    for tail in ("", "-wal"):
        journal_env.path.with_name(journal_env.path.name + tail).write_bytes(b"")
    assert journal_env.inbox.list_pending() == []
    assert (journal_env.journal.meta.newest_timestamp, journal_env.journal.meta.dedup_horizon) == (
        newest,
        newest - 100,
    )
    assert journal_env.journal.meta.first_sweep_done
    old = factories.command(sid=None, at=newest - 101)
    assert journal_env.store(old).outcome is StoreOutcome.EXPIRED


def test_the_commands_tell_how_far_the_memory_reached(journal_env, factories):
    """Clock and memory for doubles lost with their pages: nothing from before the newest Command is run."""
    commands = filled_journal(journal_env, factories, 10)
    roots = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name IN ('meta', 'dedup')")
    journal_env.journal.close()
    octets = bytearray(journal_env.path.read_bytes())
    for root in roots:
        octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    journal_env.path.write_bytes(octets)
    journal_env.open()
    newest = commands[-1].timestamp.timestamp()
    assert (journal_env.journal.meta.newest_timestamp, journal_env.journal.meta.dedup_horizon) == (
        newest,
        newest,
    )
    assert journal_env.store(commands[-1]).outcome is StoreOutcome.EXPIRED


def test_a_row_that_makes_no_sense_is_left_out_and_told(journal_env, factories):
    """It stops no other row; its table counts as not read whole, so nothing is promised of it."""
    for number in range(3):
        journal_env.store(factories.stray(f"stray {number}"), slot=("ME", number), raw=f"0{number}")
    journal_env.journal.freed_slots.clear()
    journal_env.journal.close()
    connection = sqlite3.connect(journal_env.path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') WHERE name = 'ignored'"
    )
    connection.close()
    connection = sqlite3.connect(journal_env.path, isolation_level=None)
    connection.execute("UPDATE ignored SET reason = NULL WHERE id = 2")
    connection.execute("DELETE FROM meta")
    connection.close()
    journal_env.open()
    assert journal_env.query_column("SELECT reason FROM ignored ORDER BY id") == ["stray 0", "stray 2"]
    assert "not all rows could be read of ignored" in journal_env.damage_messages[0]
    assert journal_env.query_column("SELECT slot FROM slots") == []


@pytest.mark.parametrize("ahead", [0, -20_000 * 86_400])
def test_a_wrong_stamp_does_not_make_everything_old(journal_env, factories, ahead):
    """One Command is stamped with a year to come: after damage others count as old up to the honest ones."""
    filled_journal(journal_env, factories, 30)
    journal_env.store(
        factories.command("wrong", sid=f"DC{10**6:032x}", at=journal_env.wall + 10_000 * 86_400)
    )
    (root,) = journal_env.query_column("SELECT rootpage FROM sqlite_master WHERE name = 'dedup'")
    journal_env.journal.close()
    octets = bytearray(journal_env.path.read_bytes())
    octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    journal_env.path.write_bytes(octets)
    honest = journal_env.wall
    journal_env.wall += ahead
    journal_env.open()
    with pytest.raises(sqlite3.DatabaseError):
        journal_env.store(factories.command())
    new = factories.command("new", sid=f"DC{10**7:032x}", at=honest + 60)
    assert journal_env.store(new).outcome is StoreOutcome.NEW
    old = factories.command("old", sid=f"DC{10**8:032x}", at=honest - 10)
    assert journal_env.store(old).outcome is StoreOutcome.EXPIRED


@pytest.mark.parametrize(
    ("table", "keys"),
    [("commands", "SELECT id FROM commands ORDER BY id"), ("dedup", "SELECT key FROM dedup ORDER BY key")],
)
def test_damage_at_the_very_beginning_of_a_table_hides_no_others(journal_env, factories, table, keys):
    """Only what stood on its first page is lost: the rest is searched for without a key to begin from."""
    filled_journal(journal_env, factories, 200)
    journal_env.journal.close()
    connection = sqlite3.connect(journal_env.path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    octets = bytearray(journal_env.path.read_bytes())
    page = memoryview(octets)[(root - 1) * PAGE : root * PAGE]
    assert page[0] in {2, 5}, "it has pages below"
    cell = int.from_bytes(page[12:14])
    first = int.from_bytes(page[cell : cell + 4])
    page.release()
    on_it = int.from_bytes(octets[(first - 1) * PAGE + 3 : (first - 1) * PAGE + 5])
    octets[(first - 1) * PAGE : first * PAGE] = bytes(PAGE)
    journal_env.path.write_bytes(octets)
    journal_env.open()
    with pytest.raises(sqlite3.DatabaseError):
        journal_env.journal.execute(keys)
    assert 0 < on_it < 100
    left = journal_env.journal.execute(keys).fetchall()
    assert 200 - on_it - 1 <= len(left) <= 200 - on_it
    assert f"not all rows could be read of {table}" in journal_env.damage_messages[0]
