"""Text mode (+CMGF=1): headers with `+CSDH=1`, a counted payload, a body in characters.

A message that the module shows as text is converted back to a message of 23.040, and `raw` is its PDU as PDU
mode would print it. So a message is the same before and after its first read (`REC UNREAD`, `REC READ`),
duplicates are detected, and parts can be joined later.

UCS2 is the preferred character set: each string and each text is then one line of hexadecimal digits, every
character of the GSM alphabet and its extension table is preserved, and nothing can look like a line end, a
result code, a prompt or the end of a body. HEX does the same with septets. With GSM all characters can be
received, but 0x1B, 0x1A and 0x0D would end a body; IRA lacks some characters. <dcs> and <fo> in the header
determine what hexadecimal digits mean; the digits themselves are never a criterion. A list shows neither, so
the messages of a list are read one by one.
"""

from __future__ import annotations

from collections.abc import Mapping

import pdu
from agent.at.command import AtCommand, PayloadKind, ResponsePattern
from agent.at.events import Information, Unsolicited
from agent.at.parameters import EMPTY_VALUE, ParameterValues, parse_values
from agent.modem.at_commands import SETTING_TIMEOUT_S
from agent.modem.message_format import (
    CMGS_RESPONSE,
    LIST_TIMEOUT_S,
    PROMPT_TIMEOUT_S,
    READ_TIMEOUT_S,
    SEND_OK_GRACE_S,
    PduFormat,
    RequiredSetting,
    is_outgoing,
)
from agent.modem.stored_message import Slot, StoredMessage, Undecodable
from agent.modem.text_mode_codec import (
    TextModeError,
    decode_address,
    decode_user_data,
    encode_string,
    encode_text,
    encode_timestamp,
)
from pdu import Alphabet

CHARACTER_SETS = ("UCS2", "HEX", "GSM", "8859-1", "IRA")
"""Character sets of 27.007 5.5, best first."""
_REQUIRED_SETTINGS = (
    RequiredSetting(
        "+CSDH",
        ("1",),
        "in text mode the module shows no lengths, so messages cannot be distinguished from result codes; "
        'use message_format = "pdu"',
    ),
    RequiredSetting(
        "+CSCS",
        CHARACTER_SETS,
        'the module offers no supported character set for text mode; use message_format = "pdu"',
    ),
)
_FO_UDHI, _FO_STATUS_REPORT, _FO_REJECT_DUPLICATES, _FO_REPLY_PATH = 0x40, 0x20, 0x04, 0x80
_FO_SUBMIT_DEFAULT = 17
"""<fo>: a SUBMIT with a relative validity period; 27.005 3.1 has it as the default."""
_VP_DEFAULT = 167
"""<vp>, the default of 27.005 3.1: 24 hours."""
_MAX_UCS2_CHARACTERS = 70
"""The characters of one message in UCS-2."""
_CMGL_COMMAND = AtCommand(
    'AT+CMGL="ALL"',
    LIST_TIMEOUT_S,
    (ResponsePattern("+CMGL", payload_kind=PayloadKind.COUNTED, may_repeat=True),),
)
_CMGR_RESPONSE = (ResponsePattern("+CMGR", payload_kind=PayloadKind.COUNTED),)
_PDU_FORMAT = PduFormat()


class TextFormat:
    """The text mode of 27.005."""

    cmgf = 1
    urc_payloads: Mapping[str, PayloadKind] = dict.fromkeys(("+CMT", "+CDS", "+CBM"), PayloadKind.COUNTED)
    required_settings: tuple[RequiredSetting, ...] = _REQUIRED_SETTINGS
    cnma_forms: tuple[str, ...] = ("AT+CNMA",)

    def __init__(self) -> None:
        self.negotiated: dict[str, str] = {}

    @property
    def _charset(self) -> str:
        return self.negotiated.get("+CSCS", "")

    # Receiving

    def cmgl_command(self) -> AtCommand:
        return _CMGL_COMMAND

    def parse_list_entry(self, line: Information, store: str) -> StoredMessage | Slot | None:
        header = parse_values(line.text)
        index = header.get(0).number
        if index is None or is_outgoing(header.get(1)):
            return None
        if header.get(1).number is not None:
            return _PDU_FORMAT.parse_list_entry(
                line, store
            )  # some list an entry as PDU if it has no text form
        return Slot(store, index)

    def cmgr_command(self, index: int) -> AtCommand:
        return AtCommand(f"AT+CMGR={index}", READ_TIMEOUT_S, _CMGR_RESPONSE, requires_information=True)

    def parse_read_response(self, line: Information, slot: Slot) -> StoredMessage | None:
        header = parse_values(line.text)
        status = header.get(0)
        if is_outgoing(status):
            return None
        if status.number is not None:
            return _PDU_FORMAT.parse_read_response(line, slot)
        fields = ParameterValues(header[1:])
        if not line.payload and not any(field.text for field in fields if field.text != "0"):
            return None  # some modules show an empty slot as `+CMGR: "",,0`
        return self._stored_message(fields, line.payload, slot)

    def parse_direct(self, urc: Unsolicited) -> StoredMessage:
        fields = parse_values(urc.text)
        if not any(field.quoted for field in fields[1:]):
            return _PDU_FORMAT.parse_direct(urc)
        return self._stored_message(fields, urc.payload, None)

    def _stored_message(
        self, fields: ParameterValues, payload: str | None, slot: Slot | None
    ) -> StoredMessage:
        """Decode the fields after <stat> and the payload. What cannot be decoded is kept as it came."""
        is_intact = True
        try:
            if fields.get(0).number is not None and not fields.get(0).quoted:
                message: pdu.Deliver | pdu.StatusReport = self._decode_status_report(fields)
            else:
                message, is_intact = self._decode_deliver(fields, payload)
            return StoredMessage(slot, pdu.encode(message).hex, message, is_intact)
        except (TextModeError, pdu.PduError) as error:
            shown = ",".join(f'"{field.text}"' if field.quoted else field.text for field in fields)
            raw = f"{shown}\r\n{payload or ''}"
            return StoredMessage(slot, raw, Undecodable(str(error)), is_intact=False)

    def _decode_deliver(self, fields: ParameterValues, payload: str | None) -> tuple[pdu.Deliver, bool]:
        """Decode `<oa>[,<alpha>],<scts>,<tooa>,<fo>,<pid>,<dcs>,<sca>,<tosca>,<length>` and the payload.

        The second value is True if the payload has the announced length.
        """
        # <alpha>, with or without its comma, may be missing: the positions are counted from <scts>.
        scts = next((at for at in range(1, 4) if encode_timestamp(fields.get(at).text) is not None), 2)
        first, scheme, length = (fields.get(scts + at).number for at in (2, 4, 7))
        if first is None or scheme is None or length is None:
            raise TextModeError("a header without <fo>, <dcs> or <length>")
        if payload is None:
            raise TextModeError("a header without its message")
        data, scheme, is_intact = decode_user_data(
            payload, self._charset, scheme, length, has_header=bool(first & _FO_UDHI)
        )
        centre = fields.get(scts + 5).text
        message = pdu.Deliver(
            originating_address=decode_address(
                fields.get(0).text, fields.get(scts + 1).number, self._charset
            ),
            service_centre_timestamp=_decode_timestamp(fields.get(scts).text),
            user_data=data,
            data_coding_scheme=scheme,
            protocol_identifier=fields.get(scts + 3).number or 0,
            more_messages=not first & 0x04,
            loop_prevention=bool(first & 0x08),
            status_report_indication=bool(first & _FO_STATUS_REPORT),
            reply_path=bool(first & _FO_REPLY_PATH),
            service_centre_address=decode_address(centre, fields.get(scts + 6).number, self._charset)
            if centre
            else None,
        )
        return message, is_intact

    def _decode_status_report(self, fields: ParameterValues) -> pdu.StatusReport:
        """Decode `<fo>,<mr>,[<ra>],[<tora>],<scts>,<dt>,<st>`, also without <ra>, <tora> and their commas."""
        scts = next((at for at in range(2, 6) if encode_timestamp(fields.get(at).text) is not None), 4)
        first, reference, status = fields.get(0).number, fields.get(1).number, fields.get(scts + 2).number
        if first is None or reference is None or status is None:
            raise TextModeError("a status report without <fo>, <mr> or <st>")
        recipient = fields.get(2) if scts > 2 else EMPTY_VALUE
        return pdu.StatusReport(
            message_reference=reference,
            recipient_address=decode_address(
                recipient.text, fields.get(3).number if scts > 3 else None, self._charset
            ),
            service_centre_timestamp=_decode_timestamp(fields.get(scts).text),
            discharge_time=_decode_timestamp(fields.get(scts + 1).text),
            status=status,
            more_messages=not first & 0x04,
            loop_prevention=bool(first & 0x08),
            on_command=bool(first & _FO_STATUS_REPORT),
        )

    # Sending

    def csmp_command(self, message: pdu.Submit) -> AtCommand:
        """Return +CSMP for a message: text is sent as text, 8-bit data and UCS-2 as hexadecimal digits.

        Raises PduError for a message that text mode cannot send.
        """
        if message.user_data.has_header:
            reason = "text mode cannot send a message of several parts: modules count its septets wrongly"
            raise pdu.PduError("submit.user_data_header", None, reason)
        first = _FO_SUBMIT_DEFAULT
        first |= _FO_STATUS_REPORT if message.status_report_request else 0
        first |= _FO_REJECT_DUPLICATES if message.reject_duplicates else 0
        first |= _FO_REPLY_PATH if message.reply_path else 0
        match message.validity_period:
            case None:
                validity = _VP_DEFAULT
            case pdu.RelativeValidity(octet=octet):
                validity = octet
            case _:
                reason = "text mode can send a relative validity period only"
                raise pdu.PduError("submit.validity_period", None, reason)
        scheme = message.data_coding_scheme
        if message.user_data.alphabet is Alphabet.GSM7 and self._encode_body(message.user_data) is None:
            scheme = 0x08
        return AtCommand(
            f"AT+CSMP={first},{validity},{message.protocol_identifier},{scheme}", SETTING_TIMEOUT_S
        )

    def cmgs_command(self, message: pdu.Submit, timeout_s: float) -> AtCommand:
        data = message.user_data
        body = self._encode_body(data)
        if body is None:
            body = pdu.UserData.of(data.text or "", alphabet=Alphabet.UCS2).octets.hex().upper()
        number = message.destination_address
        type_of_address = number.type_of_address
        is_default = type_of_address == (145 if str(number).startswith("+") else 129)
        toda = "" if is_default else f",{type_of_address}"
        return AtCommand(
            f'AT+CMGS="{encode_string(str(number), self._charset)}"{toda}',
            PROMPT_TIMEOUT_S,
            CMGS_RESPONSE,
            requires_information=True,
            final_result_grace_s=SEND_OK_GRACE_S,
            body=f"{body}\x1a".encode("latin-1"),
            body_timeout_s=timeout_s,
        )

    def _encode_body(self, data: pdu.UserData) -> str | None:
        """Return the body of +CMGS without Ctrl-Z; None for text that the character set cannot carry."""
        if data.alphabet is not Alphabet.GSM7 or data.compressed:
            return data.octets.hex().upper()
        text = data.text or ""
        body = encode_text(text, self._charset)
        if body is None and len(text) > _MAX_UCS2_CHARACTERS:  # joined lines are better than no reply
            body = encode_text(" ".join(text.split("\r\n" if "\r\n" in text else "\n")), self._charset)
        return body


def _decode_timestamp(text: str) -> pdu.Timestamp:
    """Decode <scts> or <dt>.

    A text that is not a timestamp becomes seven zero octets, which are not a date.
    """
    return pdu.Timestamp(encode_timestamp(text) or bytes(7))
