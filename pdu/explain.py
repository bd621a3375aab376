"""Lists every field of a PDU with its octets, for reading traces.

The reader goes through the fields in the order of the octets. It stops where octets are missing or invalid;
the fields before that are listed, and the error is that of ``decode``.
"""

from __future__ import annotations

from pdu import descriptions, header, status
from pdu.address import Address, read_address, read_service_centre
from pdu.coding import Alphabet, DataCoding
from pdu.decoder import decode, read_hex, read_validity
from pdu.error import PduError
from pdu.record import Record
from pdu.timestamp import Timestamp
from pdu.user_data import UserData

TYPE_CHECKING = False  # see record
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

_MESSAGE_TYPES = {
    "mt": ("SMS-DELIVER", "SMS-SUBMIT-REPORT", "SMS-STATUS-REPORT", "reserved, read as SMS-DELIVER"),
    "mo": ("SMS-DELIVER-REPORT", "SMS-SUBMIT", "SMS-COMMAND", "reserved"),
}
_VALIDITY_FORMATS = ("no validity period", "enhanced", "relative", "absolute")  # TP-VPF
_NO_YES = ("no", "yes")

# TP-MTI and the flags of the first octet: bits, abbreviation, name, meanings of 0 and 1 (2, 3).
_UDHI_FLAG = (0x40, "TP-UDHI", "has_header", _NO_YES)
_RP_FLAG = (0x80, "TP-RP", "reply_path", _NO_YES)
_MMS_FLAG = (0x04, "TP-MMS", "more_messages", ("more messages wait", "no more messages"))
_LP_FLAG = (0x08, "TP-LP", "loop_prevention", _NO_YES)
_SRR_FLAG = (0x20, "TP-SRR", "status_report_request", _NO_YES)
_FLAGS = {
    "SMS-DELIVER": (
        _MMS_FLAG,
        _LP_FLAG,
        (0x20, "TP-SRI", "status_report_indication", _NO_YES),
        _UDHI_FLAG,
        _RP_FLAG,
    ),
    "SMS-SUBMIT": (
        (0x04, "TP-RD", "reject_duplicates", _NO_YES),
        (0x18, "TP-VPF", "validity_period_format", _VALIDITY_FORMATS),
        _SRR_FLAG,
        _UDHI_FLAG,
        _RP_FLAG,
    ),
    "SMS-STATUS-REPORT": (_MMS_FLAG, _LP_FLAG, (0x20, "TP-SRQ", "on_command", _NO_YES), _UDHI_FLAG),
    "SMS-COMMAND": (_SRR_FLAG, _UDHI_FLAG),
    "SMS-DELIVER-REPORT": (_UDHI_FLAG,),
    "SMS-SUBMIT-REPORT": (_UDHI_FLAG,),
}


class FieldRow(Record):
    """One field: offset, octets, names, meaning."""

    offset: int
    octets: bytes
    abbreviation: str  # of 23.040; "" if it has none
    name: str
    meaning: str
    bit_mask: int = 0xFF  # the bits of the field, if it is less than an octet


class Explanation(Record):
    """The fields of a PDU in the order of the octets, and the error of an invalid PDU."""

    kind: str  # "SMS-DELIVER" and so on; "" if it is unknown
    rows: tuple[FieldRow, ...]
    length: int  # octets of the TPDU, the <length> of 27.005; 0 if the PDU is truncated
    error: PduError | None


def explain(data: str | bytes, *, direction: Literal["mt", "mo"] = "mt", sca: bool = True) -> Explanation:
    """Return every field of a PDU. The arguments are those of ``decode``; invalid octets raise nothing."""
    try:
        octets = read_hex(data) if isinstance(data, str) else bytes(memoryview(data))
    except PduError as invalid_hex:
        return Explanation("", (), 0, invalid_hex)
    error = None
    try:
        decode(octets, direction=direction, sca=sca)
    except PduError as decode_error:
        error = decode_error
    reader = _FieldReader(octets)
    length = 0
    try:
        reader.read_message(direction, sca=sca)
        length = reader.offset - reader.tpdu_start
    except PduError:
        reader.add_rest("not read")
    else:
        fill = octets.count(b"\xff", reader.offset) == len(octets) - reader.offset
        reader.add_rest("fill, ignored" if fill else "after the last field, ignored")
    return Explanation(reader.kind, tuple(reader.rows), length, error)


class _FieldReader:
    """Goes through the octets once and collects the fields."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.offset = 0
        self.tpdu_start = 0  # offset of the TPDU
        self.kind = ""
        self.rows: list[FieldRow] = []

    def add_field(self, size: int, abbreviation: str, name: str, meaning: str) -> None:
        """Add the next octets as a field."""
        octets = self.octets[self.offset : self.offset + size]
        self.rows.append(FieldRow(self.offset, octets, abbreviation, name, meaning))
        self.offset += size

    def read_field(self, size: int, abbreviation: str, name: str, meaning: Callable[[bytes], str]) -> bytes:
        """Add the next octets as a field and return them. Raises PduError if octets are missing."""
        octets = self.octets[self.offset : self.offset + size]
        if len(octets) < size:
            raise PduError(name, len(self.octets), "truncated")
        self.add_field(size, abbreviation, name, meaning(octets))
        return octets

    def read_octet(self, abbreviation: str, name: str, meaning: Callable[[int], str] = str) -> int:
        """Add the next octet as a field and return it."""
        return self.read_field(1, abbreviation, name, lambda octets: meaning(octets[0]))[0]

    def add_rest(self, meaning: str) -> None:
        """Add all remaining octets, if any."""
        if left := len(self.octets) - self.offset:
            self.add_field(left, "", "", meaning)

    def read_message(self, direction: Literal["mt", "mo"], *, sca: bool) -> None:
        """Read a whole PDU."""
        if sca:
            self.read_sc_address()
        self.tpdu_start = self.offset
        kinds = _MESSAGE_TYPES[direction]
        first = self.read_octet("", "first_octet", lambda octet: f"0x{octet:02X}")
        self.kind = "SMS-DELIVER" if direction == "mt" and first & 3 == 3 else kinds[first & 3]
        flags = ((0x03, "TP-MTI", "message_type", kinds), *_FLAGS.get(self.kind, ()))
        for mask, abbreviation, name, meanings in flags:
            value = (first & mask) // (mask & -mask)
            self.rows.append(
                FieldRow(self.tpdu_start, bytes((first,)), abbreviation, name, meanings[value], mask)
            )
        match self.kind:
            case "SMS-DELIVER":
                self.read_tp_address("TP-OA", "originating_address")
                self.read_protocol_identifier()
                coding = self.read_coding_scheme()
                self.read_timestamp("TP-SCTS", "service_centre_timestamp")
                self.read_user_data(coding, first)
            case "SMS-SUBMIT":
                self.read_octet("TP-MR", "message_reference")
                self.read_tp_address("TP-DA", "destination_address")
                self.read_protocol_identifier()
                coding = self.read_coding_scheme()
                self.read_validity_period(first >> 3 & 3)
                self.read_user_data(coding, first)
            case "SMS-STATUS-REPORT":
                self.read_octet("TP-MR", "message_reference")
                self.read_tp_address("TP-RA", "recipient_address")
                self.read_timestamp("TP-SCTS", "service_centre_timestamp")
                self.read_timestamp("TP-DT", "discharge_time")
                self.read_octet("TP-ST", "status", _describe_status)
                if self.octets.count(b"\xff", self.offset) < len(self.octets) - self.offset:
                    self.read_optional_fields(first, self.read_parameter_indicator())
            case "SMS-DELIVER-REPORT":
                self.read_failure_cause()
                self.read_optional_fields(first, self.read_parameter_indicator())
            case "SMS-SUBMIT-REPORT":
                self.read_failure_cause()
                indicator = self.read_parameter_indicator()
                self.read_timestamp("TP-SCTS", "service_centre_timestamp")
                self.read_optional_fields(first, indicator)
            case "SMS-COMMAND":
                self.read_octet("TP-MR", "message_reference")
                self.read_protocol_identifier()
                self.read_octet("TP-CT", "command_type", descriptions.describe_command_type)
                self.read_octet("TP-MN", "message_number")
                self.read_tp_address("TP-DA", "destination_address")
                self.read_user_data(0x04, first, "TP-CD")
            case _:
                raise PduError("first_octet", self.tpdu_start, "reserved")

    def read_sc_address(self) -> None:
        """Read the service centre address."""
        address, end = read_service_centre(self.octets, "service_centre_address")
        name = "service_centre_address"
        if address is None:
            self.read_octet("", f"{name}.length", lambda _: "none; the module uses its own")
            return
        self.read_octet("", f"{name}.length", lambda octet: f"{octet} octets follow")
        self.read_address_value("", name, address, end)

    def read_tp_address(self, abbreviation: str, name: str) -> None:
        """Read an address field of the TPDU."""
        address, end = read_address(self.octets, self.offset, name)
        self.read_octet(abbreviation, f"{name}.length", lambda octet: f"{octet} semi-octets")
        self.read_address_value(abbreviation, name, address, end)

    def read_address_value(self, abbreviation: str, name: str, address: Address, end: int) -> None:
        """Read an address after its length octet."""
        self.read_octet(
            abbreviation, f"{name}.type_of_address", lambda _: descriptions.describe_type_of_address(address)
        )
        self.add_field(
            end - self.offset, abbreviation, f"{name}.number", descriptions.describe_number(address)
        )

    def read_protocol_identifier(self) -> None:
        """Read TP-PID."""
        self.read_octet("TP-PID", "protocol_identifier", descriptions.describe_protocol_identifier)

    def read_coding_scheme(self) -> int:
        """Read TP-DCS."""
        return self.read_octet("TP-DCS", "data_coding_scheme", descriptions.describe_coding_scheme)

    def read_timestamp(self, abbreviation: str, name: str) -> None:
        """Read a timestamp."""
        self.read_field(7, abbreviation, name, lambda octets: descriptions.describe_time(Timestamp(octets)))

    def read_validity_period(self, vpf: int) -> None:
        """Read TP-VP."""
        size = (0, 7, 1, 7)[vpf]
        name = "validity_period"
        if size:
            self.read_field(
                size,
                "TP-VP",
                name,
                lambda octets: descriptions.describe_validity_period(
                    read_validity(octets, vpf, self.offset, name)
                ),
            )

    def read_failure_cause(self) -> None:
        """Read TP-FCS, if present."""
        if self.octets[self.offset : self.offset + 1] >= b"\x80":
            self.read_octet(
                "TP-FCS", "failure_cause", lambda octet: status.FAILURE_CAUSE_NAMES.get(octet, "reserved")
            )

    def read_parameter_indicator(self) -> int:
        """Read TP-PI and the octets that extend it."""
        first = octet = self.read_octet("TP-PI", "parameter_indicator", _describe_indicator)
        while octet & 0x80:
            octet = self.read_octet("TP-PI", "more_indicators", lambda _: "an extension, not read")
        return first

    def read_optional_fields(self, first: int, indicator: int) -> None:
        """Read the fields that TP-PI announces."""
        if indicator & 1:
            self.read_protocol_identifier()
        coding = self.read_coding_scheme() if indicator & 2 else 0
        if indicator & 4:
            self.read_user_data(coding, first)

    def read_user_data(self, coding: int, first: int, abbreviation: str = "TP-UD") -> None:
        """Read the user data with its length and header."""
        scheme = DataCoding(coding)
        packed = scheme.alphabet is Alphabet.GSM7 and not scheme.compressed
        unit = "septets" if packed else "octets"
        length = self.read_octet(f"{abbreviation}L", "user_data.length", lambda octet: f"{octet} {unit}")
        left = self.octets[self.offset :]
        truncated = len(left) < ((7 * length + 7) // 8 if packed else length)
        if truncated:
            length = len(left) * 8 // 7 if packed else len(left)
        size = (7 * length + 7) // 8 if packed else length
        user_data = UserData(left[:size], length, scheme.alphabet, first & 0x40 != 0, scheme.compressed)
        end = self.offset + size
        if user_data.has_header and user_data.header_malformed:
            self.read_field(
                user_data.header_length, abbreviation, "user_data.header", lambda _: "malformed, ignored"
            )
        elif user_data.has_header:
            self.read_octet("TP-UDHL", "user_data.header.length", lambda octet: f"{octet} octets")
            for element in header.read_header(user_data.octets) or ():
                name = f"user_data.header.0x{element.identifier:02X}"
                self.add_field(2 + len(element.data), "TP-UDH", name, descriptions.describe_element(element))
        note = ", truncated" if truncated else ""
        if (data := user_data.data) is not None:
            kind = "compressed, not read" if scheme.compressed else f"{len(data)} octets"
            self.add_field(end - self.offset, abbreviation, "user_data.data", kind + note)
        else:
            fill = -8 * user_data.header_length % 7 if packed else 0
            note += f" (fill bits: {fill})" if fill else ""
            self.add_field(end - self.offset, abbreviation, "user_data.text", repr(user_data.text) + note)
        if truncated:
            raise PduError("user_data", len(self.octets), "truncated")


def _describe_status(octet: int) -> str:
    return f"{status.classify_status(octet).value}: {status.describe_status(octet)}"


def _describe_indicator(octet: int) -> str:
    names = [name for bit, name in enumerate(("TP-PID", "TP-DCS", "TP-UD")) if octet & 1 << bit]
    return f"{', '.join(names) or 'nothing'} present"


def to_json(explanation: Explanation) -> dict[str, object]:
    """Return the explanation as JSON values. `bits` are those of a field that is less than an octet."""
    return {
        "kind": explanation.kind,
        "length": explanation.length,
        "fields": [
            {
                "at": row.offset,
                "octets": row.octets.hex().upper(),
                "bits": None if row.bit_mask == 0xFF else _format_bits(row.octets[0], row.bit_mask),
                "abbreviation": row.abbreviation,
                "name": row.name,
                "meaning": row.meaning,
            }
            for row in explanation.rows
        ],
        "error": None if explanation.error is None else str(explanation.error),
    }


def render(explanation: Explanation) -> list[str]:
    """Return the lines to print: one for each field, at most eight octets a line, bits in their places."""
    lines = []
    if explanation.kind:
        lines.append(explanation.kind + (f", <length> {explanation.length}" if explanation.length else ""))
    width = max((len(row.abbreviation) for row in explanation.rows), default=0)
    names = max((len(row.name) for row in explanation.rows), default=0)
    for row in explanation.rows:
        if row.bit_mask == 0xFF:
            pieces = [row.octets[at : at + 8].hex(" ").upper() for at in range(0, len(row.octets), 8)] or [""]
            where = f"{row.offset:>4}"
        else:
            pieces = [_format_bits(row.octets[0], row.bit_mask)]
            where = "    "
        head = f"{where}  {pieces[0]:<23}  {row.abbreviation:<{width}}  {row.name:<{names}}  {row.meaning}"
        lines += (head.rstrip(), *(f"{'':6}{piece}" for piece in pieces[1:]))
    return lines


def _format_bits(octet: int, bit_mask: int) -> str:
    """Return an octet as bits; bits outside the field are dots."""
    shown = "".join(str(octet >> bit & 1) if bit_mask >> bit & 1 else "." for bit in range(7, -1, -1))
    return f"{shown[:4]} {shown[4:]}"
