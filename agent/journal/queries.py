"""Read-only queries on a journal that a running agent may be writing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent.journal import schema
from agent.journal.row_recovery import schema_version

SELECT_COMMANDS = """
SELECT id, state, sid, sender, mode, body, timestamp, port, attempts, duplicates, handler, reason,
       received_wall, ended_wall FROM commands ORDER BY id DESC LIMIT ?
"""
SELECT_IGNORED = (
    "SELECT id, reason, sender, text, raw, at_wall, handler_state FROM ignored ORDER BY id DESC LIMIT ?"
)
SELECT_REPLIES = """
SELECT replies.id, replies.state, replies.command_id AS command, commands.sid, destination, replies.text,
       part, parts, omitted, replies.attempts, message_reference, replies.reason, queued_wall, sent_wall
FROM replies LEFT JOIN commands ON commands.id = replies.command_id ORDER BY replies.id DESC LIMIT ?
"""
SELECT_NEWEST_TIMESTAMP = "SELECT newest_timestamp FROM meta LIMIT ?"


class JournalUnreadable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The journal cannot be read; the text names the file and the reason."""

    needs_sudo = False
    """True if another user could read it."""


class JournalForbidden(JournalUnreadable):
    """The journal is for other users."""

    needs_sudo = True


def fetch_newest(journal_path: Path, query: str, limit: int) -> list[dict[str, Any]]:
    """Return the newest rows, oldest first. Raises JournalUnreadable.

    Times are ISO 8601 in UTC, and binary values are hex digits.
    """
    with open_read_only(journal_path) as connection:
        return [format_row(dict(row)) for row in connection.execute(query, (limit,))][::-1]


@contextmanager
def open_read_only(journal_path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that only reads, and whose rows have names. Raises JournalUnreadable."""
    try:
        exists = journal_path.is_file()
        allowed = not exists or os.access(journal_path, os.R_OK)
    except PermissionError:  # of its directory
        exists, allowed = True, False
    if not allowed:
        raise JournalForbidden(f"only root and the service may read the journal {journal_path}")
    if not exists:
        raise JournalUnreadable(
            f"there is no journal at {journal_path}; has modem-agent run with this configuration?"
        )
    version = len(schema.MIGRATIONS)
    try:
        with closing(sqlite3.connect(f"{journal_path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = schema.decode_text
            version = schema_version(connection)
            connection.row_factory = sqlite3.Row
            yield connection
    except (sqlite3.Error, UnicodeDecodeError) as error:  # the latter quotes a damaged list of tables
        if version < len(schema.MIGRATIONS):  # it has not all tables and columns
            raise JournalUnreadable(
                f"journal {journal_path} is that of an older modem-agent; this one brings it up to date when "
                "it starts: sudo systemctl restart modem-agent"
            ) from None
        raise JournalUnreadable(f"journal {journal_path} cannot be read: {error}") from None


def format_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with times in ISO 8601 in UTC, named without `_wall`, and octets as hex digits."""
    return dict(_format_columns(row))


def _format_columns(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name.endswith("_wall"):
            moment = None if value is None else datetime.fromtimestamp(value, UTC)
            yield name.removesuffix("_wall"), None if moment is None else moment.isoformat(timespec="seconds")
        elif isinstance(value, bytes):
            yield name, value.hex().upper()
        else:
            yield name, value
