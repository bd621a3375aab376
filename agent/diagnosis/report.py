"""The masked documents of a bundle: what a report about a device needs, without texts and numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.common.config import Config
from agent.diagnosis.doctor import Examination
from agent.diagnosis.finding import Check, Finding
from agent.diagnosis.forwarding_checks import forwards
from agent.forwarding.targets import default_gateway
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
_ADDRESS = r"\b(?:https?|mqtts?|wss?)://[^\s;,]+"
_HIDDEN = "(hidden)"


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
        places = _find_places(examination.config)
        documents = {name: _hide(places, value) for name, value in documents.items()}
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


def _find_places(config: Config) -> re.Pattern[str]:
    """Return what matches addresses, and the names of this gateway and of the hosts that it forwards to."""
    names = []
    if forwards(config):
        for table in (config.mqtt, config.webhook):
            gateway = table.gateway or default_gateway(config.journal.path)
            names += [f"{config.mqtt.base_topic}/{gateway}", gateway]
        names += filter(None, (urlsplit(url).hostname for url in (config.mqtt.broker, config.webhook.url)))
    patterns = (rf"(?<!\w){re.escape(name)}(?!\w)" for name in names)
    return re.compile("|".join((_ADDRESS, *patterns)))


def _hide(places: re.Pattern[str], value: object) -> object:
    """Return JSON values in whose texts no place is named."""
    match value:
        case str():
            return places.sub(_HIDDEN, value)
        case dict():
            return {key: _hide(places, each) for key, each in value.items()}
        case list() | tuple():
            return [_hide(places, each) for each in value]
    return value


def _to_json(table: str, key: str, value: object) -> object:
    if value and (table, key) in _NAMES_OF_PLACES:
        return "set"
    return str(value) if isinstance(value, Path) else value
