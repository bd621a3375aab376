"""The tables of a new journal: those that the migrations up to `VERSION` make, in a twentieth of their time.

README.md documents them column by column. A change of a table is a migration in `schema.py`. New files go
through it too, so it is not repeated here.
"""

VERSION = 7
"""The version of the schema that `SCRIPT` makes."""

SCRIPT = """
CREATE TABLE actions (
    id INTEGER PRIMARY KEY,
    command_id INTEGER NOT NULL,
    handler TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    requested_wall REAL NOT NULL,
    requested_uptime REAL NOT NULL
);

CREATE INDEX actions_open ON actions (id) WHERE state IN ('pending', 'running');

CREATE TABLE commands (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL,
    sid TEXT,
    sender TEXT NOT NULL,
    mode TEXT NOT NULL,
    body NOT NULL,
    timestamp TEXT,
    answerable INTEGER NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    handler TEXT,
    repeatable INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    received_wall REAL NOT NULL,
    received_uptime REAL NOT NULL,
    ended_wall REAL,
    port INTEGER,
    started_wall REAL,
    stderr TEXT,
    duplicate_wall REAL
);

CREATE INDEX commands_open ON commands (id) WHERE state IN ('received', 'running');

CREATE TABLE dedup (
    key BLOB PRIMARY KEY,
    body_digest BLOB,
    command_id INTEGER,
    timestamp REAL,
    at_wall REAL NOT NULL,
    at_uptime REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE ignored (
    id INTEGER PRIMARY KEY,
    reason TEXT NOT NULL,
    sender TEXT,
    text TEXT,
    raw TEXT NOT NULL,
    at_wall REAL NOT NULL
);

CREATE TABLE meta (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    uptime REAL NOT NULL,
    newest_timestamp REAL NOT NULL,
    dedup_horizon REAL,
    first_sweep_done INTEGER NOT NULL DEFAULT 1
);
INSERT INTO meta VALUES (1, 0, 0, NULL, 0);

CREATE TABLE parts (
    sender TEXT NOT NULL,
    reference INTEGER NOT NULL,
    reference_16bit INTEGER NOT NULL,
    total INTEGER NOT NULL,
    number INTEGER NOT NULL,
    raw TEXT NOT NULL,
    identity BLOB,
    at_wall REAL NOT NULL,
    at_uptime REAL NOT NULL,
    PRIMARY KEY (sender, reference, reference_16bit, total, number)
) WITHOUT ROWID;

CREATE TABLE pin_attempts (
    iccid TEXT NOT NULL,
    salt BLOB NOT NULL,
    pin_digest BLOB NOT NULL,
    state TEXT NOT NULL,
    at_wall REAL NOT NULL
);

CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    command_id INTEGER,
    state TEXT NOT NULL,
    destination TEXT NOT NULL,
    alphabet TEXT NOT NULL,
    user_data BLOB NOT NULL,
    user_data_length INTEGER NOT NULL,
    has_header INTEGER NOT NULL,
    text TEXT,
    part INTEGER NOT NULL,
    parts INTEGER NOT NULL,
    error_answer INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    message_reference INTEGER,
    reason TEXT,
    queued_wall REAL NOT NULL,
    queued_uptime REAL NOT NULL,
    sent_wall REAL,
    sent_uptime REAL,
    omitted INTEGER NOT NULL DEFAULT 0,
    spread_s REAL NOT NULL DEFAULT 0,
    sending_wall REAL
);

CREATE INDEX replies_command ON replies (command_id);

CREATE INDEX replies_open ON replies (id) WHERE state IN ('queued', 'sending');

CREATE TABLE resets (
    id INTEGER PRIMARY KEY,
    action TEXT NOT NULL,
    reason TEXT NOT NULL,
    at_wall REAL NOT NULL,
    at_uptime REAL NOT NULL
);

CREATE TABLE sims (
    iccid TEXT PRIMARY KEY,
    service_centre TEXT,
    last_seen_wall REAL NOT NULL
) WITHOUT ROWID;

CREATE TABLE slots (
    store TEXT NOT NULL,
    slot INTEGER NOT NULL,
    raw TEXT NOT NULL,
    PRIMARY KEY (store, slot)
) WITHOUT ROWID;

CREATE TABLE status_reports (
    id INTEGER PRIMARY KEY,
    message_reference INTEGER NOT NULL,
    recipient TEXT NOT NULL,
    status INTEGER NOT NULL,
    discharge_time TEXT,
    reply_id INTEGER,
    at_wall REAL NOT NULL,
    at_uptime REAL NOT NULL
)
"""
