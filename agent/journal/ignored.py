"""Messages that command nobody, kept to be looked at: the newest of them, so that strangers fill no disk."""

from __future__ import annotations

from agent.common.events import mask_number
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import StoreOutcome, StoreResult
from agent.service.message import IgnoredMessage

MAX_IGNORED_MESSAGES = 1000


class IgnoredMessages:
    """The rows of ``ignored``."""

    def __init__(self, journal: Journal) -> None:
        self._execute = journal.execute

    def store(self, message: IgnoredMessage, raw: str, now: JournalTime) -> StoreResult:
        """Inside the caller's transaction: keep one; the oldest beyond the bound goes."""
        number = self._execute(
            "INSERT INTO ignored (reason, sender, text, raw, at_wall) VALUES (?,?,?,?,?)",
            (message.reason, message.sender, message.text, raw, now.wall),
        ).lastrowid
        self._execute("DELETE FROM ignored WHERE id <= ?", ((number or 0) - MAX_IGNORED_MESSAGES,))
        sender = "" if message.sender is None else f"from {mask_number(message.sender)}: "
        return StoreResult(StoreOutcome.IGNORED, detail=f"{sender}{message.reason}", content=message.text)
