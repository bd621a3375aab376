"""Convert the fields of text mode to the octets of 23.040 and back (27.005 3.1, 27.007 5.5).

Lines are strings with one character per octet, as `AtProtocol` returns them.
"""

from __future__ import annotations

import re

import pdu
from pdu import Alphabet, NumberingPlan, TypeOfNumber, gsm7

_HEX_PAIRS_RE = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_TIMESTAMP_RE = re.compile(
    r"(?:\d\d)?([\dA-F]{2})/([\dA-F]{2})/([\dA-F]{2}) ?, ?([\dA-F]{2}):([\dA-F]{2}):([\dA-F]{2})"
    r"([+-])([0-7]?[\dA-F])"
)
_PHONE_NUMBER_RE = re.compile(r"\+?[0-9*#abcABC]*")
_ASCII_UCS2_RE = re.compile(r"(?:00[2-7][0-9A-Fa-f])+")
SERVICE_CENTRE_RE = re.compile(r"(?=.*[1-9])\+?[0-9]{3,20}")
"""A text that can be the number of a service centre."""
_GSM_ASCII_RE = re.compile(r"[ !\"#%-?A-Za-z]*")
"""Characters that have the same code in ASCII and in the GSM alphabet."""


class TextModeError(Exception):
    """A field has no valid value; nothing is guessed."""


def encode_timestamp(text: str) -> bytes | None:
    """Return the seven octets of `yy/MM/dd,hh:mm:ss+zz`, even of an impossible date; None for any other text.

    Some modules print a year of four digits, or a time zone of one digit ("+8", in quarters of an hour, too).
    Without a time zone the time is unknown.
    """
    found = _TIMESTAMP_RE.fullmatch(text)
    if found is None:
        return None
    *fields, sign, zone = found.groups()
    octets = bytearray(int(field[::-1], 16) for field in (*fields, zone.rjust(2, "0")))
    octets[6] |= 8 if sign == "-" else 0
    return bytes(octets)


def decode_string(text: str, charset: str) -> str:
    """Decode a quoted string in a character set. Raises TextModeError."""
    match charset:
        case "UCS2":
            return _decode_ucs2(text) if _HEX_PAIRS_RE.fullmatch(text) and len(text) % 4 == 0 else text
        case "HEX":
            return gsm7.decode(_check_septets(bytes.fromhex(text))) if _HEX_PAIRS_RE.fullmatch(text) else text
        case "GSM":
            return gsm7.decode(_check_septets(text.encode("latin-1")))
    return text


def decode_setting(text: str, charset: str = "") -> str:
    """Decode a string of an answer in the character set in force, or return it as it is.

    A string whose every four digits are an ASCII character in UCS2 is decoded with any character set: names
    and numbers of modules never have this form, and another program may have left +CSCS at UCS2.
    """
    try:
        return decode_string(text, "UCS2" if _ASCII_UCS2_RE.fullmatch(text) else charset)
    except TextModeError:
        return text


def decode_number(text: str, type_of_address: int | None, charset: str) -> str:
    """Decode the number of a service centre. Returns "" for a text that cannot be one in any character set.

    An international number begins with "+", also if only `type_of_address` shows that it is one.
    """
    shown = (decode_setting(text.strip(), each) for each in (charset, "", "HEX"))
    number = next((each for each in shown if SERVICE_CENTRE_RE.fullmatch(each)), "")
    is_international = type_of_address is not None and type_of_address >> 4 & 7 == TypeOfNumber.INTERNATIONAL
    return f"+{number.removeprefix('+')}" if number and is_international else number


def decode_address(text: str, type_of_address: int | None, charset: str) -> pdu.Address:
    """Decode a number and its <toxa>, or an alphanumeric address. Raises TextModeError."""
    alphanumeric = type_of_address is not None and type_of_address >> 4 & 7 == TypeOfNumber.ALPHANUMERIC
    try:
        shown = decode_string(text, charset)
    except TextModeError:
        if alphanumeric:
            raise
        shown = text
    if not alphanumeric and not _PHONE_NUMBER_RE.fullmatch(shown) and _PHONE_NUMBER_RE.fullmatch(text):
        shown = text  # a number that the module did not encode in the character set
    if alphanumeric or not _PHONE_NUMBER_RE.fullmatch(shown):
        return pdu.Address(shown, TypeOfNumber.ALPHANUMERIC, NumberingPlan.UNKNOWN)
    number = shown.removeprefix("+").lower()
    if type_of_address is None or not 0x80 <= type_of_address <= 0xFF:
        type_of_address = 0x81
    numbers = TypeOfNumber.INTERNATIONAL if shown.startswith("+") else TypeOfNumber(type_of_address >> 4 & 7)
    return pdu.Address(number, numbers, NumberingPlan(type_of_address & 15))


def decode_user_data(
    payload: str, charset: str, data_coding_scheme: int, length: int, *, has_header: bool
) -> tuple[pdu.UserData, int, bool]:
    """Decode a payload. Return the user data, <dcs>, and True if <length> counts as 27.005 defines.

    Raises TextModeError if no way of counting fits, or if the payload is not in the character set.
    """
    if data_coding_scheme > 0xFF:
        raise TextModeError(f"a <dcs> of {data_coding_scheme}")
    coding = pdu.DataCoding(data_coding_scheme)
    if coding.alphabet is Alphabet.GSM7 and not coding.compressed and not has_header:
        return _decode_gsm7_text(payload, charset, data_coding_scheme, length)
    octets = _decode_hex(payload)
    size = len(octets)
    septets = size * 8 // 7
    accepted_lengths = {size, 2 * size}
    if coding.alphabet is Alphabet.GSM7:
        accepted_lengths |= {septets, septets - (size % 7 == 0)}
    elif coding.alphabet is Alphabet.UCS2:
        accepted_lengths.add(size // 2)
    _check_length(length, accepted_lengths, size)
    count = size
    if coding.alphabet is Alphabet.GSM7 and not coding.compressed:
        count = septets
        # Seven bits remain: a last septet, or padding. "@" is 0, so only the count of the module can decide.
        # A count of 7 may mean seven octets or seven septets; then the value of the last septet decides, too.
        if (
            size
            and size % 7 == 0
            and (size != length == septets - 1 or (length != septets and not octets[-1] >> 1))
        ):
            count -= 1
    data = pdu.UserData(octets, count, coding.alphabet, has_header, coding.compressed)
    return data, data_coding_scheme, length == size


def _decode_gsm7_text(
    payload: str, charset: str, data_coding_scheme: int, length: int
) -> tuple[pdu.UserData, int, bool]:
    """Decode a text of the GSM alphabet. If a module mapped it to other characters, it is kept as UCS-2.

    Returns as `decode_user_data` does.
    """
    match charset:
        case "UCS2":
            text = _decode_ucs2(payload)
            septets = gsm7.encode(text)
            units = len(payload) // 4
        case "HEX" | "GSM":
            octets = _decode_hex(payload) if charset == "HEX" else payload.encode("latin-1")
            septets = _check_septets(octets)
            text = gsm7.decode(septets)
            units = len(septets)
        case "8859-1" | "IRA":
            text = payload
            if charset == "IRA" and not text.isascii():
                raise TextModeError("octets that are not characters of IRA")
            septets = gsm7.encode(text)
            units = len(payload)
        case _:
            raise TextModeError("an unknown character set")
    accepted_lengths = {units, len(septets or b"")}
    if charset in {"UCS2", "HEX"}:
        accepted_lengths |= {2 * units, len(payload)}
    _check_length(length, accepted_lengths, units)
    # If two octets are lost before the line end, the line end seems to be a part of the text.
    is_intact = length == units and not payload.endswith(("\r", "\n"))
    if septets is None:
        return pdu.UserData.of(text, alphabet=Alphabet.UCS2), 0x08, is_intact
    return pdu.UserData.pack(septets, Alphabet.GSM7), data_coding_scheme, is_intact


def encode_string(text: str, charset: str) -> str:
    """Encode a string parameter in a character set."""
    match charset:
        case "UCS2":
            return text.encode("utf-16-be").hex().upper()
        case "HEX":
            return (gsm7.encode(text) or b"").hex().upper()
    return text


def encode_text(text: str, charset: str) -> str | None:
    """Encode a body; None if the character set lacks a character, or if one would end the text entry."""
    if charset in {"UCS2", "HEX"}:
        return encode_string(text, charset)
    return text if _GSM_ASCII_RE.fullmatch(text) else None


def _check_length(length: int, accepted_lengths: set[int], units: int) -> None:
    if length not in accepted_lengths:
        raise TextModeError(f"the header announces a length of {length}, the payload has {units}")


def _decode_hex(payload: str) -> bytes:
    if not _HEX_PAIRS_RE.fullmatch(payload):
        raise TextModeError(f"{len(payload)} characters that are not pairs of hexadecimal digits")
    return bytes.fromhex(payload)


def _check_septets(octets: bytes) -> bytes:
    if not octets.isascii():
        raise TextModeError("octets that are not septets")
    return octets


def _decode_ucs2(text: str) -> str:
    if len(text) % 4:
        raise TextModeError(f"{len(text)} characters that are not groups of four hexadecimal digits")
    try:
        return _decode_hex(text).decode("utf-16-be")
    except UnicodeDecodeError:
        raise TextModeError("an incomplete surrogate pair") from None
