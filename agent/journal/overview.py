"""The part of the journal that `status` shows: last Command, last reply, whether it can be written."""

from __future__ import annotations

from typing import Any

from agent.journal.journal import Journal

_SELECT_LAST_COMMAND = """
SELECT id, state, sid, handler, received_wall, ended_wall FROM commands ORDER BY id DESC LIMIT 1
"""
_SELECT_LAST_ANSWER = """
SELECT id, state, command_id, queued_wall, sent_wall FROM replies WHERE command_id IS NOT NULL
ORDER BY id DESC LIMIT 1
"""


class JournalOverview:
    """Queries for `status`. No text of a message is among the results."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def last_command(self) -> dict[str, Any] | None:
        """Return the Command that was received last; times in seconds since 1970. Raises sqlite3.Error."""
        return self._fetch(_SELECT_LAST_COMMAND, "id", "state", "sid", "handler", "received", "ended")

    def last_answer(self) -> dict[str, Any] | None:
        """Return the newest reply to a Command; times in seconds since 1970. Raises sqlite3.Error."""
        return self._fetch(_SELECT_LAST_ANSWER, "id", "state", "command", "queued", "sent")

    def check_writable(self) -> None:
        """Commit the uptime. Raises sqlite3.Error if the journal cannot commit."""
        with self._journal.transaction():
            pass

    def _fetch(self, query: str, *names: str) -> dict[str, Any] | None:
        row = self._journal.execute(query).fetchone()
        return None if row is None else dict(zip(names, row, strict=True))
