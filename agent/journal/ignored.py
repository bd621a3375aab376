"""Ignored messages, kept for the operator. Only the newest are kept: no sender may fill the disk.

If there is a handler for them, it gets each at most once: the start of its run is committed before it starts.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.common.events import mask_number
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import StoreOutcome, StoreResult
from agent.service.message import IgnoredMessage
from pdu.record import Record

MAX_IGNORED_MESSAGES = 1000
"""Rows of the table."""


class IgnoredRow(Record):
    """An ignored message that its handler has not got yet."""

    id: int
    message: IgnoredMessage
    raw: str
    """The PDU, in hexadecimal digits."""
    received: float
    """Time of the commit, in seconds since 1970."""


class IgnoredMessages:
    """The table ``ignored``."""

    def __init__(self, journal: Journal, has_handler: Callable[[], bool] = lambda: False) -> None:
        """`has_handler` returns True if there is a handler for the messages that are stored now."""
        self._journal = journal
        self._execute = journal.execute
        self._has_handler = has_handler

    def store(self, message: IgnoredMessage, raw: str, now: JournalTime) -> StoreResult:
        """Store a message in the caller's transaction, and delete the oldest beyond the limit."""
        state = "pending" if self._has_handler() else None
        row_id = self._execute(
            "INSERT INTO ignored (reason, sender, text, raw, at_wall, handler_state) VALUES (?,?,?,?,?,?)",
            (message.reason, message.sender, message.text, raw, now.wall, state),
        ).lastrowid
        self._execute("DELETE FROM ignored WHERE id <= ?", ((row_id or 0) - MAX_IGNORED_MESSAGES,))
        sender = "" if message.sender is None else f"from {mask_number(message.sender)}: "
        return StoreResult(StoreOutcome.IGNORED, detail=f"{sender}{message.reason}", content=message.text)

    def start_next(self) -> IgnoredRow | None:
        """Commit that the handler gets the oldest pending message, and return it; None if there is none."""
        key = "IgnoredMessages.start_next"
        if not self._journal.is_confirmed(key) and self._find_pending() is None:
            return None

        def write(_: JournalTime) -> IgnoredRow | None:
            if (row := self._find_pending()) is not None:
                self._update_state(row.id, "running")
            return row

        return self._journal.commit(key, write)

    def _find_pending(self) -> IgnoredRow | None:
        row = self._execute(
            "SELECT id, reason, sender, text, raw, at_wall FROM ignored WHERE handler_state = 'pending'"
            " ORDER BY id LIMIT 1"
        ).fetchone()
        return None if row is None else IgnoredRow(row[0], IgnoredMessage(*row[1:4]), *row[4:])

    def finish(self, row_id: int, *, succeeded: bool) -> None:
        """Commit the end of a run."""
        self._set_state(row_id, "done" if succeeded else "failed")

    def requeue(self, row_id: int) -> None:
        """Commit that the handler has certainly not got a message, and is to get it."""
        self._set_state(row_id, "pending")

    def close_interrupted(self) -> list[int]:
        """End the runs that the last process left, and return their messages. They are not repeated."""
        query = "SELECT id FROM ignored WHERE handler_state = 'running' ORDER BY id"
        found = [row[0] for row in self._execute(query)]
        for row_id in found:
            self._set_state(row_id, "failed")
        return found

    def count_open(self) -> int:
        """Return the number of messages that the handler has not got yet or works on."""
        query = "SELECT count(*) FROM ignored WHERE handler_state IN ('pending', 'running')"
        return int(self._execute(query).fetchone()[0])

    def _set_state(self, row_id: int, state: str) -> None:
        self._journal.commit(
            ("IgnoredMessages", row_id, state),
            lambda _: self._update_state(row_id, state),
        )

    def _update_state(self, row_id: int, state: str) -> None:
        self._execute("UPDATE ignored SET handler_state = ? WHERE id = ?", (state, row_id))
