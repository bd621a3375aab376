"""What a message turns out to be: a Command, a part of one, a status report, or a stray."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pdu import StatusReport


@dataclass(frozen=True, slots=True)
class ConcatenationKey:
    """What the parts of one concatenated message share (23.040 9.2.3.24.1)."""

    sender: str
    reference: int
    reference_16bit: bool
    total: int


@dataclass(frozen=True, slots=True)
class MessagePart:
    """One part of a concatenated message."""

    key: ConcatenationKey
    number: int
    raw: str
    """The PDU as the module gave it, in hex."""
    identity: bytes | None
    """As `Command.identity`: tells a part that comes again from a part of another message."""
    reference_reused: bool = False
    """Those that are kept with its key are of an earlier message."""


@dataclass(frozen=True, slots=True)
class ReceivedCommand:
    """A message that commands the device."""

    sender: str
    sid: str | None
    """Capitals in front, hexadecimal digits in lower case."""
    body: str | bytes
    """Text without the SID, or the octets of a binary Command."""
    timestamp: datetime | None
    """Service centre time stamp; None where the network sent no date."""
    identity: bytes | None
    """What tells a second delivery of a Command without a SID from a second Command: originating
    address, service centre time stamp and user data. None where the time stamp is no date."""
    answerable: bool
    """False where an answer could start a loop: TP-LP set, or a text that is itself an error answer."""
    parts: tuple[MessagePart, ...] = ()
    """The parts it was joined from; empty for a message of its own."""


@dataclass(frozen=True, slots=True)
class ReceivedReport:
    """An SMS-STATUS-REPORT on one of our own messages."""

    report: StatusReport


@dataclass(frozen=True, slots=True)
class IgnoredMessage:
    """A message that does not command this device, kept to be looked at."""

    reason: str
    sender: str | None
    text: str | None
    """What could be read of it."""


ReceivedMessage = ReceivedCommand | MessagePart | ReceivedReport | IgnoredMessage
