"""Messages that command nobody, kept to be looked at: the newest of them, so that strangers fill no disk."""

from __future__ import annotations

from agent.journal.journal import Journal, Moment
from agent.journal.rows import Kept, Outcome
from agent.service.message import Stray
from agent.story import masked

STRAYS_KEPT = 1000


class Strays:
    """The rows of ``strays``."""

    def __init__(self, journal: Journal) -> None:
        self._execute = journal.execute

    def keep(self, stray: Stray, raw: str, now: Moment) -> Kept:
        """Inside the caller's transaction: keep one; the oldest beyond the bound goes."""
        number = self._execute(
            "INSERT INTO strays (reason, sender, text, raw, at_wall) VALUES (?,?,?,?,?)",
            (stray.reason, stray.sender, stray.text, raw, now.wall),
        ).lastrowid
        self._execute("DELETE FROM strays WHERE id <= ?", ((number or 0) - STRAYS_KEPT,))
        sender = "" if stray.sender is None else f"from {masked(stray.sender)}: "
        return Kept(Outcome.STRAY, detail=f"{sender}{stray.reason}", content=stray.text)
