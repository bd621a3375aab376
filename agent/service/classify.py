"""Classifies a received message. No I/O: the message, the service and the stored parts are arguments.

Only a message from the service's own number is a Command: the same digits, with leading zeros, never an
alphanumeric address. The type of number is not compared, because networks deliver a short code as unknown,
national or international. This is not a proof of origin. A message to an application port (WAP push and the
like) is a Command only if a handler has asked for this port.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
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
    """Earlier messages, as the journal stores them."""

    def stored_parts(self, key: ConcatenationKey) -> Mapping[int, MessagePart]:
        """Return the stored parts of a concatenated message by their number."""

    def is_known(self, identity: bytes) -> bool:
        """Return True if a message with this identity was received before."""


ERROR_REPLY_PREFIX = "ERR "
"""Prefix of the agent's own error replies. A text with it never gets a reply, or two agents would loop."""

MAX_PART_TIMESTAMP_GAP = timedelta(hours=1)
"""Limit between the service centre timestamps of two parts of one message. The service centre receives all
parts within seconds, however long the delivery takes."""
_PID_TYPE_0 = 0x40  # TP-PID, 23.040 9.2.3.9: the message is acknowledged but neither shown nor stored


def classify(
    message: pdu.Tpdu,
    raw: str,
    history: MessageHistory,
    service: ServiceProfile,
    handled_ports: Collection[int] = (),
) -> ReceivedMessage:
    """Classify a TPDU as a Command, a part of one, a status report or an ignored message.

    ``raw`` is its PDU in hexadecimal digits; it is stored for a part while others are missing. The last part
    of a concatenated message returns the whole Command. `handled_ports` are the application ports that
    handlers have asked for. Raises PduError if the parts do not fit together.
    """
    match message:
        case pdu.StatusReport():
            return ReceivedReport(message)
        case pdu.Deliver():
            return _classify_deliver(message, raw, service, history, handled_ports)
        case _:
            return IgnoredMessage(f"{type(message).__name__} is not a message from the network", None, None)


def message_identity(message: pdu.Deliver) -> bytes | None:
    """Return a digest that a duplicate delivery of the same message has too; None without a valid date.

    Messages with an invalid timestamp have no identity: unrelated messages would share it.
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
    message: pdu.Deliver,
    raw: str,
    service: ServiceProfile,
    history: MessageHistory,
    handled_ports: Collection[int],
) -> ReceivedMessage:
    address = message.originating_address
    sender = str(address)
    if address.type_of_number is pdu.TypeOfNumber.ALPHANUMERIC or address.number != service.number:
        return IgnoredMessage(f"not from {service.number}", sender, _readable_text(message))
    if message.protocol_identifier == _PID_TYPE_0:
        return IgnoredMessage("it is a short message of type 0, which has no content", sender, None)
    port = _application_port(message)
    if port is not None and port not in handled_ports:
        reason = f"it is for application port {port}, which no handler handles"
        return IgnoredMessage(reason, sender, _readable_text(message))
    concatenation = message.concatenation
    if concatenation is None or concatenation.total == 1:
        if message.user_data.compressed:
            return IgnoredMessage("its user data is compressed", sender, _readable_text(message))
        return _build_command(message, message.text, message.data, message_identity(message), ())
    key = ConcatenationKey(sender, concatenation.reference, concatenation.wide, concatenation.total)
    part = MessagePart(key, concatenation.number, raw, message_identity(message))
    parts = {**history.stored_parts(key)}
    if part.identity is not None and history.is_known(part.identity):
        return part
    order = _compare_timestamps(message, parts.values())
    if order > 0:
        return part.replace(reference_reused=True)
    if order < 0:
        reason = f"part {part.number} of {key.total} without the others: a later message has its reference"
        return IgnoredMessage(reason, sender, _readable_text(message))
    if part.number in parts or len(parts) < key.total - 1:
        return part
    parts[part.number] = part
    return _join_parts(tuple(parts[number] for number in sorted(parts)))


def _compare_timestamps(message: pdu.Deliver, parts: Iterable[MessagePart]) -> int:
    """Return 0 if the part and the stored parts belong together, 1 if it is later, -1 if it is earlier.

    An 8-bit reference is soon used again, and a message may stay incomplete. Only timestamps show that.
    """
    time = message.service_centre_timestamp.time
    for part in parts:
        stored = pdu.decode(part.raw)
        stored_time = stored.service_centre_timestamp.time if isinstance(stored, pdu.Deliver) else None
        if time is not None and stored_time is not None and abs(time - stored_time) > MAX_PART_TIMESTAMP_GAP:
            return 1 if time > stored_time else -1
    return 0


def _join_parts(parts: tuple[MessagePart, ...]) -> ReceivedCommand:
    """Return the Command of all its parts; its timestamp is that of the first part."""
    messages = [pdu.decode(part.raw) for part in parts]
    delivers = [message for message in messages if isinstance(message, pdu.Deliver)]
    assembled = pdu.join([deliver.user_data for deliver in delivers])
    if assembled is None:
        raise pdu.PduError("user_data_header.concatenation", None, "the parts do not fit together")
    return _build_command(delivers[0], assembled.text, assembled.data, None, parts)


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
            first.loop_prevention or (text is not None and str(body).startswith(ERROR_REPLY_PREFIX))
        ),
        parts=parts,
        port=_application_port(first),
    )


def _application_port(message: pdu.Deliver) -> int | None:
    """Return the destination port of the user data header (23.040 9.2.3.24.3, .4); None without one."""
    ports = message.user_data.ports
    return None if ports is None else ports.destination


def _readable_text(message: pdu.Deliver) -> str | None:
    if message.text is not None:
        return message.text
    return None if message.data is None else message.data.hex().upper()
