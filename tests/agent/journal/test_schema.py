"""Migrations: a journal of an older version keeps every row, and gets the tables of this version."""

import re
import sqlite3
from pathlib import Path

import pytest

from agent.journal import queries, repair, schema
from agent.journal.models import StoreOutcome

VERSION_3 = Path(__file__).with_name("version_3.sql")
"""A journal with rows in every table, written by the last modem-agent whose journal had version 3."""
NEW_NAMES = {
    "clock": {"running": "uptime", "horizon": "dedup_horizon", "swept": "first_sweep_done"},
    "commands": {"doubles": "duplicates", "attempt": "attempts", "received_running": "received_uptime"},
    "seen": {"body": "body_digest", "command": "command_id", "at_running": "at_uptime"},
    "slots": {},
    "parts": {"wide": "reference_16bit", "at_running": "at_uptime"},
    "strays": {},
    "replies": {
        "command": "command_id",
        "octets": "user_data",
        "length": "user_data_length",
        "queued_running": "queued_uptime",
        "sent_running": "sent_uptime",
    },
    "reports": {"reply": "reply_id", "at_running": "at_uptime"},
    "actions": {"command": "command_id", "asked_wall": "requested_wall", "asked_running": "requested_uptime"},
    "resets": {"step": "action", "at_running": "at_uptime"},
    "cards": {"at_wall": "last_seen_wall"},
    "pins": {"pin": "pin_digest"},
}
"""The tables of version 3, and the columns that version 4 renames."""
ADDED_COLUMNS = {
    "ignored": {"handler_state": None},
    "commands": {"port": None, "started_wall": None, "stderr": None, "duplicate_wall": None},
    "replies": {"omitted": 0, "spread_s": 0.0, "sending_wall": None},
}
"""The columns that versions 5 to 8 add, and their values in older rows."""
NEW_STATES = {"waiting": "pending", "acting": "running"}


def write_version_3(path):
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_3.read_text())
    connection.close()


def read_tables(path):
    """The rows of every table, as dictionaries."""
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    tables = {}
    for name in names:
        rows = connection.execute(f"SELECT * FROM {name}")  # noqa: S608  (names from the line above)
        tables[name] = [dict(row) for row in rows]
    connection.close()
    return tables


def renamed(tables):
    """The same rows under the names of version 4, with the columns of later versions."""
    found = {
        schema.RENAMED_TABLES.get(table, table): [
            {NEW_NAMES[table].get(column, column): value for column, value in row.items()} for row in rows
        ]
        for table, rows in tables.items()
    }
    for row in found["actions"]:
        row["state"] = NEW_STATES[row["state"]]
    found["alarm"] = []
    for table, columns in ADDED_COLUMNS.items():
        for row in found[table]:
            row.update(columns)
    return found


def without_uptime(tables):
    """Opening a journal commits the uptime; all other values are those of before."""
    return tables | {"meta": [row | {"uptime": None} for row in tables["meta"]]}


@pytest.fixture
def version_3(journal_env):
    """A closed journal of version 3 and its rows as this version shows them."""
    journal_env.journal.close()
    for path in journal_env.path.parent.glob("journal.db*"):
        path.unlink()
    write_version_3(journal_env.path)
    tables = read_tables(journal_env.path)
    assert set(tables) == set(NEW_NAMES)
    assert all(tables.values()), "a table has no rows"
    return renamed(tables)


def test_version_3_is_upgraded_with_all_rows(journal_env, version_3):
    """Tables, columns and states have their new names; no value is lost, none is changed."""
    journal_env.open()
    assert journal_env.query_column("PRAGMA user_version") == [len(schema.MIGRATIONS)]
    assert without_uptime(read_tables(journal_env.path)) == without_uptime(version_3)
    assert journal_env.query_column("PRAGMA integrity_check") == ["ok"]
    assert journal_env.damage_messages == []


@pytest.mark.parametrize("version", range(4, len(schema.MIGRATIONS)))
def test_later_version_is_upgraded_with_all_rows(journal_env, version_3, version):
    """Rows of these versions keep their values and get the new columns."""
    connection = sqlite3.connect(journal_env.path, isolation_level=None)
    schema.migrate(connection, version)
    connection.close()
    journal_env.open()
    assert without_uptime(read_tables(journal_env.path)) == without_uptime(version_3)


@pytest.mark.usefixtures("version_3")
def test_journal_cannot_be_shown_before_its_upgrade(journal_env):
    """The tools of the new version say what to do. They change nothing."""
    with pytest.raises(queries.JournalUnreadable, match=r"older modem-agent.*restart modem-agent"):
        queries.fetch_newest(journal_env.path, queries.SELECT_IGNORED, 10)


def test_upgraded_journal_goes_on(journal_env, version_3, factories):
    """Open rows are still open, known messages are duplicates, replies and actions have their Command."""
    journal_env.open()
    assert [row.body for row in journal_env.inbox.list_pending()] == [b"\x01\xff"]
    assert [row.body for row in journal_env.inbox.list_running()] == ["count"]
    assert journal_env.outbox.close_interrupted() == [3]
    assert [row.handler for row in journal_env.actions.list_pending()] == ["reboot"]
    assert [row.handler for row in journal_env.actions.close_interrupted()] == ["halt"]
    assert journal_env.outbox.next_queued().sid == f"DC{2:032x}"
    again = factories.command(sid=f"DC{1:032x}")
    assert journal_env.store(again).deliveries == 4
    assert journal_env.inbox.first_sweep_done
    last_part = factories.part(3, total=3)
    assert set(journal_env.inbox.parts.stored_parts(last_part.key)) == {1, 2}


def test_fresh_and_upgraded_journal_have_the_same_schema(tmp_path, version_3, journal_env):
    """The tables of a new file are those that the migrations make: columns, defaults, keys and indexes."""

    def schema_of(path):
        connection = sqlite3.connect(path)
        statements = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
        connection.close()
        return {
            name: re.findall(r"\w+|[^\w\s\"]", re.sub("--.*", "", sql)) for name, sql in statements.items()
        }

    journal_env.open()
    repair.create(tmp_path / "fresh.db")
    assert schema_of(journal_env.path) == schema_of(tmp_path / "fresh.db")


@pytest.mark.parametrize("version", range(1, len(schema.MIGRATIONS)))
def test_every_earlier_version_is_upgraded(tmp_path, version):
    """A file that only the first migrations have made gets all tables of this version."""
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    schema.migrate(connection, version)
    assert connection.execute("PRAGMA user_version").fetchone() == (version,)
    schema.migrate(connection)
    connection.close()
    assert {name: len(rows) for name, rows in read_tables(tmp_path / "journal.db").items() if rows} == {
        "meta": 1
    }


def test_damaged_version_3_is_recovered(journal_env, version_3, factories):
    """The rows that can be read of an older file are copied, and the new file has this version."""
    connection = sqlite3.connect(journal_env.path)
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'seen'").fetchone()
    connection.close()
    with journal_env.path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(bytes(4096))
    report = repair.rebuild(journal_env.path, "test", journal_env.wall)
    assert report.incomplete_tables == ["dedup"]
    journal_env.open()
    found = read_tables(journal_env.path)
    assert found["commands"] == version_3["commands"]
    assert found["replies"] == version_3["replies"]
    assert found["actions"] == version_3["actions"]
    assert found["dedup"] == []
    assert journal_env.store(factories.command(sid=f"DC{1:032x}", at=journal_env.wall - 99)).outcome is (
        StoreOutcome.EXPIRED
    )


def test_readme_documents_every_column(tmp_path):
    """README.md of the package names all tables and their columns, and no others."""
    documented, table = {}, None
    for line in (
        Path(schema.__file__).with_name("README.md").read_text().partition("## Tables")[2].splitlines()
    ):
        if line.startswith("**"):
            table = line.split("**")[1]
            documented[table] = set()
        elif line.startswith("| `"):
            documented[table] |= set(re.findall(r"`(\w+)`", line.split("|")[1]))
    connection = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    schema.migrate(connection)
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables
    }
    connection.close()
    assert documented == columns
