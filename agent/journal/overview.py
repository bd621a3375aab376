"""The part of the journal that `status` shows, and whether the journal can be written."""

from __future__ import annotations

from typing import Any

from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.outbox import OutboxStore
from agent.journal.timestamps import DAY_S

_NEWEST_ROWS = {
    "last_command": ("commands", "id, state, sid, handler, received_wall, ended_wall, reason"),
    "last_answer": (
        "replies WHERE command_id IS NOT NULL",
        "id, state, command_id, queued_wall, sent_wall, reason",
    ),
    "last_ignored": ("ignored", "id, reason, at_wall"),
    "last_reset": ("resets", "id, action, reason, at_wall"),
}
"""Name of each row: its table, and its columns, which are named without `_wall` and `_id`."""
BILLED_DAYS = 30
"""The messages of so many days are counted: services bill by the month."""


class JournalOverview:
    """Queries for `status`. No text of a message is among the results; times are seconds since 1970."""

    def __init__(self, journal: Journal, command_store: CommandStore, outbox_store: OutboxStore) -> None:
        self._journal = journal
        self._command_store = command_store
        self._outbox_store = outbox_store

    def read(self) -> dict[str, Any]:
        """Return the counts, and the newest rows or None. Raises sqlite3.Error."""
        return {
            **{name: self._fetch_newest(*source) for name, source in _NEWEST_ROWS.items()},
            "commands": self._command_store.count_by_state(),
            "replies": self._outbox_store.count_by_state(),
            "sent": {
                "last_minute": self._outbox_store.count_sent_within(60),
                "last_day": self._outbox_store.count_sent_within(DAY_S),
                f"last_{BILLED_DAYS}_days": self._outbox_store.count_sent_within(BILLED_DAYS * DAY_S),
            },
        }

    def check_writable(self) -> None:
        """Commit the uptime. Raises sqlite3.Error if the journal cannot commit."""
        with self._journal.transaction():
            pass

    def _fetch_newest(self, source: str, columns: str) -> dict[str, Any] | None:
        row = self._journal.execute(f"SELECT {columns} FROM {source} ORDER BY id DESC LIMIT 1").fetchone()
        names = [name.removesuffix("_wall").removesuffix("_id") for name in columns.split(", ")]
        return None if row is None else dict(zip(names, row, strict=True))
