"""The kinds of received messages: a Command, a part of one, a status report, or an ignored message."""

from __future__ import annotations

from datetime import datetime

from pdu import StatusReport
from pdu.record import Record


class ConcatenationKey(Record):
    """The values that all parts of one concatenated message share (23.040 9.2.3.24.1)."""

    sender: str
    reference: int
    reference_16bit: bool
    """True for the information element with a 16-bit reference."""
    total: int
    """Number of parts."""


class MessagePart(Record):
    """One part of a concatenated message."""

    key: ConcatenationKey
    number: int
    """Number of this part, from 1."""
    raw: str
    """The PDU from the module, in hexadecimal digits."""
    identity: bytes | None
    """Digest like `ReceivedCommand.identity`: a duplicate of this part has the same, another part has not."""
    reference_reused: bool = False
    """True if the stored parts with the same key belong to an earlier message."""


class ReceivedCommand(Record):
    """A complete Command."""

    sender: str
    sid: str | None
    """The SID with capital prefix and lower-case digits; None if the message has none."""
    body: str | bytes
    """Text without the SID, or the octets of a binary Command."""
    timestamp: datetime | None
    """Service centre timestamp, an aware datetime; None if the network sent no valid date."""
    identity: bytes | None
    """Digest of originating address, service centre timestamp and user data. It distinguishes a duplicate
    delivery of a Command without a SID from a second Command. None if the timestamp is not a valid date."""
    answerable: bool
    """False if a reply could start a loop: TP-LP is set, or the text is itself an error reply."""
    parts: tuple[MessagePart, ...] = ()
    """The parts of a concatenated message; empty for a single message."""
    port: int | None = None
    """The application port that it is addressed to; None for an ordinary message."""


class ReceivedReport(Record):
    """An SMS-STATUS-REPORT for a message that this device sent."""

    report: StatusReport


class IgnoredMessage(Record):
    """A message that is not a Command for this device; it is stored but not run."""

    reason: str
    """Why it is ignored."""
    sender: str | None
    text: str | None
    """The text, or the octets in hexadecimal digits; None if neither can be read."""


ReceivedMessage = ReceivedCommand | MessagePart | ReceivedReport | IgnoredMessage
