PRAGMA user_version = 3;
BEGIN TRANSACTION;
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
INSERT INTO "actions" VALUES(1,2,'reboot','then','waiting',NULL,1795348800.0,0.0);
INSERT INTO "actions" VALUES(2,3,'halt','then','acting',NULL,1795348800.0,0.0);
CREATE TABLE cards (            -- SIMs that this agent has worked with
    iccid           TEXT PRIMARY KEY,-- empty for one that does not tell its number
    service_centre  TEXT,            -- its service centre number as last read
    at_wall         REAL NOT NULL    -- when it was seen last
) WITHOUT ROWID;
INSERT INTO "cards" VALUES('89440000000000000017','+447700900000',1795348800.0);
CREATE TABLE clock (            -- one row
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    running         REAL NOT NULL,   -- seconds the agent has run, all starts together
    newest_timestamp REAL NOT NULL,  -- the latest service centre time stamp of a Command
    horizon         REAL             -- newest service centre time stamp among forgotten Commands
, swept INTEGER NOT NULL DEFAULT 1);
INSERT INTO "clock" VALUES(1,60.0,1795348706.0,1791892800.0,1);
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
INSERT INTO "commands" VALUES(1,'done','DC00000000000000000000000000000001','2936','text','led on','2026-11-22T11:58:21+00:00',1,2,1,'led',0,NULL,1795348800.0,0.0,1795348800.0);
INSERT INTO "commands" VALUES(2,'done','DC00000000000000000000000000000002','2936','text','reboot','2026-11-22T11:58:22+00:00',1,0,1,'reboot',0,NULL,1795348800.0,0.0,1795348800.0);
INSERT INTO "commands" VALUES(3,'done','DC00000000000000000000000000000003','2936','text','halt','2026-11-22T11:58:23+00:00',1,0,1,'halt',0,NULL,1795348800.0,0.0,1795348800.0);
INSERT INTO "commands" VALUES(4,'running','DC00000000000000000000000000000004','2936','text','count','2026-11-22T11:58:24+00:00',1,0,1,'count',1,NULL,1795348800.0,0.0,NULL);
INSERT INTO "commands" VALUES(5,'received',NULL,'2936','binary',X'01FF','2026-11-22T11:58:25+00:00',1,0,0,NULL,0,NULL,1795348800.0,0.0,NULL);
INSERT INTO "commands" VALUES(6,'expired','DC00000000000000000000000000000006','2936','text','late','2026-11-22T11:58:26+00:00',1,0,0,NULL,0,'it was in the module before the first start',1795348800.0,0.0,1795348800.0);
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
INSERT INTO "parts" VALUES('2936',9,0,3,1,'01',X'01010101010101010101010101010101',1795348800.0,0.0);
INSERT INTO "parts" VALUES('2936',9,0,3,2,'02',X'02020202020202020202020202020202',1795348800.0,0.0);
CREATE TABLE pins (             -- PINs that were tried: none is tried twice on one card
    iccid           TEXT NOT NULL,   -- empty for a card that does not tell its number before it is open
    salt            BLOB NOT NULL,
    pin             BLOB NOT NULL,   -- salted digest of the PIN
    state           TEXT NOT NULL,   -- trying, refused
    at_wall         REAL NOT NULL
);
INSERT INTO "pins" VALUES('89440000000000000017',X'73737373737373737373737373737373',X'E6F238C30DB58BA03B7F9DDB066E42D6DFC34EF28C0572DA619AA45C724178EC','refused',1795348800.0);
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
INSERT INTO "replies" VALUES(1,1,'delivered','2936','gsm7',X'6F37',2,0,'on',1,1,0,1,7,NULL,1795348800.0,0.0,1795348800.0,0.0);
INSERT INTO "replies" VALUES(2,2,'queued','2936','gsm7',X'F2B2F8FDA6A7DD67',9,0,'rebooting',1,1,0,0,NULL,NULL,1795348800.0,0.0,NULL,NULL);
INSERT INTO "replies" VALUES(3,3,'sending','2936','gsm7',X'E8309B9E769F01',7,0,'halting',1,1,0,1,NULL,NULL,1795348800.0,0.0,1795348800.0,0.0);
INSERT INTO "replies" VALUES(4,NULL,'queued','+15550001234','8bit',X'0102',2,0,'0102',1,1,0,0,NULL,NULL,1795348800.0,0.0,NULL,NULL);
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
INSERT INTO "reports" VALUES(1,7,'2936',0,'2026-11-22T12:00:00+00:00',1,1795348800.0,0.0);
INSERT INTO "reports" VALUES(2,99,'2936',70,'2026-11-22T12:00:00+00:00',NULL,1795348800.0,0.0);
CREATE TABLE resets (           -- restarts of the module that this agent caused
    id              INTEGER PRIMARY KEY,
    step            TEXT NOT NULL,   -- radio, restart, power
    reason          TEXT NOT NULL,   -- what it was to mend
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL
);
INSERT INTO "resets" VALUES(1,'restart','the module does not answer',1795348800.0,0.0);
CREATE TABLE seen (             -- what makes a delivery a double; outlives the texts
    key             BLOB PRIMARY KEY,-- 's' + SID, or 'm' + digest of sender, time stamp and user data
    body            BLOB,            -- digest of the body; NULL where the key holds it all
    command         INTEGER,         -- commands.id; NULL for a part of a concatenated message
    timestamp       REAL,            -- service centre time stamp, seconds since 1970
    at_wall         REAL NOT NULL,
    at_running      REAL NOT NULL
) WITHOUT ROWID;
INSERT INTO "seen" VALUES(X'6D69696969696969696969696969696969',NULL,5,1795348705.0,1795348800.0,0.0);
INSERT INTO "seen" VALUES(X'7344433030303030303030303030303030303030303030303030303030303030303031',X'C3AC1C261CF05941E11109B8669E6A07',1,1795348701.0,1795348800.0,0.0);
INSERT INTO "seen" VALUES(X'7344433030303030303030303030303030303030303030303030303030303030303032',X'C0809D487A08FFF9193F04C804FF3DC3',2,1795348702.0,1795348800.0,0.0);
INSERT INTO "seen" VALUES(X'7344433030303030303030303030303030303030303030303030303030303030303033',X'7753CCC91E8EAFE1EB5AF5667D8B5205',3,1795348703.0,1795348800.0,0.0);
INSERT INTO "seen" VALUES(X'7344433030303030303030303030303030303030303030303030303030303030303034',X'B3275075124A1DB1EA8FB825821FABC0',4,1795348704.0,1795348800.0,0.0);
INSERT INTO "seen" VALUES(X'7344433030303030303030303030303030303030303030303030303030303030303036',X'1AD391F272DBE34C88E8D3768CB8310B',6,1795348706.0,1795348800.0,0.0);
CREATE TABLE slots (            -- messages that are kept here and perhaps still in the module
    store           TEXT NOT NULL,   -- "ME", "SM" ...
    slot            INTEGER NOT NULL,-- index in that store
    raw             TEXT NOT NULL,   -- the PDU as read
    PRIMARY KEY (store, slot)
) WITHOUT ROWID;
INSERT INTO "slots" VALUES('ME',3,'AA');
INSERT INTO "slots" VALUES('ME',4,'01');
INSERT INTO "slots" VALUES('ME',5,'02');
CREATE TABLE strays (           -- messages that command nobody; the newest 1,000
    id              INTEGER PRIMARY KEY,
    reason          TEXT NOT NULL,
    sender          TEXT,
    text            TEXT,
    raw             TEXT NOT NULL,   -- the PDU as read
    at_wall         REAL NOT NULL
);
INSERT INTO "strays" VALUES(1,'not from 2936','+15550001234','hello','BB',1795348800.0);
CREATE INDEX commands_open ON commands (id) WHERE state IN ('received', 'running');
CREATE INDEX replies_open ON replies (id) WHERE state IN ('queued', 'sending');
CREATE INDEX replies_command ON replies (command);
CREATE INDEX actions_open ON actions (id) WHERE state IN ('waiting', 'acting');
COMMIT;
