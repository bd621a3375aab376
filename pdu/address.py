"""Address fields: originator, destination, recipient (23.040 9.1.2.5) and service centre (24.011 8.2.5)."""

from __future__ import annotations

from binascii import unhexlify
from enum import IntEnum
from functools import lru_cache

from pdu import gsm7
from pdu.error import PduError
from pdu.packing import pack, unpack
from pdu.record import Record, fast_constructor

MAX_DIGITS = 20  # ten octets of value, 9.1.2.5
MAX_ALPHANUMERIC_SEPTETS = 11  # of an alphanumeric address: ten octets hold eleven septets


class TypeOfNumber(IntEnum):
    """Bits 6..4 of the type-of-address octet."""

    UNKNOWN = 0
    INTERNATIONAL = 1
    NATIONAL = 2
    NETWORK_SPECIFIC = 3
    SUBSCRIBER = 4
    ALPHANUMERIC = 5
    ABBREVIATED = 6
    RESERVED = 7


class NumberingPlan(IntEnum):
    """Bits 3..0 of the type-of-address octet."""

    UNKNOWN = 0
    ISDN = 1  # telephone, E.164
    RESERVED_2 = 2
    DATA = 3
    TELEX = 4
    SERVICE_CENTRE_5 = 5
    SERVICE_CENTRE_6 = 6
    RESERVED_7 = 7
    NATIONAL = 8
    PRIVATE = 9
    ERMES = 10
    RESERVED_11 = 11
    RESERVED_12 = 12
    RESERVED_13 = 13
    RESERVED_14 = 14
    RESERVED_15 = 15


_TYPE_OF_ADDRESS = [[0x80 | kind << 4 | plan for plan in range(16)] for kind in range(8)]
_ALPHANUMERIC = TypeOfNumber.ALPHANUMERIC
_INTERNATIONAL = TypeOfNumber.INTERNATIONAL
_UNKNOWN = TypeOfNumber.UNKNOWN
_TYPES = tuple(TypeOfNumber(octet >> 4 & 7) for octet in range(256))
_PLANS = tuple(NumberingPlan(octet & 15) for octet in range(256))
_SWAP_NIBBLES = bytes(
    octet >> 4 | octet << 4 & 0xF0 for octet in range(256)
)  # semi-octets: the low nibble comes first
_HEX_TO_DIGITS = str.maketrans("abcde", "*#abc")  # 24.008 table 10.5.118
_DIGITS_TO_HEX = str.maketrans("*#abc", "abcde")
_VALID_DIGITS = frozenset("0123456789*#abc")


class Address(Record):
    """A telephone number, or an alphanumeric address (the name of a sender).

    ``number`` has digits and ``*#abc``, or the text of an alphanumeric address. It never has a ``+``:
    ``type_of_number`` is INTERNATIONAL instead. Two addresses are equal if number, type and plan are equal.
    """

    number: str
    type_of_number: TypeOfNumber = TypeOfNumber.UNKNOWN
    numbering_plan: NumberingPlan = NumberingPlan.ISDN

    @staticmethod
    def parse(text: str) -> Address:
        """Return the address of a number as written: ``+14155550100`` is international, ``000`` is unknown.

        Raises PduError if it is not 1 to 20 of the digits ``0-9*#abc`` after an optional ``+``.
        """
        return _parse_number(text)

    @property
    def type_of_address(self) -> int:
        """The type-of-address octet: 0x91 for a number with ``+``, 0x81 for one without."""
        try:
            return _TYPE_OF_ADDRESS[self.type_of_number][self.numbering_plan]
        except IndexError:
            reason = f"type {self.type_of_number:d} with plan {self.numbering_plan:d} does not exist"
            raise PduError("address.type_of_address", None, reason) from None

    def __str__(self) -> str:
        return f"+{self.number}" if self.type_of_number is _INTERNATIONAL else self.number


_make_address = fast_constructor(Address)
_cached = lru_cache(256)


@_cached
def _parse_number(text: str) -> Address:
    number = text.removeprefix("+")
    if not 0 < len(number) <= MAX_DIGITS or not _VALID_DIGITS.issuperset(number):
        reason = (
            f"{text!r} is not a telephone number: 1 to {MAX_DIGITS} of 0-9 * # a b c, after an optional +"
        )
        raise PduError("address", None, reason)
    return _make_address(number, _UNKNOWN if number == text else _INTERNATIONAL)


def read_address(octets: bytes, offset: int, field: str) -> tuple[Address, int]:
    """Return the address field at ``offset`` of a TPDU and the offset of its end.

    The length octet counts semi-octets. Raises PduError if the field is cut short or too long.
    """
    if offset + 2 > len(octets):
        missing = "length" if offset == len(octets) else "type_of_address"
        raise PduError(f"{field}.{missing}", len(octets), "the message ends before it")
    length = octets[offset]
    end = offset + 2 + (length + 1 >> 1)
    if length > MAX_DIGITS:
        reason = f"the length is {length} digits, but an address has at most {MAX_DIGITS}"
        raise PduError(f"{field}.length", offset, reason)
    if end > len(octets):
        reason = f"{end - offset - 2} octets are announced, but {len(octets) - offset - 2} are present"
        raise PduError(f"{field}.number", len(octets), reason)
    return _decode_address(octets[offset:end]), end


def read_service_centre(octets: bytes, field: str) -> tuple[Address | None, int]:
    """Return the service centre address, None if its length is 0, and the offset of the TPDU.

    The length octet counts octets. Raises PduError if the address is cut short or too long.
    """
    if not octets:
        raise PduError(f"{field}.length", 0, "the message is empty")
    length = octets[0]
    if not length:
        return None, 1
    end = 1 + length
    if end > len(octets):
        reason = f"{length} octets are announced, but {len(octets) - 1} are present"
        raise PduError(f"{field}.number", len(octets), reason)
    if length > 1 + MAX_DIGITS // 2:
        raise PduError(f"{field}.length", 0, f"the length is {length} octets, but an address has at most 11")
    return _decode_service_centre(octets[:end]), end


@_cached
def _decode_address(octets: bytes) -> Address:
    """Decode an address field. A device receives from few numbers, so most are in the cache."""
    return _decode_value(octets[1], octets[2:], octets[0])


@_cached
def _decode_service_centre(octets: bytes) -> Address:
    """Decode a service centre address. Its length in octets does not show whether the last digit is fill."""
    digits = 2 * len(octets) - 4
    if octets[1] & 0x70 == 0x50:
        address = _decode_value(octets[1], octets[2:], digits)
        fill = digits % 14 == 0 and address.number.endswith("@")
        return address.replace(number=address.number[:-1]) if fill else address
    if digits and octets[-1] >= 0xF0:
        digits -= 1
    return _decode_value(octets[1], octets[2:], digits)


def _decode_value(type_of_address: int, value: bytes, length: int) -> Address:
    """Decode the value of an address, ``length`` semi-octets long."""
    if type_of_address & 0x70 == 0x50:
        return _make_address(
            gsm7.decode(unpack(value, length * 4 // 7)), _ALPHANUMERIC, _PLANS[type_of_address]
        )
    number = value.translate(_SWAP_NIBBLES).hex()[:length]
    if not number.isdecimal():  # a fill digit before the end of the field ends the number
        number = number.partition("f")[0].translate(_HEX_TO_DIGITS)
    return _make_address(number, _TYPES[type_of_address], _PLANS[type_of_address])


def write_address(address: Address, field: str) -> bytes:
    """Return the address field of a TPDU."""
    value, length = write_value(address, field)
    return b"%c%c%b" % (length, address.type_of_address, value)


def write_service_centre(address: Address | None, field: str) -> bytes:
    """Return the service centre address before a TPDU; None leaves it to the module (``+CSCA``)."""
    if address is None:
        return b"\0"
    value, _ = write_value(address, field)
    return b"%c%c%b" % (1 + len(value), address.type_of_address, value)


def write_value(address: Address, field: str) -> tuple[bytes, int]:
    """Return the value of an address and its length in semi-octets."""
    number = address.number
    if address.type_of_number is _ALPHANUMERIC:
        return _encode_alphanumeric(number, field)
    try:
        return _encode_digits(number), len(number)
    except ValueError:
        reason = f"{number!r} is not a number of at most {MAX_DIGITS} of the digits 0-9 * # a b c"
        raise PduError(f"{field}.number", None, reason) from None


@_cached
def _encode_digits(number: str) -> bytes:
    """Return a number as semi-octets. Raises ValueError if it has other digits; errors are not cached."""
    if len(number) > MAX_DIGITS or not _VALID_DIGITS.issuperset(number):
        raise ValueError
    digits = number.translate(_DIGITS_TO_HEX)
    return unhexlify(digits + "f" if len(digits) & 1 else digits).translate(_SWAP_NIBBLES)


def _encode_alphanumeric(text: str, field: str) -> tuple[bytes, int]:
    septets = gsm7.encode(text)
    if septets is None:
        reason = f"{text!r} has characters outside the GSM 7-bit alphabet"
        raise PduError(f"{field}.number", None, reason)
    if len(septets) > MAX_ALPHANUMERIC_SEPTETS:
        raise PduError(f"{field}.number", None, f"{text!r} is longer than {MAX_ALPHANUMERIC_SEPTETS} septets")
    return pack(septets), (len(septets) * 7 + 3) // 4
