"""Decides what a message is. Pure: the message, the service and the stored parts are arguments.

Only an originating address equal to the service's number commands the device: the same digits, zeros
kept, never an alphanumeric one. The type of number is left out of the comparison, because networks
write a short code as unknown, national or international alike. This is no proof of origin.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Protocol

import pdu
from agent.service import command_sid
from agent.service.message import (
    ConcatenationKey,
    IgnoredMessage,
    MessagePart,
    ReceivedCommand,
    ReceivedMessage,
    ReceivedReport,
)
from agent.service.profile import ServiceProfile


class MessageHistory(Protocol):
    """What is remembered of earlier messages."""

    def stored_parts(self, key: ConcatenationKey) -> Mapping[int, MessagePart]:
        """The parts of that message that are kept so far, by their number."""

    def is_known(self, identity: bytes) -> bool:
        """Whether a message with this identity has been dealt with before."""


ERROR_ANSWER_PREFIX = "ERR "
"""How our own error answers begin. What begins so is never answered: two automatons would not stop."""

MAX_PART_TIMESTAMP_GAP = timedelta(hours=1)
"""Between the service centre's time stamps of two parts of one message. It gets them within seconds, however
long they are on their way after that."""
_PID_TYPE_0 = 0x40  # TP-PID 9.2.3.9: acknowledge, show and keep nothing


def classify(
    message: pdu.Tpdu, raw: str, service: ServiceProfile, history: MessageHistory
) -> ReceivedMessage:
    """What the message is to this device; ``raw`` is its PDU in hex, kept where parts are missing."""
    match message:
        case pdu.StatusReport():
            return ReceivedReport(message)
        case pdu.Deliver():
            return _classify_deliver(message, raw, service, history)
        case _:
            return IgnoredMessage(f"{type(message).__name__} is no message from the network", None, None)


def message_identity(message: pdu.Deliver) -> bytes | None:
    """What a second delivery of the same message has in common with the first; None without a date.

    An impossible time stamp is never a key: messages that have nothing in common would share it.
    """
    timestamp = message.service_centre_timestamp
    if timestamp.time is None:
        return None
    digest = hashlib.blake2b(digest_size=16)
    for field in (
        str(message.originating_address).encode(),
        timestamp.octets,
        bytes((message.data_coding_scheme, message.user_data.length)),
        message.user_data.octets,
    ):
        digest.update(len(field).to_bytes(2, "big"))
        digest.update(field)
    return digest.digest()


def _classify_deliver(
    message: pdu.Deliver, raw: str, service: ServiceProfile, history: MessageHistory
) -> ReceivedMessage:
    address = message.originating_address
    sender = str(address)
    if address.type_of_number is pdu.TypeOfNumber.ALPHANUMERIC or address.number != service.number:
        return IgnoredMessage(f"not from {service.number}", sender, _readable_text(message))
    if message.protocol_identifier == _PID_TYPE_0:
        return IgnoredMessage("a short message of type 0 carries nothing", sender, None)
    concatenation = message.concatenation
    if concatenation is None or concatenation.total == 1:
        if message.user_data.compressed:
            return IgnoredMessage("its user data are compressed", sender, _readable_text(message))
        return _build_command(message, message.text, message.data, message_identity(message), ())
    key = ConcatenationKey(sender, concatenation.reference, concatenation.wide, concatenation.total)
    part = MessagePart(key, concatenation.number, raw, message_identity(message))
    parts = {**history.stored_parts(key)}
    if part.identity is not None and history.is_known(part.identity):
        return part
    later = _compare_timestamps(message, parts.values())
    if later > 0:
        return replace(part, reference_reused=True)
    if later < 0:
        reason = f"part {part.number} of {key.total}, the others are missing: its reference was used again"
        return IgnoredMessage(reason, sender, _readable_text(message))
    if part.number in parts or len(parts) < key.total - 1:
        return part
    parts[part.number] = part
    return _join_parts(tuple(parts[number] for number in sorted(parts)))


def _compare_timestamps(message: pdu.Deliver, parts: Iterable[MessagePart]) -> int:
    """0 for a part of the same message as those, 1 for one of a later, -1 for one of an earlier message.

    A reference of 8 bits soon comes again, and a message may stay incomplete: only time tells them apart.
    """
    own = message.service_centre_timestamp.time
    for part in parts:
        kept = pdu.decode(part.raw)
        other = kept.service_centre_timestamp.time if isinstance(kept, pdu.Deliver) else None
        if own is not None and other is not None and abs(own - other) > MAX_PART_TIMESTAMP_GAP:
            return 1 if own > other else -1
    return 0


def _join_parts(parts: tuple[MessagePart, ...]) -> ReceivedCommand:
    """The Command of all its parts; its time stamp is that of the first part."""
    messages = [pdu.decode(part.raw) for part in parts]
    delivers = [message for message in messages if isinstance(message, pdu.Deliver)]
    whole = pdu.join([each.user_data for each in delivers])
    if whole is None:
        raise pdu.PduError("user_data_header.concatenation", None, "its parts do not fit together")
    return _build_command(delivers[0], whole.text, whole.data, None, parts)


def _build_command(
    first: pdu.Deliver,
    text: str | None,
    data: bytes | None,
    identity: bytes | None,
    parts: tuple[MessagePart, ...],
) -> ReceivedCommand:
    sid, body = (None, data or b"") if text is None else command_sid.split_sid(text)
    return ReceivedCommand(
        sender=str(first.originating_address),
        sid=sid,
        body=body,
        timestamp=first.service_centre_timestamp.time,
        identity=identity,
        answerable=not (
            first.loop_prevention or (text is not None and str(body).startswith(ERROR_ANSWER_PREFIX))
        ),
        parts=parts,
    )


def _readable_text(message: pdu.Deliver) -> str | None:
    if message.text is not None:
        return message.text
    return None if message.data is None else message.data.hex().upper()
