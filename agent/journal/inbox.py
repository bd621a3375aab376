"""The journal's side of Commands: what a message is kept as, which Command runs next, how each ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.journal.dedup import DedupIndex
from agent.journal.ignored import IgnoredMessages
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import (
    COMMAND_COLUMNS,
    CommandRow,
    OutgoingMessage,
    StoreOutcome,
    StoreResult,
    command_from_row,
)
from agent.journal.outbox import OutboxStore
from agent.journal.parts import PartStore
from agent.service.message import (
    IgnoredMessage,
    MessagePart,
    ReceivedCommand,
    ReceivedMessage,
    ReceivedReport,
)


class CommandStore:
    """What comes in. Each method that writes is one commit."""

    def __init__(self, journal: Journal, outbox: OutboxStore, *, dedup_without_sid: bool = True) -> None:
        self._journal = journal
        self._outbox = outbox
        self._dedup = DedupIndex(journal, without_sid=dedup_without_sid)
        self._ignored = IgnoredMessages(journal)
        self.parts = PartStore(journal, self._dedup, self._ignored)
        self._execute = journal.execute

    # Receiving

    def store(
        self,
        slot: tuple[str, int] | None,
        raw: str,
        classify: Callable[[PartStore], ReceivedMessage],
        *,
        run: bool = True,
    ) -> StoreResult:
        """Commit a message, whatever it is; after this it may be deleted from the module.

        `slot` is where the module stores it, None for one that was handed over directly. `classify` says
        what it is, given what is kept of others. Without `run` a new Command is kept as expired.
        """
        key = ("keep", slot, raw)
        if (
            slot is not None
            and not self._journal.is_confirmed(key)
            and slot not in self._journal.freed_slots
            and self._is_stored(slot, raw)
        ):
            return StoreResult(StoreOutcome.ALREADY_STORED)
        received = classify(self.parts)

        def write(now: JournalTime) -> StoreResult:
            if slot is not None:
                self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*slot, raw))
            match received:
                case ReceivedCommand():
                    return self._store_command(received, raw, now, run=run)
                case MessagePart():
                    return self.parts.store(received, now)
                case ReceivedReport(report):
                    reply = self._outbox.store_report(report, now)
                    return StoreResult(
                        StoreOutcome.REPORT, detail=f"status {report.status:#04x}", reply_id=reply
                    )
                case IgnoredMessage():
                    return self._ignored.store(received, raw, now)

        kept = self._journal.commit(key, write)
        if slot is not None:
            self._journal.freed_slots.discard(slot)
        return kept

    def _is_stored(self, slot: tuple[str, int], raw: str) -> bool:
        """Whether that slot holds what was kept before. A module that does not tell the name of its store in
        one session (then it is empty) may tell it in the next.
        """
        known = self._execute(
            "SELECT 1 FROM slots WHERE slot = ? AND raw = ? AND (store = ? OR store = '' OR ? = '')",
            (slot[1], raw, slot[0], slot[0]),
        )
        return known.fetchone() is not None

    def _store_command(
        self, command: ReceivedCommand, raw: str, now: JournalTime, *, run: bool
    ) -> StoreResult:
        known = self._dedup.find(command)
        if known is not None and known.same_body:
            return self._count_duplicate(known.command_id, command)
        if known is not None:
            reason = f"{command.sid} came before with another body"
            text = command.body if isinstance(command.body, str) else command.body.hex().upper()
            return self._ignored.store(IgnoredMessage(reason, command.sender, text), raw, now)
        stamp = None if command.timestamp is None else command.timestamp.timestamp()
        horizon = self._journal.meta.dedup_horizon
        why = None
        if stamp is not None and horizon is not None and stamp <= horizon:
            why = "older than the memory for doubles reaches"
        elif not run:
            why = "it was in the module before the first start"
        number = self._journal.next_id("commands")
        self._execute(
            "INSERT INTO commands (id, state, sid, sender, mode, body, timestamp, answerable, reason,"
            " received_wall, received_uptime, ended_wall) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)",
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
                now.uptime,
                now.wall if why else None,
            ),
        )
        self._dedup.record(command, number, now)
        if command.parts:
            self.parts.delete(command.parts[0].key)
        if stamp is not None:
            self._journal.meta.newest_timestamp = max(self._journal.meta.newest_timestamp, stamp)
        outcome = StoreOutcome.EXPIRED if why else StoreOutcome.NEW
        return StoreResult(outcome, number, command.sid, detail=why or "", content=command.body)

    def _count_duplicate(self, command_id: int | None, command: ReceivedCommand) -> StoreResult:
        row = self._execute(
            "UPDATE commands SET duplicates = duplicates + 1 WHERE id = ? RETURNING duplicates", (command_id,)
        ).fetchone()
        deliveries = 2 if row is None else int(row[0]) + 1
        return StoreResult(
            StoreOutcome.DUPLICATE, command_id, command.sid, content=command.body, deliveries=deliveries
        )

    def mark_slot_free(self, slot: tuple[str, int]) -> None:
        """The module has deleted that slot; it is written with the next commit, none is made for it.

        Should that be lost with the power, the row says that the slot may still hold its message: then
        the slot is read, and what is not there needs no deleting.
        """
        self._journal.freed_slots |= {slot, ("", slot[1])}

    # Running

    @property
    def newest_timestamp(self) -> float:
        """The latest service centre time stamp of any Command, seconds since 1970."""
        return self._journal.meta.newest_timestamp

    @property
    def first_sweep_done(self) -> bool:
        """Whether all that the module held at the first start of this journal is kept."""
        return self._journal.meta.first_sweep_done

    def mark_first_sweep_done(self) -> None:
        """From now on what the module holds has come since."""
        self._journal.meta.first_sweep_done = True
        self._journal.commit("swept", lambda _: None)

    def list_pending(self, after_id: int = 0, limit: int = -1) -> Sequence[CommandRow]:
        """The Commands with a higher number than `above` that are to be run, oldest first."""
        return [
            command_from_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id > ?"
                " ORDER BY id LIMIT ?",
                (after_id, limit),
            )
        ]

    def get_pending(self, command_id: int) -> CommandRow | None:
        """One Command that is to be run; None if it is not any more."""
        row = self._execute(
            f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id = ?", (command_id,)
        ).fetchone()
        return None if row is None else command_from_row(row)

    def list_interrupted(self) -> Sequence[CommandRow]:
        """The Commands that were running when the agent ended; asked once, before any begins."""
        return [
            command_from_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'running' ORDER BY id"
            )
        ]

    def mark_running(self, command_id: int, handler: str, *, repeatable: bool) -> None:
        """Committed before the handler starts: whatever happens now, this run has begun."""
        self._journal.commit(
            ("begin", command_id),
            lambda _: self._execute(
                "UPDATE commands SET state = 'running', attempts = attempts + 1, handler = ?, repeatable = ?"
                " WHERE id = ?",
                (handler, repeatable, command_id),
            ),
        )

    def requeue(self, command_id: int, reason: str, *, count_attempt: bool = True) -> None:
        """The handler may run once more, later. Not `begun`: that attempt does not count, it was none."""
        self._journal.commit(
            ("again", command_id),
            lambda _: self._execute(
                "UPDATE commands SET state = 'received', reason = ?, attempts = attempts - ? WHERE id = ?",
                (reason, not count_attempt, command_id),
            ),
        )

    def finish(
        self,
        command_id: int,
        state: str,
        reason: str | None = None,
        replies: Sequence[OutgoingMessage] = (),
        action: tuple[str, str] | None = None,
    ) -> None:
        """The Command has ended (`done`, `failed`, `expired`), its reply is queued: one commit for both.

        `action` is handler and name of what is to be done after the reply.
        """

        def write(now: JournalTime) -> None:
            self._execute(
                "UPDATE commands SET state = ?, reason = ?, ended_wall = ? WHERE id = ?",
                (state, reason, now.wall, command_id),
            )
            for reply in replies:
                self._outbox.insert(command_id, reply, now)
            if action is not None:
                self._execute(
                    "INSERT INTO actions"
                    " (command_id, handler, action, state, requested_wall, requested_uptime)"
                    " VALUES (?, ?, ?, 'pending', ?, ?)",
                    (command_id, *action, now.wall, now.uptime),
                )

        self._journal.commit(("finish", command_id), write)

    # For people

    def count_by_state(self) -> dict[str, int]:
        """How many Commands there are in each state, and strays and parts; for `status`."""
        found = dict(self._execute("SELECT state, count(*) FROM commands GROUP BY state").fetchall())
        found["ignored"] = self._execute("SELECT count(*) FROM ignored").fetchone()[0]
        found["parts"] = self._execute("SELECT count(*) FROM parts").fetchone()[0]
        return found
