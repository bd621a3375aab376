"""Deduplication: recognises a message that was stored before. Its entries outlive the message texts."""

from __future__ import annotations

import hashlib

from agent.journal.journal import Journal, JournalTime
from agent.service.message import ReceivedCommand
from pdu.record import Record


class DedupEntry(Record):
    """The stored facts about an earlier delivery."""

    command_id: int | None
    """Id of the Command; None if its row was lost with a damaged file."""
    same_body: bool
    """True if its body was the same."""


class DedupIndex:
    """The table ``dedup``."""

    def __init__(self, journal: Journal, *, without_sid: bool) -> None:
        """If not `without_sid`, only messages with a SID can be duplicates."""
        self._execute = journal.execute
        self._without_sid = without_sid

    def find(self, command: ReceivedCommand) -> DedupEntry | None:
        """Return the entry of the same SID or, without a SID, of the same message; None if there is none."""
        key = _dedup_key(command)
        if key is None or (command.sid is None and not self._without_sid):
            return None
        row = self._execute("SELECT body_digest, command_id FROM dedup WHERE key = ?", (key,)).fetchone()
        return None if row is None else DedupEntry(row[1], row[0] in (None, _body_digest(command.body)))

    def is_known(self, identity: bytes) -> bool:
        """Return True if a message with this identity was stored before."""
        row = self._execute("SELECT 1 FROM dedup WHERE key = ?", (_message_key(identity),)).fetchone()
        return self._without_sid and row is not None

    def record(self, command: ReceivedCommand, command_id: int, now: JournalTime) -> None:
        """Add the entries of a new Command and of its parts, in the caller's transaction."""
        stamp = None if command.timestamp is None else command.timestamp.timestamp()
        key = _dedup_key(command)
        if key is not None:
            body = None if command.sid is None else _body_digest(command.body)
            self._insert(key, body, command_id, stamp, now)
        for part in command.parts:
            if part.identity is not None:
                self._insert(_message_key(part.identity), None, command_id, stamp, now)

    def _insert(
        self,
        key: bytes,
        body_digest: bytes | None,
        command_id: int,
        timestamp: float | None,
        now: JournalTime,
    ) -> None:
        self._execute(
            "INSERT OR REPLACE INTO dedup VALUES (?,?,?,?,?,?)",
            (key, body_digest, command_id, timestamp, now.wall, now.uptime),
        )


def _dedup_key(command: ReceivedCommand) -> bytes | None:
    """Return None for a Command with neither a SID nor a valid time stamp: nothing identifies it."""
    if command.sid is not None:
        return b"s" + command.sid.encode()
    return None if command.identity is None else _message_key(command.identity)


def _message_key(identity: bytes) -> bytes:
    return b"m" + identity


def _body_digest(body: str | bytes) -> bytes:
    octets = b"t" + body.encode("utf-8", "surrogatepass") if isinstance(body, str) else b"b" + body
    return hashlib.blake2b(octets, digest_size=16).digest()
