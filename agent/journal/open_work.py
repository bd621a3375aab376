"""What is still to be done, for an agent that ends when nothing is (`run --until-idle`)."""

from __future__ import annotations

from agent.journal.journal import Journal
from pdu.record import Record

_COUNTS = {
    "commands": "SELECT count(*) FROM commands WHERE state = 'running'"
    " OR state NOT IN ('done', 'failed', 'expired') AND received_uptime > ?",
    "replies": "SELECT count(*) FROM replies WHERE state = 'sending'"
    " OR state = 'queued' AND queued_uptime > ?",
    "actions": "SELECT count(*) FROM actions WHERE state = 'running'"
    " OR state = 'pending' AND requested_uptime > ?",
}
_NEWEST = """
SELECT (SELECT max(id) FROM commands), (SELECT max(id) FROM replies), (SELECT max(id) FROM ignored),
       (SELECT count(*) FROM parts)
"""


class OpenWork(Record):
    """Work that is worth waiting for, and what changes with each message."""

    counts: dict[str, int]
    """Number of Commands, replies and actions that are open, and of ignored messages for a handler."""
    newest: tuple[int | None, ...]
    """Changes whenever a message arrives or is queued."""

    def __str__(self) -> str:
        return ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)


def read_open_work(journal: Journal, waiting_s: float, *, has_ignored_handler: bool) -> OpenWork:
    """Return what is open, without what has waited for more than `waiting_s` of uptime and does not run.

    Raises sqlite3.Error.
    """
    since = journal.now().uptime - waiting_s
    counts = {name: int(journal.execute(query, (since,)).fetchone()[0]) for name, query in _COUNTS.items()}
    if has_ignored_handler:
        query = "SELECT count(*) FROM ignored WHERE handler_state IN ('pending', 'running')"
        counts["ignored messages"] = int(journal.execute(query).fetchone()[0])
    return OpenWork(counts, tuple(journal.execute(_NEWEST).fetchone()))
