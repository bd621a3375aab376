"""Ignored messages, kept for the operator. Only the newest are kept: no sender may fill the disk."""

from __future__ import annotations

from agent.common.events import mask_number
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import StoreOutcome, StoreResult
from agent.service.message import IgnoredMessage

MAX_IGNORED_MESSAGES = 1000
"""Rows of the table."""


class IgnoredMessages:
    """The table ``ignored``."""

    def __init__(self, journal: Journal) -> None:
        self._execute = journal.execute

    def store(self, message: IgnoredMessage, raw: str, now: JournalTime) -> StoreResult:
        """Store a message in the caller's transaction, and delete the oldest beyond the limit."""
        row_id = self._execute(
            "INSERT INTO ignored (reason, sender, text, raw, at_wall) VALUES (?,?,?,?,?)",
            (message.reason, message.sender, message.text, raw, now.wall),
        ).lastrowid
        self._execute("DELETE FROM ignored WHERE id <= ?", ((row_id or 0) - MAX_IGNORED_MESSAGES,))
        sender = "" if message.sender is None else f"from {mask_number(message.sender)}: "
        return StoreResult(StoreOutcome.IGNORED, detail=f"{sender}{message.reason}", content=message.text)
