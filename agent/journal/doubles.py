"""The memory for doubles: what makes a delivery one that has been dealt with. It outlives the texts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from agent.journal.journal import Journal, Moment
from agent.service.message import Command


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of an earlier delivery."""

    command: int | None
    """Its number; None for a part, and where a damage has taken it."""
    same: bool
    """Whether its body was the same."""


class Doubles:
    """The rows of ``seen``. Without `without_sid` only a SID tells that a message is a double."""

    def __init__(self, journal: Journal, *, without_sid: bool) -> None:
        self._execute = journal.execute
        self._without_sid = without_sid

    def find(self, command: Command) -> Seen | None:
        """What is remembered of a Command with this SID, or without one of this very message."""
        key = _key(command)
        if key is None or (command.sid is None and not self._without_sid):
            return None
        row = self._execute("SELECT body, command FROM seen WHERE key = ?", (key,)).fetchone()
        return None if row is None else Seen(row[1], row[0] in (None, _digest(command.body)))

    def seen(self, identity: bytes) -> bool:
        """Whether a message with this identity has been dealt with."""
        found = self._execute("SELECT 1 FROM seen WHERE key = ?", (_message(identity),)).fetchone()
        return self._without_sid and found is not None

    def remember(self, command: Command, number: int, now: Moment) -> None:
        """Inside the caller's transaction: a Command and the parts it was joined from are dealt with."""
        stamp = None if command.timestamp is None else command.timestamp.timestamp()
        key = _key(command)
        if key is not None:
            body = None if command.sid is None else _digest(command.body)
            self._insert(key, body, number, stamp, now)
        for part in command.parts:
            if part.identity is not None:
                self._insert(_message(part.identity), None, number, stamp, now)

    def _insert(self, key: bytes, body: bytes | None, command: int, stamp: float | None, now: Moment) -> None:
        self._execute(
            "INSERT OR REPLACE INTO seen VALUES (?,?,?,?,?,?)",
            (key, body, command, stamp, now.wall, now.running),
        )


def _key(command: Command) -> bytes | None:
    """None for a Command that nothing can tell from another: no SID and no date."""
    if command.sid is not None:
        return b"s" + command.sid.encode()
    return None if command.identity is None else _message(command.identity)


def _message(identity: bytes) -> bytes:
    return b"m" + identity


def _digest(body: str | bytes) -> bytes:
    octets = b"t" + body.encode("utf-8", "surrogatepass") if isinstance(body, str) else b"b" + body
    return hashlib.blake2b(octets, digest_size=16).digest()
