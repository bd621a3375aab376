"""What a journal that was begun anew still knows, and what it promises no more."""

import sqlite3

import pytest

import pdu
from agent.journal import rescue, salvage
from agent.journal.rows import Outcome, Outgoing

PAGE = 4096


def filled(desk, make, count):
    """Commands with SIDs, all done but the last two; returns them."""
    commands = [
        make.command(f"led {number}", sid=f"DC{number:032x}", at=desk.wall - count + number)
        for number in range(count)
    ]
    for number, command in enumerate(commands, 1):
        desk.keep(command, slot=("ME", number), raw=f"{number:04X}")
        if number <= count - 2:
            desk.inbox.finish(number, "done")
    return commands


def test_nothing_refers_to_a_command_that_is_lost(desk, make):
    """An answer is sent all the same, its Command still counts as seen; what it asked for is not begun."""
    commands = filled(desk, make, 10)
    answer = Outgoing("2936", pdu.segment("on")[0], 1, 1)
    desk.inbox.finish(9, "done", None, [answer], ("led", "then"))
    (root,) = desk.column("SELECT rootpage FROM sqlite_master WHERE name = 'commands'")
    desk.journal.close()
    octets = bytearray(desk.path.read_bytes())
    octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    desk.path.write_bytes(octets)
    desk.open()
    with pytest.raises(sqlite3.DatabaseError):
        desk.inbox.command(9)
    assert desk.inbox.command(9) is None  # the damage showed, this is a new file
    assert desk.column("SELECT command FROM seen WHERE command IS NOT NULL") == []
    assert desk.column("SELECT command FROM replies") == [None]
    assert desk.column("SELECT command FROM actions") == []
    assert desk.outbox.next().user_data.text == "on"
    assert desk.actions.waiting() == []
    assert [desk.keep(each).outcome for each in commands] == [Outcome.DOUBLE] * 10


def test_a_journal_without_its_clock_is_damaged(desk, make):
    """The row that each has tells how far it reaches: without it one is begun anew with all the rest."""
    commands = filled(desk, make, 20)
    desk.journal.connection.execute("DELETE FROM clock")
    desk.journal.close()
    desk.open()
    assert "its clock is missing" in desk.alarms[0]
    assert len(rescue.kept_aside(desk.path)) == 1
    assert [desk.keep(each).outcome for each in commands] == [Outcome.DOUBLE] * 20


def test_a_journal_of_an_earlier_version(desk, make):
    """What it did not have yet is told as not read; all that it has is there, in the form of today."""
    commands = filled(desk, make, 5)
    desk.journal.connection.execute("ALTER TABLE clock DROP COLUMN swept")
    for table in ("resets", "cards", "pins"):
        desk.journal.connection.execute(f"DROP TABLE {table}")
    desk.journal.connection.execute("PRAGMA user_version = 1")
    desk.journal.close()
    rescued = rescue.renew(desk.path, "its clock is missing", desk.wall)
    assert rescued.incomplete == ["cards", "pins", "resets"]
    assert rescued.rows == {"clock": 1, "commands": 5, "seen": 5, "slots": 5} | dict.fromkeys(
        ("actions", "cards", "parts", "pins", "replies", "reports", "resets", "strays"), 0
    )
    desk.open()
    assert [desk.keep(each).outcome for each in commands] == [Outcome.DOUBLE] * 5
    assert desk.inbox.swept


def test_damage_while_it_runs_takes_nothing_from_what_is_known(desk, make):
    """How far time stamps and the memory for doubles reach is known here, though the file has lost it."""
    desk.keep(make.command())
    newest = desk.journal.newest_timestamp
    desk.journal.horizon = newest - 100
    desk.journal.swept = True
    error = sqlite3.DatabaseError("malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    desk.journal._judge(error)
    for tail in ("", "-wal"):
        desk.path.with_name(desk.path.name + tail).write_bytes(b"")
    assert desk.inbox.waiting() == []
    assert (desk.journal.newest_timestamp, desk.journal.horizon) == (newest, newest - 100)
    assert desk.journal.swept
    old = make.command(sid=None, at=newest - 101)
    assert desk.keep(old).outcome is Outcome.EXPIRED


def test_the_commands_tell_how_far_the_memory_reached(desk, make):
    """Clock and memory for doubles lost with their pages: nothing from before the newest Command is run."""
    commands = filled(desk, make, 10)
    roots = desk.column("SELECT rootpage FROM sqlite_master WHERE name IN ('clock', 'seen')")
    desk.journal.close()
    octets = bytearray(desk.path.read_bytes())
    for root in roots:
        octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    desk.path.write_bytes(octets)
    desk.open()
    newest = commands[-1].timestamp.timestamp()
    assert (desk.journal.newest_timestamp, desk.journal.horizon) == (newest, newest)
    assert desk.keep(commands[-1]).outcome is Outcome.EXPIRED


@pytest.mark.parametrize(
    ("spoilt", "table"),
    [
        ("UPDATE seen SET at_running = 'x' WHERE command = 3", "seen"),
        ("UPDATE seen SET timestamp = x'00' WHERE command = 3", "seen"),
        ("UPDATE clock SET running = 'x'", "clock"),
        ("UPDATE clock SET horizon = 'x'", "clock"),
        ("UPDATE commands SET received_running = 'x' WHERE id = 3", "commands"),
        ("UPDATE commands SET state = x'00' WHERE id = 3", "commands"),
    ],
)
def test_a_value_of_another_kind_is_left_out_with_its_row(desk, make, spoilt, table):
    """As a page of another table leaves it: nobody calculates with it, and it is told."""
    filled(desk, make, 5)
    desk.journal.connection.execute(spoilt)
    desk.journal.close()
    rescued = rescue.renew(desk.path, "test", desk.wall)
    assert rescued.incomplete == [table]
    assert rescued.rows[table] == (0 if table == "clock" else 4)
    desk.open()
    assert desk.column("SELECT count(*) FROM clock WHERE typeof(running) = 'real'") == [1]


def test_a_row_that_makes_no_sense_is_left_out_and_told(desk, make):
    """It stops no other row; its table counts as not read whole, so nothing is promised of it."""
    for number in range(3):
        desk.keep(make.stray(f"stray {number}"), slot=("ME", number), raw=f"0{number}")
    desk.journal.freed.clear()
    desk.journal.close()
    connection = sqlite3.connect(desk.path, isolation_level=None)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = replace(sql, 'TEXT NOT NULL', 'TEXT') WHERE name = 'strays'"
    )
    connection.close()
    connection = sqlite3.connect(desk.path, isolation_level=None)
    connection.execute("UPDATE strays SET reason = NULL WHERE id = 2")
    connection.execute("DELETE FROM clock")
    connection.close()
    desk.open()
    assert desk.column("SELECT reason FROM strays ORDER BY id") == ["stray 0", "stray 2"]
    assert "not all could be read of strays" in desk.alarms[0]
    assert desk.column("SELECT slot FROM slots") == []


@pytest.mark.parametrize("ahead", [0, -20_000 * 86_400])
def test_a_wrong_stamp_does_not_make_everything_old(desk, make, ahead):
    """One Command is stamped with a year to come: after damage others count as old up to the honest ones."""
    filled(desk, make, 30)
    desk.keep(make.command("wrong", sid=f"DC{10**6:032x}", at=desk.wall + 10_000 * 86_400))
    (root,) = desk.column("SELECT rootpage FROM sqlite_master WHERE name = 'seen'")
    desk.journal.close()
    octets = bytearray(desk.path.read_bytes())
    octets[(root - 1) * PAGE : root * PAGE] = bytes(PAGE)
    desk.path.write_bytes(octets)
    honest = desk.wall
    desk.wall += ahead
    desk.open()
    with pytest.raises(sqlite3.DatabaseError):
        desk.keep(make.command())
    new = make.command("new", sid=f"DC{10**7:032x}", at=honest + 60)
    assert desk.keep(new).outcome is Outcome.NEW
    old = make.command("old", sid=f"DC{10**8:032x}", at=honest - 10)
    assert desk.keep(old).outcome is Outcome.EXPIRED


@pytest.mark.parametrize(
    ("table", "keys"),
    [("commands", "SELECT id FROM commands ORDER BY id"), ("seen", "SELECT key FROM seen ORDER BY key")],
)
def test_damage_at_the_very_beginning_of_a_table_hides_no_others(desk, make, table, keys):
    """Only what stood on its first page is lost: the rest is searched for without a key to begin from."""
    filled(desk, make, 200)
    desk.journal.close()
    connection = sqlite3.connect(desk.path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    octets = bytearray(desk.path.read_bytes())
    page = memoryview(octets)[(root - 1) * PAGE : root * PAGE]
    assert page[0] in {2, 5}, "it has pages below"
    cell = int.from_bytes(page[12:14])
    first = int.from_bytes(page[cell : cell + 4])
    page.release()
    on_it = int.from_bytes(octets[(first - 1) * PAGE + 3 : (first - 1) * PAGE + 5])
    octets[(first - 1) * PAGE : first * PAGE] = bytes(PAGE)
    desk.path.write_bytes(octets)
    desk.open()
    with pytest.raises(sqlite3.DatabaseError):
        desk.journal.execute(keys)
    assert 0 < on_it < 100
    left = desk.journal.execute(keys).fetchall()
    assert len(left) == 200 - on_it
    assert f"not all could be read of {table}" in desk.alarms[0]


@pytest.mark.parametrize(
    ("one", "other", "greater"),
    [
        (2, 1, True),
        (1, 1, False),
        (b"b", b"a", True),
        (b"a", b"b", False),
        (1, b"a", False),
        (b"a", 1, False),
    ],
)
def test_keys_of_two_kinds_do_not_grow(one, other, greater):
    """A page of another table in the middle of one gives keys of its kind: damage like any other."""
    assert salvage._greater(one, other) is greater
