"""The memory for doubles: what makes a delivery one that has been dealt with. It outlives the texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agent.journal.journal import Journal, JournalTime
from agent.service.message import ReceivedCommand


@dataclass(frozen=True, slots=True)
class DedupEntry:
    """What is remembered of an earlier delivery."""

    command_id: int | None
    """Its number; None for a part, and where a damage has taken it."""
    same_body: bool
    """Whether its body was the same."""


class DedupIndex:
    """The rows of ``dedup``. Without `without_sid` only a SID tells that a message is a double."""

    def __init__(self, journal: Journal, *, without_sid: bool) -> None:
        self._execute = journal.execute
        self._without_sid = without_sid

    def find(self, command: ReceivedCommand) -> DedupEntry | None:
        """What is remembered of a Command with this SID, or without one of this very message."""
        key = _dedup_key(command)
        if key is None or (command.sid is None and not self._without_sid):
            return None
        row = self._execute("SELECT body_digest, command_id FROM dedup WHERE key = ?", (key,)).fetchone()
        return None if row is None else DedupEntry(row[1], row[0] in (None, _body_digest(command.body)))

    def is_known(self, identity: bytes) -> bool:
        """Whether a message with this identity has been dealt with."""
        found = self._execute("SELECT 1 FROM dedup WHERE key = ?", (_message_key(identity),)).fetchone()
        return self._without_sid and found is not None

    def record(self, command: ReceivedCommand, command_id: int, now: JournalTime) -> None:
        """Inside the caller's transaction: a Command and the parts it was joined from are dealt with."""
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
    """None for a Command that nothing can tell from another: no SID and no date."""
    if command.sid is not None:
        return b"s" + command.sid.encode()
    return None if command.identity is None else _message_key(command.identity)


def _message_key(identity: bytes) -> bytes:
    return b"m" + identity


def _body_digest(body: str | bytes) -> bytes:
    octets = b"t" + body.encode("utf-8", "surrogatepass") if isinstance(body, str) else b"b" + body
    return hashlib.blake2b(octets, digest_size=16).digest()
