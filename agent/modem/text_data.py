"""The fields of text mode and the octets they stand for (27.005 3.1, 27.007 5.5).

Lines are text of one character an octet, as the engine gives them.
"""

from __future__ import annotations

import re

import pdu
from pdu import Alphabet, NumberingPlan, TypeOfNumber, gsm7

_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2})*")
_MOMENT = re.compile(
    r"(?:\d\d)?([\dA-F]{2})/([\dA-F]{2})/([\dA-F]{2}) ?, ?([\dA-F]{2}):([\dA-F]{2}):([\dA-F]{2})"
    r"([+-])([0-7]?[\dA-F])"
)
_NUMBER = re.compile(r"\+?[0-9*#abcABC]*")
_SAFE = re.compile(r"[ !\"#%-?A-Za-z]*")
"""Characters that stand at the same place in ASCII and in the GSM alphabet."""


class Unreadable(Exception):  # noqa: N818  (it is about a message, not about us)
    """A field that does not say what it should; nothing is guessed."""


def moment(text: str) -> bytes | None:
    """The seven octets of `yy/MM/dd,hh:mm:ss+zz`, also of an impossible one; None for any other text.

    Seen as well: a year of four digits, a zone of one ("+8", quarters of an hour too). Without a zone the
    time is not known.
    """
    found = _MOMENT.fullmatch(text)
    if found is None:
        return None
    *fields, sign, zone = found.groups()
    octets = bytearray(int(field[::-1], 16) for field in (*fields, zone.rjust(2, "0")))
    octets[6] |= 8 if sign == "-" else 0
    return bytes(octets)


def string(text: str, charset: str) -> str:
    """A quoted string of the module. Raises Unreadable."""
    match charset:
        case "UCS2":
            return _utf16(text) if _PAIRS.fullmatch(text) and len(text) % 4 == 0 else text
        case "HEX":
            return gsm7.decode(_septets(bytes.fromhex(text))) if _PAIRS.fullmatch(text) else text
        case "GSM":
            return gsm7.decode(_septets(text.encode("latin-1")))
    return text


def address(text: str, kind: int | None, charset: str) -> pdu.Address:
    """A number and its <toxa>, or the text of an alphanumeric address. Raises Unreadable."""
    alphanumeric = kind is not None and kind >> 4 & 7 == TypeOfNumber.ALPHANUMERIC
    try:
        shown = string(text, charset)
    except Unreadable:
        if alphanumeric:
            raise
        shown = text
    if not alphanumeric and not _NUMBER.fullmatch(shown) and _NUMBER.fullmatch(text):
        shown = text  # a number that was not put into the character set
    if alphanumeric or not _NUMBER.fullmatch(shown):
        return pdu.Address(shown, TypeOfNumber.ALPHANUMERIC, NumberingPlan.UNKNOWN)
    number = shown.removeprefix("+").lower()
    if kind is None or not 0x80 <= kind <= 0xFF:
        kind = 0x81
    numbers = TypeOfNumber.INTERNATIONAL if shown.startswith("+") else TypeOfNumber(kind >> 4 & 7)
    return pdu.Address(number, numbers, NumberingPlan(kind & 15))


def user_data(
    payload: str, charset: str, scheme: int, length: int, *, header: bool
) -> tuple[pdu.UserData, int, bool]:
    """User data and <dcs>, and whether <length> counts the payload as 27.005 says.

    Raises Unreadable where no way of counting fits, and where the payload is not in the character set.
    """
    if scheme > 0xFF:
        raise Unreadable(f"a <dcs> of {scheme}")
    coding = pdu.DataCoding(scheme)
    if coding.alphabet is Alphabet.GSM7 and not coding.compressed and not header:
        return _text(payload, charset, scheme, length)
    octets = _octets(payload)
    size = len(octets)
    septets = size * 8 // 7
    ways = {size, 2 * size}
    if coding.alphabet is Alphabet.GSM7:
        ways |= {septets, septets - (size % 7 == 0)}
    elif coding.alphabet is Alphabet.UCS2:
        ways.add(size // 2)
    _check(length, ways, size)
    count = size
    if coding.alphabet is Alphabet.GSM7 and not coding.compressed:
        count = septets
        # Seven bits left over: a last septet, or nothing. "@" is 0; only the module's own count could tell.
        # Seven octets may be counted as seven octets or as seven septets: then the last septet tells as well.
        if (
            size
            and size % 7 == 0
            and (size != length == septets - 1 or (length != septets and not octets[-1] >> 1))
        ):
            count -= 1
    data = pdu.UserData(octets, count, coding.alphabet, header, coding.compressed)
    return data, scheme, length == size


def _text(payload: str, charset: str, scheme: int, length: int) -> tuple[pdu.UserData, int, bool]:
    """A text of the GSM alphabet. What is not in it (some modules map) keeps its characters, as UCS-2."""
    match charset:
        case "UCS2":
            text = _utf16(payload)
            septets = gsm7.encode(text)
            units = len(payload) // 4
        case "HEX" | "GSM":
            octets = _octets(payload) if charset == "HEX" else payload.encode("latin-1")
            septets = _septets(octets)
            text = gsm7.decode(septets)
            units = len(septets)
        case "8859-1" | "IRA":
            text = payload
            if charset == "IRA" and not text.isascii():
                raise Unreadable("octets that are no character of IRA")
            septets = gsm7.encode(text)
            units = len(payload)
        case _:
            raise Unreadable("a character set that is not known")
    ways = {units, len(septets or b"")}
    if charset in {"UCS2", "HEX"}:
        ways |= {2 * units, len(payload)}
    _check(length, ways, units)
    # Two octets lost before the line end make that line end look like a part of the text.
    sound = length == units and not payload.endswith(("\r", "\n"))
    if septets is None:
        return pdu.UserData.of(text, alphabet=Alphabet.UCS2), 0x08, sound
    return pdu.UserData.pack(septets, Alphabet.GSM7), scheme, sound


def written(text: str, charset: str) -> str:
    """A number as the module wants it."""
    match charset:
        case "UCS2":
            return text.encode("utf-16-be").hex().upper()
        case "HEX":
            return (gsm7.encode(text) or b"").hex().upper()
    return text


def characters(text: str, charset: str) -> str | None:
    """A text at the prompt; None where the set has not all of it, or where one would end the text entry."""
    if charset in {"UCS2", "HEX"}:
        return written(text, charset)
    return text if _SAFE.fullmatch(text) else None


def _check(length: int, ways: set[int], units: int) -> None:
    if length not in ways:
        raise Unreadable(f"the header says {length}, there are {units}")


def _octets(payload: str) -> bytes:
    if not _PAIRS.fullmatch(payload):
        raise Unreadable(f"{len(payload)} characters that are no pairs of hexadecimal digits")
    return bytes.fromhex(payload)


def _septets(octets: bytes) -> bytes:
    if not octets.isascii():
        raise Unreadable("octets that are no septets")
    return octets


def _utf16(text: str) -> str:
    if len(text) % 4:
        raise Unreadable(f"{len(text)} characters that are no groups of four hexadecimal digits")
    try:
        return _octets(text).decode("utf-16-be")
    except UnicodeDecodeError:
        raise Unreadable("half a surrogate pair") from None
