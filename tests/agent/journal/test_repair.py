"""Rows and promises of a journal after its repair."""

import sqlite3

import pytest

import pdu
from agent.journal import repair, schema
from agent.journal.models import OutgoingMessage, StoreOutcome

PAGE = schema.PAGE_BYTES


def filled_journal(env, factories, count):
    """Store Commands with SIDs, all done except the last two; return them."""
    commands = [
        factories.command(f"led {number}", sid=f"DC{number:032x}", at=env.wall - count + number)
        for number in range(count)
    ]
    for number, command in enumerate(commands, 1):
        env.store(command, slot=("ME", number), raw=f"{number:04X}")
        if number <= count - 2:
            env.inbox.finish(number, "done")
    return commands


def test_lost_command_is_not_referenced(journal_env, factories):
    """Its reply is sent, its entry still makes a duplicate, and its action is not started."""
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


def test_missing_meta_row_is_damage(journal_env, factories):
    """A new file is made with all other rows."""
    commands = filled_journal(journal_env, factories, 20)
    journal_env.journal.connection.execute("DELETE FROM meta")
    journal_env.journal.close()
    journal_env.open()
    assert "meta is missing" in journal_env.damage_messages[0]
    assert len(repair.damaged_copies(journal_env.path)) == 1
    assert [journal_env.store(each).outcome for each in commands] == [StoreOutcome.DUPLICATE] * 20


def test_known_meta_values_survive_damage_of_the_open_file(journal_env, factories):
    """Newest time stamp, horizon and first sweep are known in memory."""
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


def test_horizon_is_recovered_from_commands(journal_env, factories):
    """Meta row and deduplication entries are lost: no Command from before the newest known one is run."""
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


def test_invalid_row_is_left_out_and_logged(journal_env, factories):
    """Other rows are copied, and its table counts as incomplete."""
    for number in range(3):
        journal_env.store(factories.ignored(f"reason {number}"), slot=("ME", number), raw=f"0{number}")
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
    assert journal_env.query_column("SELECT reason FROM ignored ORDER BY id") == ["reason 0", "reason 2"]
    assert "not all rows could be read of ignored" in journal_env.damage_messages[0]
    assert journal_env.query_column("SELECT slot FROM slots") == []


@pytest.mark.parametrize("ahead", [0, -20_000 * 86_400])
def test_wrong_timestamp_is_not_the_horizon(journal_env, factories, ahead):
    """One Command has a time stamp years ahead: the horizon is the newest of the correct ones."""
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
def test_rows_after_an_unreadable_page_are_copied(journal_env, factories, table, keys):
    """Only the rows on the first page of the table are lost."""
    filled_journal(journal_env, factories, 200)
    journal_env.journal.close()
    connection = sqlite3.connect(journal_env.path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    octets = bytearray(journal_env.path.read_bytes())
    first = root
    while octets[(first - 1) * PAGE] in {2, 5}:  # it has pages below
        page = octets[(first - 1) * PAGE : first * PAGE]
        cell = int.from_bytes(page[12:14])
        first = int.from_bytes(page[cell : cell + 4])
    assert first != root
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
