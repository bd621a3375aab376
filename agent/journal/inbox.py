"""The journal's side of Commands: what a message is kept as, which Command runs next, how each ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.journal.doubles import Doubles
from agent.journal.journal import Journal, Moment
from agent.journal.outbox import Outbox
from agent.journal.parts import Parts
from agent.journal.rows import COMMAND_COLUMNS, CommandRow, Kept, Outcome, Outgoing, command_row
from agent.journal.strays import Strays
from agent.service.message import Command, Part, Received, Report, Stray


class Inbox:
    """What comes in. Each method that writes is one commit."""

    def __init__(self, journal: Journal, outbox: Outbox, *, dedup_without_sid: bool = True) -> None:
        self._journal = journal
        self._outbox = outbox
        self._doubles = Doubles(journal, without_sid=dedup_without_sid)
        self._strays = Strays(journal)
        self.parts = Parts(journal, self._doubles, self._strays)
        self._execute = journal.execute

    # Receiving

    def keep(
        self,
        slot: tuple[str, int] | None,
        raw: str,
        classify: Callable[[Parts], Received],
        *,
        run: bool = True,
    ) -> Kept:
        """Commit a message, whatever it is; after this it may be deleted from the module.

        `slot` is where the module stores it, None for one that was handed over directly. `classify` says
        what it is, given what is kept of others. Without `run` a new Command is kept as expired.
        """
        key = ("keep", slot, raw)
        if (
            slot is not None
            and not self._journal.has_landed(key)
            and slot not in self._journal.freed
            and self._holds(slot, raw)
        ):
            return Kept(Outcome.KNOWN)
        received = classify(self.parts)

        def write(now: Moment) -> Kept:
            if slot is not None:
                self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*slot, raw))
            match received:
                case Command():
                    return self._command(received, raw, now, run=run)
                case Part():
                    return self.parts.keep(received, now)
                case Report(report):
                    reply = self._outbox.report(report, now)
                    return Kept(Outcome.REPORT, detail=f"status {report.status:#04x}", reply=reply)
                case Stray():
                    return self._strays.keep(received, raw, now)

        kept = self._journal.commit(key, write)
        if slot is not None:
            self._journal.freed.discard(slot)
        return kept

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
        known = self._doubles.find(command)
        if known is not None and known.same:
            return self._double(known.command, command)
        if known is not None:
            reason = f"{command.sid} came before with another body"
            text = command.body if isinstance(command.body, str) else command.body.hex().upper()
            return self._strays.keep(Stray(reason, command.sender, text), raw, now)
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
        self._doubles.remember(command, number, now)
        if command.parts:
            self.parts.forget(command.parts[0].key)
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
