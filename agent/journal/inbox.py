"""Received messages and the states of Commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from agent.journal.dedup import DedupIndex
from agent.journal.ignored import IgnoredMessages
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import (
    COMMAND_COLUMNS,
    CommandRow,
    CommandState,
    OutgoingMessage,
    ReplyRow,
    RunStart,
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
from pdu.record import Record

ChooseStart = Callable[[CommandRow, Collection[int]], RunStart | None]
"""Returns the handler that may start at once, given a new Command and the ids of all others that have not
ended. None: the Command waits in the state `received`. It is called in the thread of the journal."""


class MessageToStore(Record):
    """A received message for `CommandStore.store_all`."""

    slot: tuple[str, int] | None
    """Store and index where the module holds it; None for direct delivery."""
    raw: str
    """The PDU as read, in hexadecimal digits."""
    classify: Callable[[PartStore], ReceivedMessage]
    """Returns the kind of message, given the stored parts."""


class CommandStore:
    """The tables ``commands`` and ``slots``. Each method that writes is one commit."""

    def __init__(
        self,
        journal: Journal,
        outbox: OutboxStore,
        *,
        dedup_without_sid: bool = True,
        has_ignored_handler: Callable[[], bool] = lambda: False,
    ) -> None:
        self._journal = journal
        self._outbox = outbox
        self._dedup = DedupIndex(journal, without_sid=dedup_without_sid)
        self.ignored = IgnoredMessages(journal, has_ignored_handler)
        self.parts = PartStore(journal, self._dedup, self.ignored)
        self._execute = journal.execute

    # Receiving

    def store(
        self,
        slot: tuple[str, int] | None,
        raw: str,
        classify: Callable[[PartStore], ReceivedMessage],
        *,
        run: bool = True,
        choose_start: ChooseStart = lambda _row, _unfinished: None,
    ) -> StoreResult:
        """Commit one message, as `store_all` does."""
        return self.store_all([MessageToStore(slot, raw, classify)], run=run, choose_start=choose_start)[0]

    def store_all(
        self,
        messages: Sequence[MessageToStore],
        *,
        run: bool = True,
        choose_start: ChooseStart = lambda _row, _unfinished: None,
    ) -> list[StoreResult]:
        """Commit received messages of any kind, in their order, in one transaction; return all results.

        Afterwards they may be deleted from the module. If not `run`, new Commands are stored as expired. If
        `choose_start` returns a handler for one, it is stored as running.

        If an earlier call failed and has nevertheless stored them, none is returned as `started`.
        """
        key = ("CommandStore.store_all", *((message.slot, message.raw) for message in messages))
        is_confirmed = self._journal.is_confirmed(key)
        if not is_confirmed and all(map(self._is_stored, messages)):
            return [StoreResult(StoreOutcome.ALREADY_STORED)] * len(messages)

        def write(now: JournalTime) -> list[StoreResult]:
            return [self._store(message, now, choose_start, run=run) for message in messages]

        results = self._journal.commit(key, write)
        self._journal.freed_slots -= {message.slot for message in messages if message.slot is not None}
        return [result.replace(started=None) for result in results] if is_confirmed else results

    def _store(
        self, message: MessageToStore, now: JournalTime, choose_start: ChooseStart, *, run: bool
    ) -> StoreResult:
        """Store one message in the current transaction."""
        if self._is_stored(message):
            return StoreResult(StoreOutcome.ALREADY_STORED)
        received = message.classify(self.parts)
        if message.slot is not None:
            self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*message.slot, message.raw))
        match received:
            case ReceivedCommand():
                stored = self._store_command(received, message.raw, now, run=run)
                return self._start_new(stored, choose_start, now)
            case MessagePart():
                return self.parts.store(received, now)
            case ReceivedReport(report):
                reply = self._outbox.reports.store(report, now)
                return StoreResult(StoreOutcome.REPORT, detail=f"status {report.status:#04x}", reply_id=reply)
            case IgnoredMessage():
                return self.ignored.store(received, message.raw, now)

    def _is_stored(self, message: MessageToStore) -> bool:
        """Return True if this message was stored from its slot before.

        The name of the store is empty if the module does not report it; it may report it in the next session.
        """
        slot, raw = message.slot, message.raw
        if slot is None or slot in self._journal.freed_slots:
            return False
        row = self._execute(
            "SELECT 1 FROM slots WHERE slot = ? AND raw = ? AND (store = ? OR store = '' OR ? = '')",
            (slot[1], raw, slot[0], slot[0]),
        )
        return row.fetchone() is not None

    def _store_command(
        self, command: ReceivedCommand, raw: str, now: JournalTime, *, run: bool
    ) -> StoreResult:
        earlier = self._dedup.find(command)
        if earlier is not None and earlier.same_body:
            return self._count_duplicate(earlier.command_id, command, now)
        if earlier is not None:
            reason = f"{command.sid} was received before with another body"
            text = command.body if isinstance(command.body, str) else command.body.hex().upper()
            return self.ignored.store(IgnoredMessage(reason, command.sender, text), raw, now)
        stamp = None if command.timestamp is None else command.timestamp.timestamp()
        horizon = self._journal.meta.dedup_horizon
        expired_reason = None
        if stamp is not None and horizon is not None and stamp <= horizon:
            expired_reason = "older than the deduplication entries reach back"
        elif not run:
            expired_reason = "it was in the module before the first start"
        command_id = self._journal.next_id("commands")
        self._execute(
            "INSERT INTO commands (id, state, sid, sender, mode, body, timestamp, port, answerable, reason,"
            " received_wall, received_uptime, ended_wall) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                command_id,
                CommandState.EXPIRED if expired_reason else CommandState.RECEIVED,
                command.sid,
                command.sender,
                "text" if isinstance(command.body, str) else "binary",
                command.body,
                None if command.timestamp is None else command.timestamp.isoformat(),
                command.port,
                command.answerable,
                expired_reason,
                now.wall,
                now.uptime,
                now.wall if expired_reason else None,
            ),
        )
        self._dedup.record(command, command_id, now)
        if command.parts:
            self.parts.delete(command.parts[0].key)
        if stamp is not None:
            self._journal.meta.newest_timestamp = max(self._journal.meta.newest_timestamp, stamp)
        outcome = StoreOutcome.EXPIRED if expired_reason else StoreOutcome.NEW
        return StoreResult(
            outcome, command_id, command.sid, detail=expired_reason or "", content=command.body
        )

    def _start_new(self, stored: StoreResult, choose_start: ChooseStart, now: JournalTime) -> StoreResult:
        """Start a Command in the transaction that stores it, if its handler is free: that saves a commit."""
        if stored.outcome is not StoreOutcome.NEW or stored.command_id is None:
            return stored
        row = self.get_pending(stored.command_id)
        unfinished = self._execute(
            "SELECT id FROM commands WHERE state IN ('received', 'running') AND id != ?", (stored.command_id,)
        ).fetchall()
        start = None if row is None else choose_start(row, [number for (number,) in unfinished])
        if start is None:
            return stored
        self._set_running(stored.command_id, start, now)
        return stored.replace(started=row)

    def _count_duplicate(
        self, command_id: int | None, command: ReceivedCommand, now: JournalTime
    ) -> StoreResult:
        row = self._execute(
            "UPDATE commands SET duplicates = duplicates + 1, duplicate_wall = ? WHERE id = ?"
            " RETURNING duplicates",
            (now.wall, command_id),
        ).fetchone()
        deliveries = 2 if row is None else int(row[0]) + 1
        return StoreResult(
            StoreOutcome.DUPLICATE, command_id, command.sid, content=command.body, deliveries=deliveries
        )

    def mark_slot_free(self, slot: tuple[str, int]) -> None:
        """Record that the module has emptied a slot; the next commit writes it.

        If the power is lost before, the row remains. Then the slot is read again before anything is deleted.
        """
        self._journal.freed_slots |= {slot, ("", slot[1])}

    def mark_slot_kept(self, slot: tuple[str, int], raw: str) -> None:
        """Commit that the module has kept a message that was to be deleted: it is not stored again."""
        self._journal.freed_slots -= {slot, ("", slot[1])}
        self._journal.commit(
            ("CommandStore.mark_slot_kept", slot, raw),
            lambda _: self._execute("INSERT OR REPLACE INTO slots VALUES (?, ?, ?)", (*slot, raw)),
        )

    # Running

    @property
    def newest_timestamp(self) -> float:
        """The newest service centre time stamp of any Command, seconds since 1970; 0 for none."""
        return self._journal.meta.newest_timestamp

    @property
    def first_sweep_done(self) -> bool:
        """True once all messages that the module held at the first start are stored."""
        return self._journal.meta.first_sweep_done

    def mark_first_sweep_done(self) -> None:
        """Commit that all messages which the module held at the first start are stored."""
        self._journal.meta.first_sweep_done = True
        self._journal.commit("CommandStore.mark_first_sweep_done", lambda _: None)

    def list_pending(self, after_id: int = 0, limit: int = -1) -> Sequence[CommandRow]:
        """Return the Commands to be run with a higher id than `after_id`, oldest first; -1 means no limit."""
        return [
            command_from_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id > ?"
                " ORDER BY id LIMIT ?",
                (after_id, limit),
            )
        ]

    def get_pending(self, command_id: int) -> CommandRow | None:
        """Return a Command in the state `received`; None if it has another state or does not exist."""
        row = self._execute(
            f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'received' AND id = ?", (command_id,)
        ).fetchone()
        return None if row is None else command_from_row(row)

    def list_running(self) -> Sequence[CommandRow]:
        """Return the Commands in the state `running`; before any is started, the interrupted ones."""
        return [
            command_from_row(row)
            for row in self._execute(
                f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = 'running' ORDER BY id"
            )
        ]

    def mark_running(self, command_id: int, handler: str, *, repeatable: bool) -> None:
        """Commit the start of a run, before the handler is started."""
        self._journal.commit(
            ("CommandStore.mark_running", command_id),
            lambda now: self._set_running(command_id, RunStart(handler, repeatable), now),
        )

    def _set_running(self, command_id: int, start: RunStart, now: JournalTime) -> None:
        self._execute(
            "UPDATE commands SET state = 'running', attempts = attempts + 1, handler = ?, repeatable = ?,"
            " started_wall = ?, stderr = NULL WHERE id = ?",
            (start.handler, start.repeatable, now.wall, command_id),
        )

    def requeue(self, command_id: int, reason: str, *, count_attempt: bool = True, stderr: str = "") -> None:
        """Commit that the Command is to be run again. If not `count_attempt`, its handler did not start."""
        self._journal.commit(
            ("CommandStore.requeue", command_id),
            lambda _: self._execute(
                "UPDATE commands SET state = 'received', reason = ?, attempts = attempts - ?,"
                " stderr = coalesce(?, stderr) WHERE id = ?",
                (reason, not count_attempt, stderr or None, command_id),
            ),
        )

    def note_waiting(self, command_id: int, target: str, reason: str) -> None:
        """Commit why a Command that is to be forwarded waits. It stays `received`."""
        self._journal.commit(
            ("CommandStore.note_waiting", command_id, reason),
            lambda _: self._execute(
                "UPDATE commands SET handler = ?, repeatable = 1, reason = ? WHERE id = ?",
                (target, reason, command_id),
            ),
        )

    def find(self, state: CommandState, sid: str, command_id: int | None) -> CommandRow | None:
        """Return the newest Command in this state with this SID or id; None if there is none."""
        row = self._execute(
            f"SELECT {COMMAND_COLUMNS} FROM commands WHERE state = ? AND (sid = ? OR id = ?)"
            " ORDER BY id DESC LIMIT 1",
            (state, sid, command_id),
        ).fetchone()
        return None if row is None else command_from_row(row)

    def finish(
        self,
        command_id: int,
        state: CommandState,
        reason: str | None = None,
        replies: Sequence[OutgoingMessage] = (),
        action: tuple[str, str] | None = None,
        *,
        stderr: str = "",
        forwarded_to: str | None = None,
        may_send: Callable[[], bool] | None = None,
    ) -> ReplyRow | None:
        """Commit the end of a Command together with its replies, which are queued.

        `state` is DONE, FAILED or EXPIRED. `action` is the handler and the name of an action that is
        requested for the time after the reply. `stderr` is the end of what the handler wrote there.
        `forwarded_to` names the target that took a Command, which was never `running`.

        With `may_send` the first reply is stored as `sending`, and returned, if `may_send` returns True.
        """

        def write(now: JournalTime) -> ReplyRow | None:
            self._execute(
                "UPDATE commands SET state = ?, reason = ?, ended_wall = ?, stderr = ? WHERE id = ?",
                (state, reason, now.wall, stderr or None, command_id),
            )
            if forwarded_to is not None:
                self._execute(
                    "UPDATE commands SET handler = ?, attempts = attempts + 1 WHERE id = ?",
                    (forwarded_to, command_id),
                )
            reply_ids = [self._outbox.insert(command_id, reply, now) for reply in replies]
            if action is not None:
                self._execute(
                    "INSERT INTO actions"
                    " (command_id, handler, action, state, requested_wall, requested_uptime)"
                    " VALUES (?, ?, ?, 'pending', ?, ?)",
                    (command_id, *action, now.wall, now.uptime),
                )
            if may_send is None or not reply_ids:
                return None
            return self._outbox.begin_sending(reply_ids[0], may_send, now)

        return self._journal.commit(("CommandStore.finish", command_id), write)

    # Status

    def count_by_state(self) -> dict[str, int]:
        """Return the number of Commands in each state, and of ignored messages and parts."""
        counts = dict(self._execute("SELECT state, count(*) FROM commands GROUP BY state").fetchall())
        counts["ignored"] = self._execute("SELECT count(*) FROM ignored").fetchone()[0]
        counts["parts"] = self._execute("SELECT count(*) FROM parts").fetchone()[0]
        return counts
