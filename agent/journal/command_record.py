"""Everything that the journal has about one Command or one message, read while an agent may write to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.journal.queries import format_row, open_read_only
from pdu.record import Record

Row = dict[str, Any]

MAX_CANDIDATES = 10
"""SIDs that are listed if the beginning of one fits several."""


class CommandRecord(Record):
    """A Command with what followed from it; times are seconds since 1970."""

    command: Row
    """Its row in ``commands``."""
    replies: Sequence[Row] = ()
    """Its rows in ``replies``, each with `reports`, the status reports on it."""
    actions: Sequence[Row] = ()

    def to_json(self) -> Row:
        """Return the rows for a JSON document, with times in ISO 8601."""
        replies = [
            format_row(reply) | {"reports": [format_row(report) for report in reply["reports"]]}
            for reply in self.replies
        ]
        return format_row(self.command) | {
            "replies": replies,
            "actions": [format_row(action) for action in self.actions],
        }


class UnknownSid(Record):
    """What the journal knows of a SID that no stored Command has."""

    candidates: Sequence[str] = ()
    """SIDs that begin so, if there are several."""
    pruned_id: int | None = None
    """The number that the Command had, if only its deduplication entry is left."""
    ignored_id: int | None = None
    """The newest ignored message with this SID in its text."""


def find_by_id(journal_path: Path, command_id: int) -> CommandRecord | None:
    """Return a Command by its number, None if there is none. Raises JournalUnreadable."""
    with open_read_only(journal_path) as connection:
        rows = _select(connection, "SELECT * FROM commands WHERE id = ?", command_id)
        return _read_record(connection, rows[0]) if rows else None


def find_by_sid(journal_path: Path, beginning: str) -> CommandRecord | UnknownSid:
    """Return the Command whose SID is or begins with a text of letters and digits, in any case.

    Raises JournalUnreadable.
    """
    with open_read_only(journal_path) as connection:
        rows = _select(
            connection,
            "SELECT * FROM commands WHERE sid LIKE ? ORDER BY id DESC LIMIT ?",
            f"{beginning}%",
            MAX_CANDIDATES,
        )
        if len(rows) == 1:
            return _read_record(connection, rows[0])
        if rows:
            return UnknownSid(candidates=[row["sid"] for row in rows])
        key = f"s{beginning[:2].upper()}{beginning[2:].lower()}".encode()
        pruned = _select(connection, "SELECT command_id FROM dedup WHERE key = ?", key)
        ignored = _select(
            connection, "SELECT id FROM ignored WHERE text LIKE ? ORDER BY id DESC LIMIT 1", f"%{beginning}%"
        )
        return UnknownSid(
            pruned_id=pruned[0]["command_id"] if pruned else None,
            ignored_id=ignored[0]["id"] if ignored else None,
        )


def find_reply(journal_path: Path, reply_id: int) -> Row | None:
    """Return a row of ``replies`` with `reports`, None if there is none. Raises JournalUnreadable."""
    with open_read_only(journal_path) as connection:
        rows = _select(connection, "SELECT * FROM replies WHERE id = ?", reply_id)
        return _with_reports(connection, rows[0]) if rows else None


def find_ignored(journal_path: Path, ignored_id: int) -> Row | None:
    """Return a row of ``ignored``, None if there is none. Raises JournalUnreadable."""
    with open_read_only(journal_path) as connection:
        rows = _select(connection, "SELECT * FROM ignored WHERE id = ?", ignored_id)
        return rows[0] if rows else None


def _read_record(connection: sqlite3.Connection, command: Row) -> CommandRecord:
    replies = _select(connection, "SELECT * FROM replies WHERE command_id = ? ORDER BY id", command["id"])
    actions = _select(connection, "SELECT * FROM actions WHERE command_id = ? ORDER BY id", command["id"])
    return CommandRecord(command, [_with_reports(connection, reply) for reply in replies], actions)


def _with_reports(connection: sqlite3.Connection, reply: Row) -> Row:
    query = "SELECT * FROM status_reports WHERE reply_id = ? ORDER BY id"
    return reply | {"reports": _select(connection, query, reply["id"])}


def _select(connection: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    return [dict(row) for row in connection.execute(query, values)]
