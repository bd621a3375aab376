"""The message formats of 27.005: the `MessageFormat` protocol and its PDU mode.

A format makes the commands that list, read and send messages, and parses what the module prints. Text mode is
in `text_mode`: it has other headers, a counted payload (`+CSDH=1`) and another body.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import Protocol

import pdu
from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.events import Information, Unsolicited
from agent.at.line_parser import MIN_MESSAGE_DIGITS, may_hold_message, parse_pdu_mode_length, pdu_digits
from agent.at.parameters import ParameterValue, parse_values
from agent.at.protocol import PDU_MODE_URC_PAYLOADS
from agent.modem.stored_message import Slot, StoredMessage, Undecodable
from pdu.record import Record

LIST_TIMEOUT_S = 60.0
"""SIM7080 allows 20 s for 150 messages; a list was seen to take 8 s with pauses of 1 s."""
READ_TIMEOUT_S = 15.0
"""u-blox allows 10 s, A76xx 9 s."""
PROMPT_TIMEOUT_S = 10.0
"""The prompt was seen up to 5 s after the command, on a module that had to wake its radio."""
SEND_TIMEOUT_S = 120.0
"""Quectel's limit from the body to the result; SIM7000 allows 60 s, A76xx 40 s."""
CSMP_DEFAULTS_COMMAND = "AT+CSMP=17,167,0,0"
"""The defaults of 27.005 3.1. A module without +CSMP sends with these values."""
SEND_OK_GRACE_S = 5.0
"""Timeout of the OK after `+CMGS: <mr>`: the message is sent then, and OK follows at once or never."""

_OUTGOING_STATUSES = {2, 3, "STO UNSENT", "STO SENT"}
"""27.005 <stat> of outgoing messages."""
_HEX_PAIRS_RE = re.compile(r"(?:[0-9A-Fa-f]{2})+")
MAX_MESSAGE_OCTETS = 176
"""The length of a message with its service centre address that a SIM record can hold (31.102 4.2.25): at most
12 octets of address and 164 of TPDU."""


class RequiredSetting(Record):
    """A setting that a format needs to read messages."""

    name: str
    allowed_values: tuple[str, ...]
    """The values that can be used, best first."""
    reason: str
    """The error sentence for a module that accepts none of these values."""


class MessageFormat(Protocol):
    """One of the two message formats."""

    cmgf: int
    """The value of +CMGF."""
    urc_payloads: Mapping[str, PayloadKind]
    """The URCs that are followed by a payload, and its kind."""
    required_settings: tuple[RequiredSetting, ...]
    """The settings that must be made beside +CMGF."""
    negotiated: dict[str, str]
    """The value of each required setting that the module accepted."""
    cnma_forms: tuple[str, ...]
    """The forms of +CNMA, best first."""

    def cmgl_command(self) -> AtCommand:
        """Return the command that lists the selected store."""

    def parse_list_entry(self, line: Information, store: str) -> StoredMessage | Slot | None:
        """Return the received message of a list entry; None for an outgoing message and an empty slot.

        Returns the slot if the list does not show enough: the slot must then be read.
        """

    def cmgr_command(self, index: int) -> AtCommand:
        """Return the command that reads one slot."""

    def parse_read_response(self, line: Information, slot: Slot) -> StoredMessage | None:
        """Return the received message of a slot; None for an outgoing message and an empty slot."""

    def csmp_command(self, message: pdu.Submit) -> AtCommand | None:
        """Return +CSMP for a message, None if it is not needed.

        Raises PduError for one that cannot be sent.
        """

    def cmgs_command(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        """Return the command that sends a message. Raises PduError if it cannot be encoded."""

    def parse_direct(self, urc: Unsolicited) -> StoredMessage:
        """Return the message of a +CMT or +CDS."""


class PduFormat:
    """+CMGF=0: messages are lines of hexadecimal digits."""

    cmgf = 0
    urc_payloads: Mapping[str, PayloadKind] = PDU_MODE_URC_PAYLOADS
    required_settings: tuple[RequiredSetting, ...] = ()
    cnma_forms: tuple[str, ...] = ("AT+CNMA=1", "AT+CNMA")

    def __init__(self) -> None:
        self.negotiated: dict[str, str] = {}

    def cmgl_command(self) -> AtCommand:
        return _CMGL_COMMAND

    def parse_list_entry(self, line: Information, store: str) -> StoredMessage | Slot | None:
        header = parse_values(line.text)
        index, length = header.get(0).number, parse_pdu_mode_length(line.text)
        if index is None or is_outgoing(header.get(1)):
            return None
        slot = Slot(store, index)
        if line.payload is None and length != 0:
            return slot  # its payload was lost, or it was printed on the line of the header
        return _stored_message(line, slot, length)

    def cmgr_command(self, index: int) -> AtCommand:
        return AtCommand(f"AT+CMGR={index}", READ_TIMEOUT_S, _CMGR_RESPONSE, requires_information=True)

    def parse_read_response(self, line: Information, slot: Slot) -> StoredMessage | None:
        header = parse_values(line.text)
        if is_outgoing(header.get(0)):
            return None
        return _stored_message(line, slot, parse_pdu_mode_length(line.text))

    def csmp_command(self, message: pdu.Submit) -> AtCommand | None:
        del message  # a PDU carries its own settings
        return None

    def cmgs_command(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        encoded = pdu.encode(message)
        return AtCommand(
            f"AT+CMGS={encoded.length}",
            PROMPT_TIMEOUT_S,
            CMGS_RESPONSE,
            requires_information=True,
            final_result_grace_s=SEND_OK_GRACE_S,
            body=f"{encoded.hex}\x1a".encode(),
            body_timeout_s=timeout_s,
            abort_sequence=b"\x1a",  # a body of another length than announced is refused with 304
        )

    def parse_direct(self, urc: Unsolicited) -> StoredMessage:
        raw, length = urc.payload or "", parse_pdu_mode_length(urc.text)
        message, is_intact = _decode_announced(raw, length)
        if not urc.text:
            message = Undecodable("it came without its header")
        elif may_hold_message(raw[_message_digits(raw, length, message) :]):
            message = Undecodable("another message may have been joined to it")
        if isinstance(message, Undecodable):
            # There may be no second copy, so the header is kept, too.
            return StoredMessage(None, f"{urc.text}\r\n{raw}".lstrip(), message, is_intact=False)
        return StoredMessage(None, raw, message, is_intact)


_CMGL_COMMAND = AtCommand(
    "AT+CMGL=4",
    LIST_TIMEOUT_S,
    (ResponsePattern("+CMGL", payload_kind=PayloadKind.HEX_LINE, may_repeat=True),),
)
_CMGR_RESPONSE = (ResponsePattern("+CMGR", payload_kind=PayloadKind.HEX_LINE),)
CMGS_RESPONSE = (ResponsePattern("+CMGS"),)


def decode_pdu(raw: str) -> pdu.Deliver | pdu.StatusReport | Undecodable:
    """Decode the hexadecimal digits of a received message."""
    if not _HEX_PAIRS_RE.fullmatch(raw):
        return Undecodable(f"{len(raw)} characters that are not pairs of hexadecimal digits")
    if len(raw) > 2 * MAX_MESSAGE_OCTETS:
        return Undecodable(
            f"{len(raw) // 2} octets, more than the {MAX_MESSAGE_OCTETS} of the longest message"
        )
    try:
        message = pdu.decode(raw)
    except pdu.PduError as error:
        return Undecodable(str(error))
    if isinstance(message, pdu.Deliver | pdu.StatusReport):
        return message
    return Undecodable(f"a {type(message).__name__} is not a message to a device")


def _decode_announced(
    raw: str, length: int | None
) -> tuple[pdu.Deliver | pdu.StatusReport | Undecodable, bool]:
    """Decode a payload of <length> octets, also if a few digits follow that cannot be a second message.

    The second value is True if <length> fits, or is not known.
    """
    message = decode_pdu(raw)
    size = _announced_digits(raw, length)
    if isinstance(message, Undecodable) and len(raw) - size < MIN_MESSAGE_DIGITS:
        message = decode_pdu(raw[:size])
    return message, not isinstance(message, Undecodable) and size == len(raw)


def _announced_digits(raw: str, length: int | None) -> int:
    """Return the digits of a payload that <length> covers; all of them if it is not known or not valid."""
    return len(raw) if not length or not _HEX_PAIRS_RE.match(raw) else pdu_digits(raw, length)


def _message_digits(
    raw: str, length: int | None, message: pdu.Deliver | pdu.StatusReport | Undecodable
) -> int:
    """Return the digits of a message in a payload, by <length> or, if that is not known, by the message."""
    if not length and not isinstance(message, Undecodable):
        with contextlib.suppress(pdu.PduError):
            return min(len(raw), len(pdu.encode(message).hex))
    return _announced_digits(raw, length)


def is_outgoing(status: ParameterValue) -> bool:
    """Return True if <stat> is that of a message that was written or sent, not received."""
    return status.number in _OUTGOING_STATUSES or status.text.upper() in _OUTGOING_STATUSES


def _stored_message(line: Information, slot: Slot, length: int | None) -> StoredMessage | None:
    if line.payload is None:
        if not length:
            return None  # some modules show an empty slot as `+CMGR: 0,,0`
        return StoredMessage(slot, "", Undecodable(f"{line.text} came without its message"), is_intact=False)
    message, is_intact = _decode_announced(line.payload, length)
    return StoredMessage(slot, line.payload, message, is_intact)
