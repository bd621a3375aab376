"""The journal's side of receiving: what a message is kept as, which are doubles, which Command runs next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import pdu
from agent.journal.journal import Journal, Moment
from agent.journal.outbox import Outbox
from agent.journal.rows import CommandRow, Kept, Outcome, Outgoing
from agent.service.message import Command, Part, PartKey, Received, Report, Stray
from agent.story import masked

STRAYS_KEPT = 1000
PARTS_KEPT = 2000
"""Parts of all incomplete messages, of which one has 255 at the most; beyond them the oldest is given up."""

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
        self._execute = journal.execute

    # Receiving

    def keep(
        self,
        slot: tuple[str, int] | None,
        raw: str,
        classify: Callable[[Inbox], Received],
        *,
        run: bool = True,
    ) -> Kept:
        """Commit a message, whatever it is; after this it may be deleted from the module.

        `slot` is where the module stores it, None for one that was handed over directly. `classify` says
        what it is, given this memory. Without `run` a new Command is kept as expired.
        """
        key = ("keep", slot, raw)
        if (
            slot is not None
            and not self._journal.has_landed(key)
            and slot not in self._journal.freed
            and self._holds(slot, raw)
        ):
            return Kept(Outcome.KNOWN)
        received = classify(self)

        def write(now: Moment) -> Kept:
            if slot is not None:
                self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*slot, raw))
            match received:
                case Command():
                    return self._command(received, raw, now, run=run)
                case Part():
                    return self._part(received, now)
                case Report(report):
                    reply = self._outbox.report(report, now)
                    return Kept(Outcome.REPORT, detail=f"status {report.status:#04x}", reply=reply)
                case Stray():
                    return self._stray(received, raw, now)

        kept = self._journal.commit(key, write)
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

    def _holds(self, slot: tuple[str, int], raw: str) -> bool:
        """Whether that slot holds what was kept before. A module that does not tell the name of its store in
        one session (then it is empty) may tell it in the next.
        """
        known = self._execute(
            "SELECT 1 FROM slots WHERE slot = ? AND raw = ? AND (store = ? OR store = '' OR ? = '')",
            (slot[1], raw, slot[0], slot[0]),
        )
        return known.fetchone() is not None

    def _command(self, command: Command, raw: str, now: Moment, *, run: bool) -> Kept:
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
        why = None
        if stamp is not None and horizon is not None and stamp <= horizon:
            why = "older than the memory for doubles reaches"
        elif not run:
            why = "it was in the module before the first start"
        number = self._journal.number("commands")
        self._execute(
            "INSERT INTO commands (id, state, sid, sender, mode, body, timestamp, answerable, reason,"
            " received_wall, received_running, ended_wall) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                number,
                "expired" if why else "received",
                command.sid,
                command.sender,
                "text" if isinstance(command.body, str) else "binary",
                command.body,
                None if command.timestamp is None else command.timestamp.isoformat(),
                command.answerable,
                why,
                now.wall,
                now.running,
                now.wall if why else None,
            ),
        )
        if key is not None:
            self._remember(key, body if command.sid is not None else None, number, stamp, now)
        for part in command.parts:
            if part.identity is not None:
                self._remember(b"m" + part.identity, None, number, stamp, now)
        if command.parts:
            self._forget_parts(command.parts[0].key)
        if stamp is not None:
            self._journal.newest_timestamp = max(self._journal.newest_timestamp, stamp)
        outcome = Outcome.EXPIRED if why else Outcome.NEW
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
        if part.anew:
            self.give_up(key, "its reference was used again", now)
        elif kept is not None:
            if kept.raw == part.raw or (kept.identity is not None and kept.identity == part.identity):
                return Kept(Outcome.DOUBLE, detail=which)
            self.give_up(key, "its reference was used again", now)
        self._make_room(key, now)
        self._execute(
            "INSERT INTO parts VALUES (?,?,?,?,?,?,?,?,?)",
            (
                key.sender, key.reference, key.wide, key.total,
                part.number, part.raw, part.identity, now.wall, now.running,
            ),
        )  # fmt: skip
        return Kept(Outcome.PART, detail=which)

    def _make_room(self, key: PartKey, now: Moment) -> None:
        """Messages that are never completed must not fill the disk before their day is over."""
        while self._execute("SELECT count(*) FROM parts").fetchone()[0] >= PARTS_KEPT:
            sender, reference, wide, total = self._execute(
                "SELECT sender, reference, wide, total FROM parts"
                " WHERE (sender, reference, wide, total) <> (?, ?, ?, ?)"
                " ORDER BY at_running, at_wall LIMIT 1",
                (key.sender, key.reference, key.wide, key.total),
            ).fetchone()
            self.give_up(
                PartKey(sender, reference, bool(wide), total), "too many messages are incomplete", now
            )

    def _stray(self, stray: Stray, raw: str, now: Moment) -> Kept:
        number = self._execute(
            "INSERT INTO strays (reason, sender, text, raw, at_wall) VALUES (?,?,?,?,?)",
            (stray.reason, stray.sender, stray.text, raw, now.wall),
        ).lastrowid
        self._execute("DELETE FROM strays WHERE id <= ?", ((number or 0) - STRAYS_KEPT,))
        sender = "" if stray.sender is None else f"from {masked(stray.sender)}: "
        return Kept(Outcome.STRAY, detail=f"{sender}{stray.reason}", content=stray.text)

    def _forget_parts(self, key: PartKey) -> None:
        self._execute(
            "DELETE FROM parts WHERE sender = ? AND reference = ? AND wide = ? AND total = ?",
            (key.sender, key.reference, key.wide, key.total),
        )

    def give_up(self, key: PartKey, why: str, now: Moment) -> None:
        """Inside the caller's transaction: parts whose others will not come become strays."""
        parts = self.parts(key)
        for number in sorted(parts):
            reason = f"part {number} of {key.total}, the others are missing: {why}"
            self._stray(Stray(reason, key.sender, _text(parts[number].raw)), parts[number].raw, now)
        self._forget_parts(key)

    def free(self, slot: tuple[str, int]) -> None:
        """The module has deleted that slot; it is written with the next commit, none is made for it.

        Should that be lost with the power, the row says that the slot may still hold its message: then
        the slot is read, and what is not there needs no deleting.
        """
        self._journal.freed |= {slot, ("", slot[1])}

    # Running

    @property
    def newest_timestamp(self) -> float:
        """The latest service centre time stamp of any Command, seconds since 1970."""
        return self._journal.newest_timestamp

    @property
    def swept(self) -> bool:
        """Whether all that the module held at the first start of this journal is kept."""
        return self._journal.swept

    def note_swept(self) -> None:
        """From now on what the module holds has come since."""
        self._journal.swept = True
        self._journal.commit("swept", lambda _: None)

    def waiting(self, above: int = 0, limit: int = -1) -> Sequence[CommandRow]:
        """The Commands with a higher number than `above` that are to be run, oldest first."""
        return [
            command_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id > ?"
                " ORDER BY id LIMIT ?",
                (above, limit),
            )
        ]

    def command(self, number: int) -> CommandRow | None:
        """One Command that is to be run; None if it is not any more."""
        row = self._execute(
            f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id = ?", (number,)
        ).fetchone()
        return None if row is None else command_row(row)

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
        self._journal.commit(
            ("begin", command),
            lambda _: self._execute(
                "UPDATE commands SET state = 'running', attempt = attempt + 1, handler = ?, repeatable = ?"
                " WHERE id = ?",
                (handler, repeatable, command),
            ),
        )

    def again(self, command: int, reason: str, *, begun: bool = True) -> None:
        """The handler may run once more, later. Not `begun`: that attempt does not count, it was none."""
        self._journal.commit(
            ("again", command),
            lambda _: self._execute(
                "UPDATE commands SET state = 'received', reason = ?, attempt = attempt - ? WHERE id = ?",
                (reason, not begun, command),
            ),
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

        def write(now: Moment) -> None:
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

        self._journal.commit(("finish", command), write)

    # For people

    def counts(self) -> dict[str, int]:
        """How many Commands there are in each state, and strays and parts; for `status`."""
        found = dict(self._execute("SELECT state, count(*) FROM commands GROUP BY state").fetchall())
        found["strays"] = self._execute("SELECT count(*) FROM strays").fetchone()[0]
        found["parts"] = self._execute("SELECT count(*) FROM parts").fetchone()[0]
        return found


def _text(raw: str) -> str | None:
    """What a part says, for people; None where that cannot be told."""
    try:
        message = pdu.decode(raw)
    except (pdu.PduError, ValueError):
        return None
    if not isinstance(message, pdu.Deliver):
        return None
    return message.text if message.text is not None else (message.data or b"").hex().upper()


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
