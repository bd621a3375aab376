"""The seam between the two message formats of 27.005: how messages are asked for, read and sent.

PDU mode is one side of it and stands here. The other, text mode (`text_format`), has its own headers, a
counted payload (`+CSDH=1`) and its own body; whoever uses a format sees none of that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pdu
from agent.at.command import Answer, AtCommand, Payload
from agent.at.engine import ANNOUNCED
from agent.at.event import Information, Unsolicited
from agent.at.parameters import Value, values
from agent.modem.stored import Slot, StoredMessage, Undecodable

LIST_S = 60.0
"""SIM7080 allows 20 s for 150 messages; a list was seen to stream for 8 s with pauses of 1 s."""
READ_S = 15.0
"""u-blox allows 10 s, A76xx 9 s."""
PROMPT_S = 10.0
"""The prompt was seen up to 5 s after the command, on a module that had to wake its radio."""
SEND_S = 120.0
"""Quectel's limit from the body to the result; SIM7000 allows 60 s, A76xx 40 s."""
DEFAULTS = "AT+CSMP=17,167,0,0"
"""What stands by 27.005 3.1 where nobody sets it: a module that does not know +CSMP sends so."""
SENT_OK_S = 5.0
"""After `+CMGS: <mr>` the message is sent; OK follows in the same breath or never."""

_OWN = {2, 3, "STO UNSENT", "STO SENT"}
"""27.005 <stat> of messages that were written or sent here, not received."""
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
MOST_OCTETS = 176
"""Of a message with its service centre address: what a record of a SIM holds (31.102 4.2.25), of which 12 and
164 octets are the most that either part has."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting without which messages cannot be read in a format."""

    name: str
    values: tuple[str, ...]
    """What will do, best first."""
    reason: str
    """Why the module cannot be used in this format with any other value."""


class MessageFormat(Protocol):
    """One of the two formats."""

    code: int
    """The value of +CMGF."""
    announced: Mapping[str, Payload]
    """Which unsolicited codes are followed by which payload."""
    choices: tuple[Choice, ...]
    """Further settings that must stand."""
    agreed: dict[str, str]
    """The value of each of them, as the module took it."""
    acknowledgements: tuple[str, ...]
    """The forms of +CNMA, best first."""

    def list_messages(self) -> AtCommand:
        """List the whole store."""

    def listed(self, line: Information, store: str) -> StoredMessage | Slot | None:
        """The received message of one list entry; None for our own and for empty ones.

        A slot where the list tells too little of it: it is to be read there.
        """

    def read_message(self, index: int) -> AtCommand:
        """Read one slot."""

    def read(self, line: Information, slot: Slot) -> StoredMessage | None:
        """The received message of an answer; None for our own and for nothing."""

    def prepare(self, message: pdu.Submit) -> AtCommand | None:
        """What must be set before it is sent. Raises PduError for a message that this format cannot carry."""

    def submit(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        """Send; raises PduError for a message that cannot be encoded."""

    def direct(self, news: Unsolicited) -> StoredMessage:
        """The message that came with +CMT or +CDS."""

    def string(self, text: str) -> str:
        """A string of the module, for example the number of +CSCA, as it reads."""

    def number(self, text: str) -> str:
        """A number as the module wants it written between quotes."""


class PduFormat:
    """+CMGF=0: messages are lines of hexadecimal digits."""

    code = 0
    announced: Mapping[str, Payload] = ANNOUNCED
    choices: tuple[Choice, ...] = ()
    acknowledgements: tuple[str, ...] = ("AT+CNMA=1", "AT+CNMA")

    def __init__(self) -> None:
        self.agreed: dict[str, str] = {}

    def list_messages(self) -> AtCommand:
        return _LIST

    def listed(self, line: Information, store: str) -> StoredMessage | None:
        header = values(line.text)
        index = header.at(0).number
        if index is None or is_own(header.at(1)):
            return None
        return _message(line, Slot(store, index), _announced(header[2:]))

    def read_message(self, index: int) -> AtCommand:
        return AtCommand(f"AT+CMGR={index}", READ_S, _READ, informs=True)

    def read(self, line: Information, slot: Slot) -> StoredMessage | None:
        header = values(line.text)
        if is_own(header.at(0)):
            return None
        return _message(line, slot, _announced(header[1:]))

    def prepare(self, message: pdu.Submit) -> AtCommand | None:
        del message  # a PDU carries its own settings
        return None

    def submit(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        encoded = pdu.encode(message)
        return AtCommand(
            f"AT+CMGS={encoded.length}",
            PROMPT_S,
            SENT,
            informs=True,
            settle_s=SENT_OK_S,
            body=f"{encoded.hex}\x1a".encode(),
            body_timeout_s=timeout_s,
            give_up=b"\x1a",  # an entry of another length than announced is refused with 304
        )

    def direct(self, news: Unsolicited) -> StoredMessage:
        raw = news.payload or ""
        message = decode(raw)
        if isinstance(message, Undecodable):
            # There may be no second copy: what the header says is kept too.
            return StoredMessage(None, f"{news.text}\r\n{raw}", message, sound=False)
        return StoredMessage(None, raw, message, _announced(values(news.text)) in {None, _length(raw)})

    def string(self, text: str) -> str:
        return text

    def number(self, text: str) -> str:
        return text


_LIST = AtCommand("AT+CMGL=4", LIST_S, (Answer("+CMGL", payload=Payload.HEX_LINE, many=True),))
_READ = (Answer("+CMGR", payload=Payload.HEX_LINE),)
SENT = (Answer("+CMGS"),)


def decode(raw: str) -> pdu.Deliver | pdu.StatusReport | Undecodable:
    """What hexadecimal digits of a module say."""
    if not _HEX.fullmatch(raw):
        return Undecodable(f"{len(raw)} characters that are no pairs of hexadecimal digits")
    if len(raw) > 2 * MOST_OCTETS:
        return Undecodable(f"{len(raw) // 2} octets, and a message has {MOST_OCTETS} at the most")
    try:
        message = pdu.decode(raw)
    except pdu.PduError as error:
        return Undecodable(str(error))
    if isinstance(message, pdu.Deliver | pdu.StatusReport):
        return message
    return Undecodable(f"a {type(message).__name__} is no message to a device")


def _announced(rest: tuple[Value, ...]) -> int | None:
    """<length>, the first number behind <stat>; the <alpha> between them, or its comma, may be missing."""
    return next((value.number for value in rest if value.number is not None and not value.quoted), None)


def _length(raw: str) -> int:
    """Octets of the TPDU, which is what <length> counts: without the service centre address in front."""
    return len(raw) // 2 - 1 - int(raw[:2], 16)


def is_own(status: Value) -> bool:
    """Whether a <stat> is that of a message that was written or sent here, not received."""
    return status.number in _OWN or status.text.upper() in _OWN


def _message(line: Information, slot: Slot, length: int | None) -> StoredMessage | None:
    if line.payload is None:
        if not length:
            return None  # `+CMGR: 0,,0`: an empty slot, as some modules put it
        return StoredMessage(slot, "", Undecodable(f"{line.text} came without its message"), sound=False)
    message = decode(line.payload)
    sound = not isinstance(message, Undecodable) and length in {None, _length(line.payload)}
    return StoredMessage(slot, line.payload, message, sound)
