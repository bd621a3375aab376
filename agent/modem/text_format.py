"""Text mode, the other side of the seam: headers with `+CSDH=1`, a counted payload, a body in characters.

What the module shows as text is made a message of 23.040 again, and `raw` is its PDU as PDU mode would print
it. So the same message reads the same whether or not it was read before (`REC UNREAD`, `REC READ`), slots and
doubles are known again, and parts can be joined later.

The character set is UCS2 where the module has it: each string and each text is one line of hexadecimal digits
then, every character of the GSM alphabet and its extension crosses the line whole, and nothing in it can look
like a line end, a result, a prompt or the end of a body. HEX does the same with septets. GSM carries all
characters in, but its own 0x1B, 0x1A and 0x0D end a body; IRA has not all of them. What hexadecimal digits
mean is told by <dcs> and <fo> in the header, never by how they look; a list has neither, so that listed
messages are read one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import pdu
from agent.at.command import Answer, AtCommand, Payload
from agent.at.event import Information, Unsolicited
from agent.at.parameters import NOTHING, Values, values
from agent.modem.commands import SETTING_S
from agent.modem.formats import (
    LIST_S,
    PROMPT_S,
    READ_S,
    SENT,
    SENT_OK_S,
    Choice,
    PduFormat,
    is_own,
)
from agent.modem.stored import Slot, StoredMessage, Undecodable
from agent.modem.text_data import Unreadable, address, characters, moment, string, user_data, written
from pdu import Alphabet

SETS = ("UCS2", "HEX", "GSM", "8859-1", "IRA")
"""Character sets of 27.007 5.5, best first."""
_CHOICES = (
    Choice(
        "+CSDH",
        ("1",),
        "in text mode the module tells no lengths, so nobody can tell a message from what the module says; "
        'take message_format = "pdu"',
    ),
    Choice(
        "+CSCS",
        SETS,
        'the module offers no character set for text mode that is known here; take message_format = "pdu"',
    ),
)
_UDHI, _REPORT, _NO_DUPLICATES, _REPLY_PATH = 0x40, 0x20, 0x04, 0x80
_SUBMIT = 17
"""<fo>: a SUBMIT with a relative validity period; 27.005 3.1 has it as the default."""
_DAY = 167
"""<vp>, the default of 27.005 3.1: 24 hours."""
_UCS2 = 70
"""Characters that one message can carry as UCS-2."""
_LIST = AtCommand('AT+CMGL="ALL"', LIST_S, (Answer("+CMGL", payload=Payload.COUNTED, many=True),))
_READ = (Answer("+CMGR", payload=Payload.COUNTED),)
_IN_PDU = PduFormat()


class TextFormat:
    """+CMGF=1."""

    code = 1
    announced: Mapping[str, Payload] = dict.fromkeys(("+CMT", "+CDS", "+CBM"), Payload.COUNTED)
    choices: tuple[Choice, ...] = _CHOICES
    acknowledgements: tuple[str, ...] = ("AT+CNMA",)

    def __init__(self) -> None:
        self.agreed: dict[str, str] = {}

    @property
    def _set(self) -> str:
        return self.agreed.get("+CSCS", "")

    # Receiving

    def list_messages(self) -> AtCommand:
        return _LIST

    def listed(self, line: Information, store: str) -> StoredMessage | Slot | None:
        header = values(line.text)
        index = header.at(0).number
        if index is None or is_own(header.at(1)):
            return None
        if header.at(1).number is not None:
            return _IN_PDU.listed(line, store)  # as some show what they cannot show as text
        return Slot(store, index)

    def read_message(self, index: int) -> AtCommand:
        return AtCommand(f"AT+CMGR={index}", READ_S, _READ, informs=True)

    def read(self, line: Information, slot: Slot) -> StoredMessage | None:
        header = values(line.text)
        status = header.at(0)
        if is_own(status):
            return None
        if status.number is not None:
            return _IN_PDU.read(line, slot)
        fields = Values(header[1:])
        if not line.payload and not any(field.text for field in fields if field.text != "0"):
            return None  # `+CMGR: "",,0`: an empty slot, as some modules put it
        return self._message(fields, line.payload, slot)

    def direct(self, news: Unsolicited) -> StoredMessage:
        fields = values(news.text)
        if not any(field.quoted for field in fields[1:]):
            return _IN_PDU.direct(news)
        return self._message(fields, news.payload, None)

    def string(self, text: str) -> str:
        try:
            return string(text, self._set or ("UCS2" if text.startswith("00") else ""))
        except Unreadable:
            return text

    def number(self, text: str) -> str:
        return written(text, self._set)

    def _message(self, fields: Values, payload: str | None, slot: Slot | None) -> StoredMessage:
        """A message of what stands behind <stat>; what cannot be read is kept as it came."""
        sound = True
        try:
            if fields.at(0).number is not None and not fields.at(0).quoted:
                message: pdu.Deliver | pdu.StatusReport = self._report(fields)
            else:
                message, sound = self._deliver(fields, payload)
            return StoredMessage(slot, pdu.encode(message).hex, message, sound)
        except (Unreadable, pdu.PduError) as error:
            shown = ",".join(f'"{field.text}"' if field.quoted else field.text for field in fields)
            raw = f"{shown}\r\n{payload or ''}"
            return StoredMessage(slot, raw, Undecodable(str(error)), sound=False)

    def _deliver(self, fields: Values, payload: str | None) -> tuple[pdu.Deliver, bool]:
        """`<oa>[,<alpha>],<scts>,<tooa>,<fo>,<pid>,<dcs>,<sca>,<tosca>,<length>`; whether that fits."""
        # <alpha>, or its comma with it, may be missing: the time stamp is the fixed point.
        time = next((at for at in range(1, 4) if moment(fields.at(at).text) is not None), 2)
        first, scheme, length = (fields.at(time + at).number for at in (2, 4, 7))
        if first is None or scheme is None or length is None:
            raise Unreadable("a header without <fo>, <dcs> or <length>")
        if payload is None:
            raise Unreadable("a header without its message")
        data, scheme, sound = user_data(payload, self._set, scheme, length, header=bool(first & _UDHI))
        centre = fields.at(time + 5).text
        message = pdu.Deliver(
            originating_address=address(fields.at(0).text, fields.at(time + 1).number, self._set),
            service_centre_timestamp=_timestamp(fields.at(time).text),
            user_data=data,
            data_coding_scheme=scheme,
            protocol_identifier=fields.at(time + 3).number or 0,
            more_messages=not first & 0x04,
            loop_prevention=bool(first & 0x08),
            status_report_indication=bool(first & _REPORT),
            reply_path=bool(first & _REPLY_PATH),
            service_centre_address=address(centre, fields.at(time + 6).number, self._set) if centre else None,
        )
        return message, sound

    def _report(self, fields: Values) -> pdu.StatusReport:
        """`<fo>,<mr>,[<ra>],[<tora>],<scts>,<dt>,<st>`; <ra> and <tora> may be missing, commas or not."""
        time = next((at for at in range(2, 6) if moment(fields.at(at).text) is not None), 4)
        first, reference, status = fields.at(0).number, fields.at(1).number, fields.at(time + 2).number
        if first is None or reference is None or status is None:
            raise Unreadable("a status report without <fo>, <mr> or <st>")
        recipient = fields.at(2) if time > 2 else NOTHING
        return pdu.StatusReport(
            message_reference=reference,
            recipient_address=address(recipient.text, fields.at(3).number if time > 3 else None, self._set),
            service_centre_timestamp=_timestamp(fields.at(time).text),
            discharge_time=_timestamp(fields.at(time + 1).text),
            status=status,
            more_messages=not first & 0x04,
            loop_prevention=bool(first & 0x08),
            on_command=bool(first & _REPORT),
        )

    # Sending

    def prepare(self, message: pdu.Submit) -> AtCommand:
        """+CSMP: text as it is, 8-bit data and UCS-2 as hexadecimal digits."""
        if message.user_data.has_header:
            reason = "text mode sends no message of several parts: modules count its septets wrongly"
            raise pdu.PduError("submit.user_data_header", None, reason)
        first = _SUBMIT
        first |= _REPORT if message.status_report_request else 0
        first |= _NO_DUPLICATES if message.reject_duplicates else 0
        first |= _REPLY_PATH if message.reply_path else 0
        match message.validity_period:
            case None:
                validity = _DAY
            case pdu.RelativeValidity(octet=octet):
                validity = octet
            case _:
                reason = "text mode sends a relative validity period only"
                raise pdu.PduError("submit.validity_period", None, reason)
        scheme = message.data_coding_scheme
        if message.user_data.alphabet is Alphabet.GSM7 and self._body(message.user_data) is None:
            scheme = 0x08
        return AtCommand(f"AT+CSMP={first},{validity},{message.protocol_identifier},{scheme}", SETTING_S)

    def submit(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        data = message.user_data
        body = self._body(data)
        if body is None:
            body = pdu.UserData.of(data.text or "", alphabet=Alphabet.UCS2).octets.hex().upper()
        number = message.destination_address
        kind = number.type_of_address
        plain = kind == (145 if str(number).startswith("+") else 129)
        return AtCommand(
            f'AT+CMGS="{written(str(number), self._set)}"{"" if plain else f",{kind}"}',
            PROMPT_S,
            SENT,
            informs=True,
            settle_s=SENT_OK_S,
            body=f"{body}\x1a".encode("latin-1"),
            body_timeout_s=timeout_s,
        )

    def _body(self, data: pdu.UserData) -> str | None:
        """What is written at the prompt; None for text that this character set cannot carry there."""
        if data.alphabet is not Alphabet.GSM7 or data.compressed:
            return data.octets.hex().upper()
        text = data.text or ""
        body = characters(text, self._set)
        if body is None and len(text) > _UCS2:  # lines run together are better than no answer
            body = characters(" ".join(text.split("\r\n" if "\r\n" in text else "\n")), self._set)
        return body


def _timestamp(text: str) -> pdu.Timestamp:
    """Seven octets; zeros, which are no date, where the text is none: nobody knows when it was."""
    return pdu.Timestamp(moment(text) or bytes(7))
