"""Stand-ins of the same length for numbers, texts and whole messages.

One number has one stand-in throughout a recording, so that who is who can still be seen. Short codes of up to
five digits and the SIDs of Commands stay as they are: they belong to nobody, and the agent goes by them.
"""

from __future__ import annotations

import re

import pdu

MAX_SHORT_CODE_DIGITS = 5
"""Digits of a number that is nobody's own."""

_SID = re.compile(r"[A-Z]{2}[0-9a-f]{32}")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_ESCAPE = 0x1B


class Pseudonyms:
    """The stand-ins of one recording."""

    def __init__(self) -> None:
        self._numbers: dict[str, str] = {}
        self._issued: set[str] = set()

    def replace_number(self, digits: str) -> str:
        """For a telephone number, an IMSI, ICCID or IMEI; a `+` in front stays."""
        plus, digits = digits[: digits.startswith("+")], digits.removeprefix("+")
        if len(digits) <= MAX_SHORT_CODE_DIGITS or digits in self._issued:
            return plus + digits
        if digits not in self._numbers:
            count = str(len(self._numbers) + 1)
            # an ICCID begins with 89 (E.118), and whoever looks for one knows it by that
            front = digits[:2] if len(digits) >= 18 else ""
            filled = front + "5" * (len(digits) - len(front) - len(count)) + count
            self._numbers[digits] = filled[: len(digits)]
            self._issued.add(self._numbers[digits])
        return plus + self._numbers[digits]

    def replace_message(self, digits: str, *, sent: bool = False) -> str:
        """For a PDU as hexadecimal digits; it still decodes. `sent`: as we write it.

        What does not decode, or not again at its length, becomes zeros: who knows what is in it.
        """
        octets = digits.upper()
        for direction in ("mo", "mt") if sent else ("mt", "mo"):
            try:
                message = pdu.decode(octets, direction="mo" if direction == "mo" else "mt")
                if isinstance(message, pdu.SubmitReport | pdu.DeliverReport) and message.user_data is None:
                    continue  # a SUBMIT or DELIVER read the wrong way round, as a rule
                masked = pdu.encode(self._replace_in_tpdu(message)).hex
            except pdu.PduError:
                continue
            if len(masked) == len(octets):
                return masked
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
    """Letters become x, digits 0; blanks and the punctuation of ASCII show the form."""
    kept = {place for sid in _SID.finditer(clear) for place in range(*sid.span())}
    return "".join(
        letter if place in kept else _redact_character(letter) for place, letter in enumerate(clear)
    )


def redact_encoded_text(line: str) -> str:
    """A text as a module shows it: in the clear, as UCS-2 or as octets in hexadecimal digits."""
    if not _HEX.fullmatch(line):
        return redact_text(line)
    if len(line) % 4 == 0 and line[:2] == "00":
        units = redact_text(bytes.fromhex(line).decode("utf-16-be", "replace"))
        masked = units.encode("utf-16-be").hex().upper()
        if len(masked) == len(line):
            return masked
    return "78" * (len(line) // 2)


def redact_user_data(data: pdu.UserData) -> pdu.UserData:
    """The same header, the same length, stand-ins for what it says. Raises PduError where that cannot be."""
    if data.header_malformed or data.compressed:
        raise pdu.PduError("user_data", None, "it cannot be told from its header")
    header = data.header
    if data.alphabet is pdu.Alphabet.GSM7:
        return pdu.UserData.pack(_redact_septets(data), pdu.Alphabet.GSM7, header)
    content = data.octets[data.header_length :]
    if data.alphabet is pdu.Alphabet.UCS2:
        even = len(content) & ~1
        units = (content[place : place + 2] for place in range(0, even, 2))
        clear = "".join(chr(int.from_bytes(unit)) for unit in units)
        return pdu.UserData.pack(
            redact_text(clear).encode("utf-16-be") + b"x" * (len(content) - even), pdu.Alphabet.UCS2, header
        )
    return pdu.UserData.pack(b"x" * len(content), data.alphabet, header)


def _redact_septets(data: pdu.UserData) -> bytes:
    """Septet for septet: punctuation of the extension table stays, what may be a letter does not."""
    from pdu.gsm7 import decode, encode
    from pdu.packing import unpack

    septets = unpack(data.octets, data.length)[(8 * data.header_length + 6) // 7 :]
    if data.national_language is not None:
        return b"x" * len(septets)
    units: list[bytes] = []
    for septet in septets:
        if units and units[-1] == bytes([_ESCAPE]):
            units[-1] += bytes([septet])
        else:
            units.append(bytes([septet]))
    shown = redact_text("".join(decode(unit)[0] for unit in units))
    return b"".join(
        unit if decode(unit)[0] == character else (encode(character) or b"x").ljust(len(unit), b"x")
        for unit, character in zip(units, shown, strict=True)
    )


def _redact_character(character: str) -> str:
    if not character.isascii():
        return "x"
    if character.isdigit():
        return "0"
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return character
