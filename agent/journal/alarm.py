"""What the program of `[alarm]` was told, and since when there is a problem. It survives a restart."""

from __future__ import annotations

from typing import Any

from agent.journal.journal import Journal, JournalTime
from pdu.record import Record

_CALLING = "calling "
"""What the column `state` begins with during a call."""


class AlarmState(Record):
    """The row of the table ``alarm``."""

    is_raised: bool = False
    """True if the program was called for a problem last."""
    reason: str = ""
    """The problem, also after its end."""
    since: JournalTime | None = None
    """When the present problem began; None while there is none."""
    is_calling: bool = False
    """True from the commit before a call to the one after it."""


class AlarmStore:
    """The table ``alarm``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.now = journal.now
        self.age = journal.age

    def load(self) -> AlarmState:
        """Return the stored state. Raises sqlite3.Error."""
        query = "SELECT state, reason, since_wall, since_uptime FROM alarm"
        row: Any = self._journal.execute(query).fetchone()
        if row is None:
            return AlarmState()
        since = None if row[2] is None else JournalTime(row[2], row[3])
        state = row[0].removeprefix(_CALLING)
        return AlarmState(state == "problem", row[1], since, state != row[0])

    def save(self, state: AlarmState) -> None:
        """Commit a state. Raises sqlite3.Error."""
        wall, uptime = (None, None) if state.since is None else (state.since.wall, state.since.uptime)
        told = (_CALLING if state.is_calling else "") + ("problem" if state.is_raised else "ok")
        values = (told, state.reason, wall, uptime)
        self._journal.commit(
            None, lambda _: self._journal.execute("INSERT OR REPLACE INTO alarm VALUES (1,?,?,?,?)", values)
        )
