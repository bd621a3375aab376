"""The schema of the journal as a list of migrations.

README.md documents the present tables column by column. The scripts of the first three versions have the
names of their time; the fourth renames tables, columns and states. Times: ``*_wall`` are seconds since 1970
by the device's clock at that time, ``*_running`` and later ``*_uptime`` are seconds that the agent has run,
all starts together. A device without a battery clock may start in the past or in the future, so an age is the
smaller of the two differences.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from agent.journal import base_schema

PAGE_BYTES = 512
"""Size of a page in new journals: SQLite's least. A commit writes whole pages, and most rows need no more. So
a Command writes 9.6 KB, and would write 75 KB with the default of 4096. A file that exists keeps its size."""

_VERSION_1 = """
CREATE TABLE clock (            -- one row
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    running         REAL NOT NULL,   -- seconds the agent has run, all starts together
    newest_timestamp REAL NOT NULL,  -- the latest service centre time stamp of a Command
    horizon         REAL             -- newest service centre time stamp among forgotten Commands
);
INSERT INTO clock VALUES (1, 0, 0, NULL);

CREATE TABLE commands (         -- every Command ever accepted, until its text is pruned
    id              INTEGER PRIMARY KEY,
    state           TEXT NOT NULL,   -- received, running, done, failed, expired
    sid             TEXT,            -- Command SID, hex digits in lower case; NULL without one
    sender          TEXT NOT NULL,   -- originating address
    mode            TEXT NOT NULL,   -- text, binary
    body            NOT NULL,        -- TEXT without the SID, or BLOB
    timestamp       TEXT,            -- service centre time stamp, ISO 8601; NULL where it was no date
    answerable      INTEGER NOT NULL,-- 0: an answer could start a loop
    doubles         INTEGER NOT NULL DEFAULT 0,  -- further deliveries that were not run
    attempt         INTEGER NOT NULL DEFAULT 0,  -- runs begun
    handler         TEXT,            -- name of the handler of the last run
    repeatable      INTEGER NOT NULL DEFAULT 0,  -- whether that handler may run again
    reason          TEXT,            -- why it failed or expired
    received_wall   REAL NOT NULL,
    received_running REAL NOT NULL,
    ended_wall      REAL             -- done, failed or expired
);
CREATE INDEX commands_open ON commands (id) WHERE state IN ('received', 'running');

CREATE TABLE seen (             -- what makes a delivery a double; outlives the texts
    key             BLOB PRIMARY KEY,-- 's' + SID, or 'm' + digest of sender, time stamp and user data
    body            BLOB,            -- digest of the body; NULL where the key holds it all
    command         INTEGER,         -- commands.id; NULL for a part of a concatenated message
    timestamp       REAL,            -- service centre time stamp, seconds since 1970
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE slots (            -- messages that are kept here and perhaps still in the module
    store           TEXT NOT NULL,   -- "ME", "SM" ...
    slot            INTEGER NOT NULL,-- index in that store
    raw             TEXT NOT NULL,   -- the PDU as read
    PRIMARY KEY (store, slot)
) WITHOUT ROWID;

CREATE TABLE parts (            -- parts of concatenated messages whose others are missing
    sender          TEXT NOT NULL,
    reference       INTEGER NOT NULL,
    wide            INTEGER NOT NULL,-- 1: 16-bit reference
    total           INTEGER NOT NULL,
    number          INTEGER NOT NULL,
    raw             TEXT NOT NULL,   -- the PDU as read
    identity        BLOB,            -- digest of sender, time stamp and user data; NULL without a date
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL,
    PRIMARY KEY (sender, reference, wide, total, number)
) WITHOUT ROWID;

CREATE TABLE strays (           -- messages that command nobody; the newest 1,000
    id              INTEGER PRIMARY KEY,
    reason          TEXT NOT NULL,
    sender          TEXT,
    text            TEXT,
    raw             TEXT NOT NULL,   -- the PDU as read
    at_wall         REAL NOT NULL
);

CREATE TABLE replies (          -- one row a message to send
    id              INTEGER PRIMARY KEY,
    command         INTEGER,         -- commands.id; NULL for one sent by hand
    state           TEXT NOT NULL,   -- queued, sending, sent, delivered, failed, unknown
    destination     TEXT NOT NULL,
    alphabet        TEXT NOT NULL,   -- gsm7, 8bit, ucs2
    octets          BLOB NOT NULL,   -- TP-UD
    length          INTEGER NOT NULL,-- TP-UDL
    has_header      INTEGER NOT NULL,
    text            TEXT,            -- what it says, for people
    part            INTEGER NOT NULL,-- 1 of 1, 2 of 3 ...
    parts           INTEGER NOT NULL,
    error_answer    INTEGER NOT NULL,-- 1: an answer of our own that begins with ERR
    attempts        INTEGER NOT NULL DEFAULT 0,
    message_reference INTEGER,       -- TP-MR as the module returned it
    reason          TEXT,            -- what the last attempt ended with
    queued_wall     REAL NOT NULL,
    queued_running  REAL NOT NULL,
    sent_wall       REAL,
    sent_running    REAL
);
CREATE INDEX replies_open ON replies (id) WHERE state IN ('queued', 'sending');
CREATE INDEX replies_command ON replies (command);

CREATE TABLE reports (          -- status reports, also those that came before their message was known as sent
    id              INTEGER PRIMARY KEY,
    message_reference INTEGER NOT NULL,
    recipient       TEXT NOT NULL,
    status          INTEGER NOT NULL,-- TP-ST
    discharge_time  TEXT,
    reply           INTEGER,         -- replies.id once matched
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL
);

CREATE TABLE actions (          -- what handlers asked to be done after their answer
    id              INTEGER PRIMARY KEY,
    command         INTEGER NOT NULL,
    handler         TEXT NOT NULL,
    action          TEXT NOT NULL,
    state           TEXT NOT NULL,   -- waiting, acting, done, failed
    reason          TEXT,
    asked_wall      REAL NOT NULL,
    asked_running   REAL NOT NULL
);
CREATE INDEX actions_open ON actions (id) WHERE state IN ('waiting', 'acting');
"""

_VERSION_2 = """
CREATE TABLE resets (           -- restarts of the module that this agent caused
    id              INTEGER PRIMARY KEY,
    step            TEXT NOT NULL,   -- radio, restart, power
    reason          TEXT NOT NULL,   -- what it was to mend
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL
);

CREATE TABLE cards (            -- SIMs that this agent has worked with
    iccid           TEXT PRIMARY KEY,-- empty for one that does not tell its number
    service_centre  TEXT,            -- its service centre number as last read
    at_wall         REAL NOT NULL    -- when it was seen last
) WITHOUT ROWID;

CREATE TABLE pins (             -- PINs that were tried: none is tried twice on one card
    iccid           TEXT NOT NULL,   -- empty for a card that does not tell its number before it is open
    salt            BLOB NOT NULL,
    pin             BLOB NOT NULL,   -- salted digest of the PIN
    state           TEXT NOT NULL,   -- trying, refused
    at_wall         REAL NOT NULL
);
"""

_VERSION_3 = """
-- clock.swept, 0: what the module held at the first start is not all kept yet
ALTER TABLE clock ADD COLUMN swept INTEGER NOT NULL DEFAULT 1;
UPDATE clock SET swept = 0 WHERE running = 0 AND newest_timestamp = 0
"""

_VERSION_4 = """
-- The standard terms of the field for tables, columns and states.
ALTER TABLE clock RENAME TO meta;
ALTER TABLE meta RENAME COLUMN running TO uptime;
ALTER TABLE meta RENAME COLUMN horizon TO dedup_horizon;
ALTER TABLE meta RENAME COLUMN swept TO first_sweep_done;

ALTER TABLE commands RENAME COLUMN doubles TO duplicates;
ALTER TABLE commands RENAME COLUMN attempt TO attempts;
ALTER TABLE commands RENAME COLUMN received_running TO received_uptime;

ALTER TABLE seen RENAME TO dedup;
ALTER TABLE dedup RENAME COLUMN body TO body_digest;
ALTER TABLE dedup RENAME COLUMN command TO command_id;
ALTER TABLE dedup RENAME COLUMN at_running TO at_uptime;

ALTER TABLE parts RENAME COLUMN wide TO reference_16bit;
ALTER TABLE parts RENAME COLUMN at_running TO at_uptime;

ALTER TABLE strays RENAME TO ignored;

ALTER TABLE replies RENAME COLUMN command TO command_id;
ALTER TABLE replies RENAME COLUMN octets TO user_data;
ALTER TABLE replies RENAME COLUMN length TO user_data_length;
ALTER TABLE replies RENAME COLUMN queued_running TO queued_uptime;
ALTER TABLE replies RENAME COLUMN sent_running TO sent_uptime;

ALTER TABLE reports RENAME TO status_reports;
ALTER TABLE status_reports RENAME COLUMN reply TO reply_id;
ALTER TABLE status_reports RENAME COLUMN at_running TO at_uptime;

ALTER TABLE actions RENAME COLUMN command TO command_id;
ALTER TABLE actions RENAME COLUMN asked_wall TO requested_wall;
ALTER TABLE actions RENAME COLUMN asked_running TO requested_uptime;
UPDATE actions SET state = 'pending' WHERE state = 'waiting';
UPDATE actions SET state = 'running' WHERE state = 'acting';
DROP INDEX actions_open;
CREATE INDEX actions_open ON actions (id) WHERE state IN ('pending', 'running');

ALTER TABLE resets RENAME COLUMN step TO action;
ALTER TABLE resets RENAME COLUMN at_running TO at_uptime;

ALTER TABLE cards RENAME TO sims;
ALTER TABLE sims RENAME COLUMN at_wall TO last_seen_wall;

ALTER TABLE pins RENAME TO pin_attempts;
ALTER TABLE pin_attempts RENAME COLUMN pin TO pin_digest
"""

_VERSION_5 = """
-- commands.port: the application port that the message was addressed to; NULL for an ordinary message
ALTER TABLE commands ADD COLUMN port INTEGER;
-- replies.omitted: the characters of the whole reply that were cut off, in its last part
ALTER TABLE replies ADD COLUMN omitted INTEGER NOT NULL DEFAULT 0
"""

_VERSION_6 = """
-- replies.spread_s: seconds after queued_uptime during which it waits, so that not all devices reply at once
ALTER TABLE replies ADD COLUMN spread_s REAL NOT NULL DEFAULT 0
"""

_VERSION_7 = """
-- commands: when the last run started, the end of what it wrote to its standard error, the last duplicate
ALTER TABLE commands ADD COLUMN started_wall REAL;
ALTER TABLE commands ADD COLUMN stderr TEXT;
ALTER TABLE commands ADD COLUMN duplicate_wall REAL;
-- replies.sending_wall: when the body of the last attempt began to leave
ALTER TABLE replies ADD COLUMN sending_wall REAL
"""

_VERSION_8 = """
-- ignored.handler_state: pending, running, done, failed; NULL if there was no handler for ignored messages
ALTER TABLE ignored ADD COLUMN handler_state TEXT;
CREATE TABLE alarm (            -- one row, none before the first problem
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    state           TEXT NOT NULL,   -- what the alarm program was called with last: problem, ok
    reason          TEXT NOT NULL,   -- the problem, also after its end
    since_wall      REAL,            -- when the present problem began; NULL while there is none
    since_uptime    REAL
)
"""


def decode_text(octets: bytes) -> str:
    """Return the text of a column (`text_factory`). Damage within a row shows as U+FFFD."""
    return octets.decode(errors="replace")


def _run_script(script: str) -> Callable[[sqlite3.Connection], None]:
    """Return a migration that runs the statements of a script."""

    def step(connection: sqlite3.Connection) -> None:
        for statement in script.split(";\n"):
            connection.execute(statement)

    return step


_SCRIPTS = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5, _VERSION_6, _VERSION_7, _VERSION_8)

MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = tuple(map(_run_script, _SCRIPTS))
"""Entry N takes a file from version N to version N + 1. The file stores its version in `user_version`."""

RENAMED_TABLES = {
    "clock": "meta",
    "seen": "dedup",
    "strays": "ignored",
    "reports": "status_reports",
    "cards": "sims",
    "pins": "pin_attempts",
}
"""Names of tables before version 4, and since."""


class SchemaTooNew(Exception):  # noqa: N818  (reads as the sentence it is)
    """The file was written by a newer modem-agent."""


def too_new_error(version: int) -> SchemaTooNew:
    """Return the error for a file of this version."""
    return SchemaTooNew(
        f"the journal has version {version}, this modem-agent understands up to {len(MIGRATIONS)}: install "
        "the newer modem-agent again"
    )


def migrate(connection: sqlite3.Connection, version: int = len(MIGRATIONS)) -> None:
    """Bring the file to this version, one transaction a step. Raises SchemaTooNew, sqlite3.Error.

    An empty file gets the tables of `base_schema` at once.
    """
    current = connection.execute("PRAGMA user_version").fetchone()[0]
    if current > len(MIGRATIONS):
        raise too_new_error(current)
    if current == 0 and version >= base_schema.VERSION:
        current = base_schema.VERSION
        _change_version(connection, _run_script(base_schema.SCRIPT), current)
    for number, step in enumerate(MIGRATIONS[current:version], current + 1):
        _change_version(connection, step, number)


def _change_version(
    connection: sqlite3.Connection, step: Callable[[sqlite3.Connection], None], version: int
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    step(connection)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
