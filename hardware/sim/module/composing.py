"""Messages from the terminal: what is entered at a prompt becomes a TPDU (27.005 3.1, 3.3.4, 3.5)."""

from __future__ import annotations

import re
from datetime import UTC
from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.refusal import cms
from pdu import Alphabet, DataCoding, PduError, Timestamp, UserData
from pdu.address import read_service_centre, write_address

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule
    from pdu import Address

HEADER = 0x40
"""TP-UDHI in the first octet: the data begin with a header, so the terminal gives all of it as hex."""

_MOMENT = re.compile(r"(\d\d)/(\d\d)/(\d\d),(\d\d):(\d\d):(\d\d)([+-])(\d\d)")


class Composing:
    """Makes messages with the settings of one module."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module

    def pdu(self, text: bytes, length: int) -> tuple[Address | None, bytes]:
        """PDU mode: service centre and TPDU; +CMS ERROR 304 for bad digits or a length not as announced."""
        octets = hexadecimal(text)
        try:
            centre, start = read_service_centre(octets, "service_centre_address")
        except PduError:
            raise cms(304) from None
        if len(octets) - start != length or length < 2:
            raise cms(304)
        return centre, octets[start:]

    def destination(self, values: Values, place: int = 0) -> Address:
        """`"<da>"[,<toda>]` at that place; +CMS ERROR 305 if it is no number."""
        type_of_address = values.number(place + 1, range(256)) if values.given(place + 1) else None
        number = values.string(place)
        try:
            return tpdu.address(charset.heard(number, self._module.settings.cscs), type_of_address)
        except ValueError:  # PduError too
            raise cms(305) from None

    def submit(self, destination: Address, text: bytes) -> bytes:
        """A SUBMIT by +CSMP; the module puts TP-MR in."""
        first, validity, protocol, coding = self._module.settings.csmp
        if first & 3 != tpdu.SUBMIT:
            raise cms(305)
        head = (
            bytes((first, 0)) + write_address(destination, "destination_address") + bytes((protocol, coding))
        )
        return head + _validity(first, validity) + self._user_data(first, coding, text)

    def received(self, originator: Address, text: bytes) -> bytes:
        """A DELIVER for +CMGW with the status of a received message; its time is now."""
        first, _, protocol, coding = self._module.settings.csmp
        first = first & HEADER | 4
        now = self._module.wall()
        stamp = Timestamp.of(now if now.tzinfo else now.replace(tzinfo=UTC)).octets
        head = bytes((first,)) + write_address(originator, "originating_address") + bytes((protocol, coding))
        return head + stamp + self._user_data(first, coding, text)

    def command(
        self, first: int, kind: int, protocol: int, number: int, destination: Address, text: bytes
    ) -> bytes:
        """A COMMAND, 23.040 9.2.2.4; its data are entered as hexadecimal pairs."""
        data = hexadecimal(text, 305)
        head = bytes((first, 0, protocol, kind, number)) + write_address(destination, "destination_address")
        return head + bytes((len(data),)) + data

    def _user_data(self, first: int, coding: int, text: bytes) -> bytes:
        """TP-UDL and TP-UD of the entered text: characters for 7-bit data without header, else hex pairs."""
        scheme = DataCoding(coding)
        seven_bit = scheme.alphabet is Alphabet.GSM7 and not scheme.compressed
        try:
            if seven_bit and not first & HEADER:
                user_data = UserData.pack(self._septets(text.decode("latin-1")), Alphabet.GSM7)
            else:
                user_data = UserData.pack(hexadecimal(text, 305), Alphabet.OCTETS)
        except PduError:  # too long for one message
            raise cms(305) from None
        length = len(user_data.octets) * 8 // 7 if seven_bit and first & HEADER else user_data.length
        return bytes((length,)) + user_data.octets

    def _septets(self, text: str) -> bytes:
        try:
            match self._module.settings.cscs:
                case "GSM":
                    return bytes(ord(character) & 0x7F for character in text)
                case "HEX":
                    return bytes(octet & 0x7F for octet in charset.octets(text))
            return charset.septets(charset.heard(text, self._module.settings.cscs))
        except ValueError:
            raise cms(305) from None


def readdressed(octets: bytes, destination: Address) -> bytes:
    """A SUBMIT with another destination."""
    return (
        octets[:2] + write_address(destination, "destination_address") + octets[tpdu.address_end(octets, 2) :]
    )


def hexadecimal(text: bytes, refusal: int = 304) -> bytes:
    """Entered hexadecimal pairs; line ends around them are passed over."""
    try:
        return charset.octets(text.decode("latin-1").strip("\r\n"))
    except ValueError:
        raise cms(refusal) from None


def _validity(first: int, validity: int | str) -> bytes:
    """TP-VP in the format that the first octet names (23.040 9.2.3.3, .12)."""
    match first >> 3 & 3, validity:
        case 0, _:
            return b""
        case 2, int():
            return bytes((validity,))
        case 3, str() if parts := _MOMENT.fullmatch(validity):
            *fields, sign, zone = parts.groups()
            octets = [int(field[::-1], 16) for field in (*fields, zone)]
            octets[-1] |= 8 if sign == "-" else 0
            return bytes(octets)
        case 1, str() if charset.HEX_PAIRS.fullmatch(validity) and len(validity) == 14:
            return bytes.fromhex(validity)
    raise cms(305)
