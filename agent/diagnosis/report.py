"""The masked documents of a bundle: what a report about a device needs, without texts and numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.diagnosis.doctor import Examination
from agent.diagnosis.finding import Check, Finding
from agent.journal.queries import JournalUnreadable, fetch_newest

MAX_ROWS = 200
"""Rows of each table, the newest ones."""
_TABLES = {
    "commands": (
        "SELECT id, state, sid, mode, length(body) AS octets, timestamp, port, attempts, duplicates, "
        "handler, reason, received_wall, ended_wall FROM commands ORDER BY id DESC LIMIT ?"
    ),
    "replies": (
        "SELECT id, state, command_id, length(text) AS characters, part, parts, omitted, attempts, "
        "message_reference, reason, queued_wall, sent_wall FROM replies ORDER BY id DESC LIMIT ?"
    ),
    "ignored": (
        "SELECT id, reason, length(text) AS characters, at_wall FROM ignored ORDER BY id DESC LIMIT ?"
    ),
}
"""Queries without the texts, the octets and the numbers of messages."""

_NAMES_OF_PLACES = {
    *(("mqtt", key) for key in ("broker", "gateway", "base_topic", "user")),
    *(("webhook", key) for key in ("url", "gateway")),
}
"""Keys of agent.toml whose values may name a person or a place."""


def make_documents(
    findings: list[Finding], examination: Examination, facts: dict[str, Any]
) -> dict[str, object]:
    """Return the documents by name, as JSON values that are not masked yet."""
    documents: dict[str, object] = {
        "findings": [
            # What it says of forwarding contains the addresses.
            finding.to_json()
            if finding.check is not Check.FORWARDING
            else {"check": finding.check, "level": finding.level}
            for finding in findings
        ],
        "system": facts,
        "status": examination.status,
    }
    if examination.config is not None:
        documents["configuration"] = {
            name: {key: _to_json(name, key, value) for key, value in table.as_dict().items()}
            for name, table in examination.config.tables().items()
        }
        documents["journal"] = read_rows(examination.config.journal.path)
    return documents


def read_rows(journal: Path) -> dict[str, object]:
    """Return rows of the journal by table, without texts, or a sentence in their place."""
    found: dict[str, object] = {}
    for name, query in _TABLES.items():
        try:
            rows = fetch_newest(journal, query, MAX_ROWS)
        except JournalUnreadable as error:
            found[name] = str(error)
            continue
        except OSError as error:
            found[name] = error.strerror
            continue
        if name == "commands":  # after the colon is what the handler wrote, which may repeat the text
            rows = [row | {"reason": (row["reason"] or "").partition(":")[0]} for row in rows]
        found[name] = rows
    return found


def _to_json(table: str, key: str, value: object) -> object:
    if value and (table, key) in _NAMES_OF_PLACES:
        return "set"
    return str(value) if isinstance(value, Path) else value
