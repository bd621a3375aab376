"""Parts of concatenated messages whose others are missing, and what becomes of those that wait in vain."""

from __future__ import annotations

from collections.abc import Mapping

import pdu
from agent.journal.doubles import Doubles
from agent.journal.journal import Journal, Moment
from agent.journal.rows import Kept, Outcome
from agent.journal.strays import Strays
from agent.service.message import Part, PartKey, Stray

PARTS_KEPT = 2000
"""Parts of all incomplete messages, of which one has 255 at the most; beyond them the oldest is given up."""


class Parts:
    """The rows of ``parts``. What writes does so inside the caller's transaction."""

    def __init__(self, journal: Journal, doubles: Doubles, strays: Strays) -> None:
        self._execute = journal.execute
        self._strays = strays
        self.seen = doubles.seen

    def parts(self, key: PartKey) -> Mapping[int, Part]:
        """The parts of a concatenated message that are kept so far, by their number."""
        rows = self._execute(
            "SELECT number, raw, identity FROM parts"
            " WHERE sender = ? AND reference = ? AND wide = ? AND total = ?",
            (key.sender, key.reference, key.wide, key.total),
        )
        return {number: Part(key, number, raw, identity) for number, raw, identity in rows}

    def keep(self, part: Part, now: Moment) -> Kept:
        """A part that waits for the others, or comes again."""
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

    def forget(self, key: PartKey) -> None:
        """The message is whole."""
        self._execute(
            "DELETE FROM parts WHERE sender = ? AND reference = ? AND wide = ? AND total = ?",
            (key.sender, key.reference, key.wide, key.total),
        )

    def give_up(self, key: PartKey, why: str, now: Moment) -> None:
        """Parts whose others will not come become strays."""
        parts = self.parts(key)
        for number in sorted(parts):
            reason = f"part {number} of {key.total}, the others are missing: {why}"
            self._strays.keep(Stray(reason, key.sender, _text(parts[number].raw)), parts[number].raw, now)
        self.forget(key)

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


def _text(raw: str) -> str | None:
    """What a part says, for people; None where that cannot be told."""
    try:
        message = pdu.decode(raw)
    except (pdu.PduError, ValueError):
        return None
    if not isinstance(message, pdu.Deliver):
        return None
    return message.text if message.text is not None else (message.data or b"").hex().upper()
