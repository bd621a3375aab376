"""Build TPDUs from what is entered at a prompt (27.005 3.1, 3.3.4, 3.5)."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.errors import cms_error
from pdu import Alphabet, DataCoding, PduError, Timestamp, UserData
from pdu.address import read_service_centre, write_address

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.context import ModuleContext
    from pdu import Address

UDHI = 0x40
"""TP-UDHI in the first octet: the data begin with a header and are entered in hexadecimal."""

_ABSOLUTE_TIME = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-])(\d\d)")


class MessageBuilder:
    """Builds messages with the settings of one module."""

    def __init__(self, context: ModuleContext) -> None:
        self._context = context

    def parse_pdu(self, text: bytes, length: int) -> tuple[Address | None, bytes]:
        """Parse `<pdu>` into service centre and TPDU.

        Raises +CMS ERROR 304 for invalid digits, or if the length is not the announced one.
        """
        octets = parse_hex(text)
        try:
            centre, start = read_service_centre(octets, "service_centre_address")
        except PduError:
            raise cms_error(304) from None
        if len(octets) - start != length or length < 2:
            raise cms_error(304)
        return centre, octets[start:]

    def parse_destination(self, parameters: CommandParameters, position: int = 0) -> Address:
        """Parse `"<da>"[,<toda>]` at `position`; raises +CMS ERROR 305 if it is not a valid number."""
        type_of_address = (
            parameters.get_number(position + 1, range(256)) if parameters.has(position + 1) else None
        )
        number = parameters.get_string(position)
        try:
            return tpdu.parse_address(
                charset.decode_text(number, self._context.settings.cscs), type_of_address
            )
        except ValueError:  # PduError too
            raise cms_error(305) from None

    def build_submit(self, destination: Address, text: bytes) -> bytes:
        """Build a SUBMIT with the parameters of +CSMP; TP-MR is filled in later."""
        first, validity, protocol, coding = self._context.settings.csmp
        if first & 3 != tpdu.SUBMIT:
            raise cms_error(305)
        head = (
            bytes((first, 0)) + write_address(destination, "destination_address") + bytes((protocol, coding))
        )
        return head + _encode_validity(first, validity) + self._encode_user_data(first, coding, text)

    def build_deliver(self, originator: Address, text: bytes) -> bytes:
        """Build a DELIVER for +CMGW with the status of a received message, with the current time."""
        first, _, protocol, coding = self._context.settings.csmp
        first = first & UDHI | 4
        now = self._context.wall_clock()
        stamp = Timestamp.of(now if now.tzinfo else now.replace(tzinfo=UTC)).octets
        head = bytes((first,)) + write_address(originator, "originating_address") + bytes((protocol, coding))
        return head + stamp + self._encode_user_data(first, coding, text)

    def build_command(
        self,
        first_octet: int,
        command_type: int,
        protocol_identifier: int,
        message_number: int,
        destination: Address,
        text: bytes,
    ) -> bytes:
        """Build a COMMAND, 23.040 9.2.2.4; its data are entered in hexadecimal."""
        data = parse_hex(text, 305)
        head = bytes((first_octet, 0, protocol_identifier, command_type, message_number)) + write_address(
            destination, "destination_address"
        )
        return head + bytes((len(data),)) + data

    def _encode_user_data(self, first_octet: int, data_coding_scheme: int, text: bytes) -> bytes:
        """Return TP-UDL and TP-UD. 7-bit data without header are entered as text, others in hexadecimal."""
        scheme = DataCoding(data_coding_scheme)
        seven_bit = scheme.alphabet is Alphabet.GSM7 and not scheme.compressed
        try:
            if seven_bit and not first_octet & UDHI:
                user_data = UserData.pack(self._encode_septets(text.decode("latin-1")), Alphabet.GSM7)
            else:
                user_data = UserData.pack(parse_hex(text, 305), Alphabet.OCTETS)
        except PduError:  # too long for one message
            raise cms_error(305) from None
        length = len(user_data.octets) * 8 // 7 if seven_bit and first_octet & UDHI else user_data.length
        return bytes((length,)) + user_data.octets

    def _encode_septets(self, text: str) -> bytes:
        try:
            match self._context.settings.cscs:
                case "GSM":
                    return bytes(ord(character) & 0x7F for character in text)
                case "HEX":
                    return bytes(octet & 0x7F for octet in charset.decode_hex(text))
            return charset.encode_gsm7(charset.decode_text(text, self._context.settings.cscs))
        except ValueError:
            raise cms_error(305) from None


def replace_destination(octets: bytes, destination: Address) -> bytes:
    """Return a SUBMIT with another destination."""
    return (
        octets[:2]
        + write_address(destination, "destination_address")
        + octets[tpdu.find_address_end(octets, 2) :]
    )


def parse_hex(text: bytes, cms_code: int = 304) -> bytes:
    """Decode entered hexadecimal digits, without line ends around them; raises +CMS ERROR `cms_code`."""
    try:
        return charset.decode_hex(text.decode("latin-1").strip("\r\n"))
    except ValueError:
        raise cms_error(cms_code) from None


def _encode_validity(first_octet: int, validity: int | str) -> bytes:
    """Encode TP-VP in the format of TP-VPF in the first octet (23.040 9.2.3.3, 9.2.3.12)."""
    match first_octet >> 3 & 3, validity:
        case 0, _:
            return b""
        case 2, int():
            return bytes((validity,))
        case 3, str() if parts := _ABSOLUTE_TIME.fullmatch(validity):
            *fields, sign, zone = parts.groups()
            octets = [int(field[::-1], 16) for field in (*fields, zone)]
            octets[-1] |= 8 if sign == "-" else 0
            return bytes(octets)
        case 1, str() if charset.HEX_PAIRS.fullmatch(validity) and len(validity) == 14:
            return bytes.fromhex(validity)
    raise cms_error(305)
