"""The journal's side of receiving: what a message is kept as, which are doubles, which Command runs next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from agent.journal.journal import DAY_S, Journal, Moment
from agent.journal.outbox import Outbox
from agent.journal.rows import CommandRow, Kept, Outcome, Outgoing
from agent.service.message import Command, Part, PartKey, Received, Report, Stray

STRAYS_KEPT = 1000
PARTS_WAIT_S = DAY_S
"""How long the parts of an incomplete message wait: the services try for 24 hours, then nothing comes."""

COMMAND_COLUMNS = (
    "commands.id, commands.sid, sender, body, timestamp, answerable, attempt, commands.handler,"
    " repeatable, commands.state"
)


class Inbox:
    """Commands, parts and strays. Each method that writes is one commit."""

    def __init__(self, journal: Journal, outbox: Outbox, *, dedup_without_sid: bool = True) -> None:
        self._journal = journal
        self._outbox = outbox
        self._dedup_without_sid = dedup_without_sid
        self._execute = journal.connection.execute

    # Receiving

    def keep(self, slot: tuple[str, int] | None, raw: str, classify: Callable[[Inbox], Received]) -> Kept:
        """Commit a message, whatever it is; after this it may be deleted from the module.

        `slot` is where the module stores it, None for one that was handed over directly. `classify` says
        what it is, given this memory.
        """
        if slot is not None and slot not in self._journal.freed and self._slot(slot) == raw:
            return Kept(Outcome.KNOWN)
        received = classify(self)
        with self._journal.transaction() as now:
            if slot is not None:
                self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*slot, raw))
            match received:
                case Command():
                    kept = self._command(received, raw, now)
                case Part():
                    kept = self._part(received, now)
                case Report(report):
                    reply = self._outbox.report(report, now)
                    kept = Kept(Outcome.REPORT, detail=f"status {report.status:#04x}", reply=reply)
                case Stray():
                    kept = self._stray(received, raw, now)
        if slot is not None:
            self._journal.freed.discard(slot)
        return kept

    def parts(self, key: PartKey) -> Mapping[int, Part]:
        """The parts of a concatenated message that are kept so far."""
        rows = self._execute(
            "SELECT number, raw, identity FROM parts"
            " WHERE sender = ? AND reference = ? AND wide = ? AND total = ?",
            (key.sender, key.reference, key.wide, key.total),
        )
        return {number: Part(key, number, raw, identity) for number, raw, identity in rows}

    def seen(self, identity: bytes) -> bool:
        """Whether a message with this identity has been dealt with."""
        found = self._execute("SELECT 1 FROM seen WHERE key = ?", (b"m" + identity,)).fetchone()
        return self._dedup_without_sid and found is not None

    def _slot(self, slot: tuple[str, int]) -> str | None:
        row = self._execute("SELECT raw FROM slots WHERE store = ? AND slot = ?", slot).fetchone()
        return None if row is None else str(row[0])

    def _command(self, command: Command, raw: str, now: Moment) -> Kept:
        body = _digest(command.body)
        key = _key(command)
        known = None
        if key is not None and (command.sid is not None or self._dedup_without_sid):
            known = self._execute("SELECT body, command FROM seen WHERE key = ?", (key,)).fetchone()
        if known is not None:
            if known[0] not in (None, body):
                reason = f"{command.sid} came before with another body"
                text = command.body if isinstance(command.body, str) else command.body.hex().upper()
                return self._stray(Stray(reason, command.sender, text), raw, now)
            return self._double(known[1], command)
        stamp = None if command.timestamp is None else command.timestamp.timestamp()
        horizon = self._journal.horizon
        too_old = stamp is not None and horizon is not None and stamp <= horizon
        why = "older than the memory for doubles reaches" if too_old else None
        number = self._execute(
            "INSERT INTO commands (state, sid, sender, mode, body, timestamp, answerable, reason,"
            " received_wall, received_running, ended_wall) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                "expired" if too_old else "received",
                command.sid,
                command.sender,
                "text" if isinstance(command.body, str) else "binary",
                command.body,
                None if command.timestamp is None else command.timestamp.isoformat(),
                command.answerable,
                why,
                now.wall,
                now.running,
                now.wall if too_old else None,
            ),
        ).lastrowid
        if key is not None:
            self._remember(key, body if command.sid is not None else None, number, stamp, now)
        for part in command.parts:
            if part.identity is not None:
                self._remember(b"m" + part.identity, None, number, stamp, now)
        if command.parts:
            self._forget_parts(command.parts[0].key)
        if stamp is not None:
            self._journal.newest_timestamp = max(self._journal.newest_timestamp, stamp)
        outcome = Outcome.EXPIRED if too_old else Outcome.NEW
        return Kept(outcome, number, command.sid, detail=why or "", content=command.body)

    def _double(self, number: int | None, command: Command) -> Kept:
        row = self._execute(
            "UPDATE commands SET doubles = doubles + 1 WHERE id = ? RETURNING doubles", (number,)
        ).fetchone()
        deliveries = 2 if row is None else int(row[0]) + 1
        return Kept(Outcome.DOUBLE, number, command.sid, content=command.body, deliveries=deliveries)

    def _remember(
        self, key: bytes, body: bytes | None, command: int | None, stamp: float | None, now: Moment
    ) -> None:
        self._execute(
            "INSERT OR REPLACE INTO seen VALUES (?,?,?,?,?,?)",
            (key, body, command, stamp, now.wall, now.running),
        )

    def _part(self, part: Part, now: Moment) -> Kept:
        key = part.key
        which = f"part {part.number} of {key.total}, reference {key.reference}"
        if part.identity is not None and self.seen(part.identity):
            return Kept(Outcome.DOUBLE, detail=which)
        kept = self.parts(key).get(part.number)
        if kept is not None:
            if kept.raw == part.raw or (kept.identity is not None and kept.identity == part.identity):
                return Kept(Outcome.DOUBLE, detail=which)
            self._give_up(key, "its reference was used again", now)
        self._execute(
            "INSERT INTO parts VALUES (?,?,?,?,?,?,?,?,?)",
            (
                key.sender, key.reference, key.wide, key.total,
                part.number, part.raw, part.identity, now.wall, now.running,
            ),
        )  # fmt: skip
        return Kept(Outcome.PART, detail=which)

    def _stray(self, stray: Stray, raw: str, now: Moment) -> Kept:
        number = self._execute(
            "INSERT INTO strays (reason, sender, text, raw, at_wall) VALUES (?,?,?,?,?)",
            (stray.reason, stray.sender, stray.text, raw, now.wall),
        ).lastrowid
        self._execute("DELETE FROM strays WHERE id <= ?", ((number or 0) - STRAYS_KEPT,))
        sender = "" if stray.sender is None else f"from {stray.sender}: "
        return Kept(Outcome.STRAY, detail=f"{sender}{stray.reason}", content=stray.text)

    def _forget_parts(self, key: PartKey) -> None:
        self._execute(
            "DELETE FROM parts WHERE sender = ? AND reference = ? AND wide = ? AND total = ?",
            (key.sender, key.reference, key.wide, key.total),
        )

    def _give_up(self, key: PartKey, why: str, now: Moment) -> None:
        """Parts whose others will not come become strays, to be looked at."""
        parts = self.parts(key)
        for number in sorted(parts):
            reason = f"part {number} of {key.total}, the others are missing: {why}"
            self._stray(Stray(reason, key.sender, None), parts[number].raw, now)
        self._forget_parts(key)

    def free(self, slot: tuple[str, int]) -> None:
        """The module has deleted that slot; it is written with the next commit, none is made for it.

        Should that be lost with the power, the row says that the slot may still hold its message: then
        the slot is read, and what is not there needs no deleting.
        """
        self._journal.freed.add(slot)

    # Running

    @property
    def newest_timestamp(self) -> float:
        """The latest service centre time stamp of any Command, seconds since 1970."""
        return self._journal.newest_timestamp

    def waiting(self) -> Sequence[CommandRow]:
        """The Commands that are to be run, oldest first."""
        return [
            command_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' ORDER BY id"
            )
        ]

    def interrupted(self) -> Sequence[CommandRow]:
        """The Commands that were running when the agent ended; asked once, before any begins."""
        return [
            command_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'running' ORDER BY id"
            )
        ]

    def begin(self, command: int, handler: str, *, repeatable: bool) -> None:
        """Committed before the handler starts: whatever happens now, this run has begun."""
        with self._journal.transaction():
            self._execute(
                "UPDATE commands SET state = 'running', attempt = attempt + 1, handler = ?, repeatable = ?"
                " WHERE id = ?",
                (handler, repeatable, command),
            )

    def again(self, command: int, reason: str) -> None:
        """The handler may run once more, later."""
        with self._journal.transaction():
            self._execute(
                "UPDATE commands SET state = 'received', reason = ? WHERE id = ?", (reason, command)
            )

    def finish(
        self,
        command: int,
        state: str,
        reason: str | None = None,
        replies: Sequence[Outgoing] = (),
        action: tuple[str, str] | None = None,
    ) -> None:
        """The Command has ended (`done`, `failed`, `expired`), its reply is queued: one commit for both.

        `action` is handler and name of what is to be done after the reply.
        """
        with self._journal.transaction() as now:
            self._execute(
                "UPDATE commands SET state = ?, reason = ?, ended_wall = ? WHERE id = ?",
                (state, reason, now.wall, command),
            )
            for reply in replies:
                self._outbox.insert(command, reply, now)
            if action is not None:
                self._execute(
                    "INSERT INTO actions (command, handler, action, state, asked_wall, asked_running)"
                    " VALUES (?, ?, ?, 'waiting', ?, ?)",
                    (command, *action, now.wall, now.running),
                )

    # Forgetting

    def prune(self, keep_days: float, dedup_days: float) -> int:
        """Forget old texts, old doubles and parts that wait in vain; returns how many rows went.

        Nothing open is forgotten. The newest time stamp among the forgotten doubles becomes the horizon.
        """
        journal = self._journal
        now = journal.now()
        incomplete = [
            PartKey(sender, reference, bool(wide), total)
            for sender, reference, wide, total, wall, running in self._execute(
                "SELECT sender, reference, wide, total, max(at_wall), max(at_running) FROM parts"
                " GROUP BY sender, reference, wide, total"
            ).fetchall()
            if journal.age(wall, running) > PARTS_WAIT_S
        ]
        texts = (now.wall - keep_days * DAY_S, now.running - keep_days * DAY_S)
        doubles = (now.wall - dedup_days * DAY_S, now.running - dedup_days * DAY_S)
        forgotten = "at_wall < ? AND at_running < ?"
        count, newest = self._execute(
            f"SELECT count(*), max(timestamp) FROM seen WHERE {forgotten}", doubles
        ).fetchone()
        ended = (
            "state IN ('done', 'failed', 'expired') AND received_wall < ? AND received_running < ?"
            " AND id NOT IN (SELECT command FROM actions WHERE state IN ('waiting', 'acting'))"
            " AND id NOT IN (SELECT command FROM replies"
            " WHERE command IS NOT NULL AND state IN ('queued', 'sending'))"
        )
        old = self._execute(f"SELECT count(*) FROM commands WHERE {ended}", texts).fetchone()[0]
        if not incomplete and not count and not old:
            return 0
        with journal.transaction() as moment:
            for key in incomplete:
                self._give_up(key, "they did not come within a day", moment)
            self._execute(f"DELETE FROM seen WHERE {forgotten}", doubles)
            if newest is not None:
                journal.horizon = max(newest, journal.horizon or newest)
            self._execute(f"DELETE FROM commands WHERE {ended}", texts)
            self._execute(
                "DELETE FROM replies WHERE state NOT IN ('queued', 'sending')"
                " AND queued_wall < ? AND queued_running < ?",
                texts,
            )
            self._execute(
                "DELETE FROM actions WHERE state IN ('done', 'failed')"
                " AND asked_wall < ? AND asked_running < ?",
                texts,
            )
            self._execute("DELETE FROM reports WHERE at_wall < ? AND at_running < ?", texts)
        return int(count) + int(old) + len(incomplete)

    def counts(self) -> dict[str, int]:
        """How many Commands there are in each state, and strays and parts; for `status`."""
        found = dict(self._execute("SELECT state, count(*) FROM commands GROUP BY state").fetchall())
        found["strays"] = self._execute("SELECT count(*) FROM strays").fetchone()[0]
        found["parts"] = self._execute("SELECT count(*) FROM parts").fetchone()[0]
        return found


def _key(command: Command) -> bytes | None:
    if command.sid is not None:
        return b"s" + command.sid.encode()
    return None if command.identity is None else b"m" + command.identity


def _digest(body: str | bytes) -> bytes:
    octets = b"t" + body.encode("utf-8", "surrogatepass") if isinstance(body, str) else b"b" + body
    return hashlib.blake2b(octets, digest_size=16).digest()


def command_row(row: tuple[object, ...]) -> CommandRow:
    """A row of `COMMAND_COLUMNS`."""
    number, sid, sender, body, timestamp, answerable, attempt, handler, repeatable, state = row
    return CommandRow(
        int(str(number)),
        None if sid is None else str(sid),
        str(sender),
        body if isinstance(body, (str, bytes)) else str(body),
        None if timestamp is None else datetime.fromisoformat(str(timestamp)),
        bool(answerable),
        int(str(attempt)),
        None if handler is None else str(handler),
        bool(repeatable),
        str(state),
    )
