"""Replaces numbers, texts and whole messages by placeholders of the same length.

A number has the same placeholder throughout a recording, so that different parties can still be
distinguished. Short codes of up to five digits and the SIDs of Commands are not replaced: they identify no
person, and the agent depends on them.
"""

from __future__ import annotations

import re

import pdu
from pdu.gsm7 import decode, encode
from pdu.packing import unpack

MAX_SHORT_CODE_DIGITS = 5
"""Longest number, in digits, that is not replaced."""

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


class Pseudonyms:
    """The placeholders of one recording."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._issued: set[str] = set()

    def replace_number(self, digits: str) -> str:
        """Return the placeholder of a telephone number, IMSI, ICCID or IMEI; a leading `+` is kept."""
        plus, digits = digits[: digits.startswith("+")], digits.removeprefix("+")
        if len(digits) <= MAX_SHORT_CODE_DIGITS or digits in self._issued:
            return plus + digits
        if digits not in self._numbers:
            count = str(len(self._numbers) + 1)
            # an ICCID begins with 89 (E.118); drivers find it in a response by these digits
            prefix = digits[:2] if len(digits) >= 18 else ""
            filled = prefix + "5" * (len(digits) - len(prefix) - len(count)) + count
            self._numbers[digits] = filled[: len(digits)]
            self._issued.add(self._numbers[digits])
        return plus + self._numbers[digits]

    def replace_message(self, digits: str, *, sent: bool = False) -> str:
        """Return a placeholder for a PDU in hexadecimal digits; it still decodes. `sent`: to the module.

        A PDU that does not decode, or whose placeholder has another length, is replaced by zeros.
        """
        octets = digits.upper()
        for direction in ("mo", "mt") if sent else ("mt", "mo"):
            try:
                message = pdu.decode(octets, direction="mo" if direction == "mo" else "mt")
                if isinstance(message, pdu.SubmitReport | pdu.DeliverReport) and message.user_data is None:
                    continue  # usually a SUBMIT or DELIVER that was decoded for the wrong direction
                replaced = pdu.encode(self._replace_in_tpdu(message)).hex
            except pdu.PduError:
                continue
            if len(replaced) == len(octets):
                return replaced
        return "0" * len(digits)

    def _replace_in_tpdu(self, message: pdu.Tpdu) -> pdu.Tpdu:
        changes: dict[str, object] = {}
        for name in (
            "originating_address",
            "destination_address",
            "recipient_address",
            "service_centre_address",
        ):
            address = getattr(message, name, None)
            if isinstance(address, pdu.Address):
                changes[name] = self._replace_address(address)
        if message.user_data is not None:
            changes["user_data"] = redact_user_data(message.user_data)
        return message.replace(**changes)

    def _replace_address(self, address: pdu.Address) -> pdu.Address:
        alphanumeric = address.type_of_number is pdu.TypeOfNumber.ALPHANUMERIC
        number = redact_text(address.number) if alphanumeric else self.replace_number(address.number)
        return address.replace(number=number)


def redact_text(clear: str) -> str:
    """Return the text with x or X for each letter and 0 for each digit.

    ASCII punctuation and SIDs are kept.
    """
    sid_indices = {index for sid in _SID.finditer(clear) for index in range(*sid.span())}
    return "".join(
        character if index in sid_indices else _redact_character(character)
        for index, character in enumerate(clear)
    )


def redact_encoded_text(line: str) -> str:
    """Redact a text as a module shows it: plain, or UCS-2 or octets in hexadecimal digits."""
    if not _HEX.fullmatch(line):
        return redact_text(line)
    if len(line) % 4 == 0 and line[:2] == "00":
        units = redact_text(bytes.fromhex(line).decode("utf-16-be", "replace"))
        redacted = units.encode("utf-16-be").hex().upper()
        if len(redacted) == len(line):
            return redacted
    return "78" * (len(line) // 2)


def redact_user_data(data: pdu.UserData) -> pdu.UserData:
    """Return user data with the same header and length and a redacted content.

    Raises PduError if impossible.
    """
    if data.header_malformed or data.compressed:
        raise pdu.PduError("user_data", None, "content and header cannot be separated")
    header = data.header
    if data.alphabet is pdu.Alphabet.GSM7:
        return pdu.UserData.pack(_redact_septets(data), pdu.Alphabet.GSM7, header)
    content = data.octets[data.header_length :]
    if data.alphabet is pdu.Alphabet.UCS2:
        even = len(content) & ~1
        units = (content[start : start + 2] for start in range(0, even, 2))
        clear = "".join(chr(int.from_bytes(unit)) for unit in units)
        return pdu.UserData.pack(
            redact_text(clear).encode("utf-16-be") + b"x" * (len(content) - even), pdu.Alphabet.UCS2, header
        )
    return pdu.UserData.pack(b"x" * len(content), data.alphabet, header)


def _redact_septets(data: pdu.UserData) -> bytes:
    """Return as many septets with a redacted text."""
    septets = unpack(data.octets, data.length)[(8 * data.header_length + 6) // 7 :]
    if data.national_language is not None:
        return b"x" * len(septets)
    text = decode(septets).replace("€", "xx")  # the only letter that takes two septets
    redacted = encode(redact_text(text)) or b""
    return redacted if len(redacted) == len(septets) else b"x" * len(septets)


def _redact_character(character: str) -> str:
    if not character.isascii():
        return "x"
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character
