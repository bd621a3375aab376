"""The character sets of +CSCS (27.007 5.5): the encoding of text on the line in text mode.

Text on the line is a str with one character per octet. GSM and HEX carry the septets of the GSM 7-bit
alphabet unchanged, UCS2 four hexadecimal digits per character, IRA and 8859-1 characters. A character that is
missing in a set becomes `?`.
"""

from __future__ import annotations

import re

from pdu import gsm7

HEX_PAIRS = re.compile(r"(?:[0-9A-Fa-f]{2})*")


def encode_text(text: str, charset: str) -> str:
    """Encode a string for the terminal."""
    match charset:
        case "GSM":
            return encode_gsm7(text).decode("latin-1")
        case "HEX":
            return encode_gsm7(text).hex().upper()
        case "UCS2":
            return text.encode("utf-16-be", "replace").hex().upper()
        case "8859-1":
            return text.encode("latin-1", "replace").decode("latin-1")
    return text.encode("ascii", "replace").decode("ascii")


def decode_text(line: str, charset: str) -> str:
    """Decode a string from the terminal; raises ValueError for invalid hexadecimal digits."""
    match charset:
        case "GSM":
            return gsm7.decode(bytes(ord(character) & 0x7F for character in line))
        case "HEX":
            return gsm7.decode(bytes(octet & 0x7F for octet in decode_hex(line)))
        case "UCS2":
            return decode_hex(line).decode("utf-16-be")
        case "8859-1":
            return line
    return line.encode("ascii", "replace").decode("ascii")


def decode_hex(line: str) -> bytes:
    """Decode pairs of hexadecimal digits; raises ValueError for anything else."""
    if not HEX_PAIRS.fullmatch(line):
        raise ValueError("not pairs of hexadecimal digits")
    return bytes.fromhex(line)


def encode_gsm7(text: str) -> bytes:
    """Encode text in the GSM 7-bit default alphabet, one septet per octet, `?` for other characters."""
    return b"".join(gsm7.encode(character) or b"?" for character in text)
