"""Parts of incomplete concatenated messages."""

from __future__ import annotations

from collections.abc import Mapping

import pdu
from agent.journal.dedup import DedupIndex
from agent.journal.ignored import IgnoredMessages
from agent.journal.journal import Journal, JournalTime
from agent.journal.models import StoreOutcome, StoreResult
from agent.service.message import ConcatenationKey, IgnoredMessage, MessagePart

MAX_PARTS = 2000
"""Limit for the parts of all incomplete messages, of up to 255 each. The oldest is discarded first."""


class PartStore:
    """The table ``parts``. The methods write in the caller's transaction."""

    def __init__(self, journal: Journal, dedup: DedupIndex, ignored: IgnoredMessages) -> None:
        self._execute = journal.execute
        self._ignored = ignored
        self.is_known = dedup.is_known

    def stored_parts(self, key: ConcatenationKey) -> Mapping[int, MessagePart]:
        """Return the stored parts of a concatenated message, by their number."""
        rows = self._execute(
            "SELECT number, raw, identity FROM parts"
            " WHERE sender = ? AND reference = ? AND reference_16bit = ? AND total = ?",
            (key.sender, key.reference, key.reference_16bit, key.total),
        )
        return {number: MessagePart(key, number, raw, identity) for number, raw, identity in rows}

    def store(self, part: MessagePart, now: JournalTime) -> StoreResult:
        """Store a part that waits for the others, unless it is a duplicate."""
        key = part.key
        detail = f"part {part.number} of {key.total}, reference {key.reference}"
        if part.identity is not None and self.is_known(part.identity):
            return StoreResult(StoreOutcome.DUPLICATE, detail=detail)
        stored = self.stored_parts(key).get(part.number)
        if part.reference_reused:
            self.discard_incomplete(key, "its reference was used again", now)
        elif stored is not None:
            same = stored.identity is not None and stored.identity == part.identity
            if same or stored.raw == part.raw:
                return StoreResult(StoreOutcome.DUPLICATE, detail=detail)
            self.discard_incomplete(key, "its reference was used again", now)
        self._evict_oldest(key, now)
        self._execute(
            "INSERT INTO parts VALUES (?,?,?,?,?,?,?,?,?)",
            (
                key.sender, key.reference, key.reference_16bit, key.total,
                part.number, part.raw, part.identity, now.wall, now.uptime,
            ),
        )  # fmt: skip
        return StoreResult(StoreOutcome.PART, detail=detail)

    def delete(self, key: ConcatenationKey) -> None:
        """Delete the parts of a message that is complete."""
        self._execute(
            "DELETE FROM parts WHERE sender = ? AND reference = ? AND reference_16bit = ? AND total = ?",
            (key.sender, key.reference, key.reference_16bit, key.total),
        )

    def discard_incomplete(self, key: ConcatenationKey, cause: str, now: JournalTime) -> None:
        """Move the parts of an incomplete message to the ignored messages."""
        parts = self.stored_parts(key)
        for number in sorted(parts):
            reason = f"part {number} of {key.total}, the others are missing: {cause}"
            self._ignored.store(
                IgnoredMessage(reason, key.sender, _readable_text(parts[number].raw)), parts[number].raw, now
            )
        self.delete(key)

    def _evict_oldest(self, key: ConcatenationKey, now: JournalTime) -> None:
        """Discard the oldest incomplete messages beyond the limit, so that they cannot fill the disk."""
        while self._execute("SELECT count(*) FROM parts").fetchone()[0] >= MAX_PARTS:
            sender, reference, reference_16bit, total = self._execute(
                "SELECT sender, reference, reference_16bit, total FROM parts"
                " WHERE (sender, reference, reference_16bit, total) <> (?, ?, ?, ?)"
                " ORDER BY at_uptime, at_wall LIMIT 1",
                (key.sender, key.reference, key.reference_16bit, key.total),
            ).fetchone()
            self.discard_incomplete(
                ConcatenationKey(sender, reference, bool(reference_16bit), total),
                "too many messages are incomplete",
                now,
            )


def _readable_text(raw: str) -> str | None:
    """Return the text of a part, or its octets in hex; None if the PDU cannot be decoded."""
    try:
        message = pdu.decode(raw)
    except (pdu.PduError, ValueError):
        return None
    if not isinstance(message, pdu.Deliver):
        return None
    return message.text if message.text is not None else (message.data or b"").hex().upper()
