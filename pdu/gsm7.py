"""The GSM 7-bit alphabet: characters to septets, one a byte, and back (23.038 6.2.1).

The default alphabet and its extension stand here; the tables of the national languages are read when a
message or a caller first needs them (``national``).
"""

from __future__ import annotations

from codecs import charmap_decode

ESCAPE = 0x1B  # the next septet is one of the extension (single shift) table

DEFAULT = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
}
EXTENSION[0x65] = "€"

_NO_SEPTET = "\x80"  # no septet has this value, so what is mapped to it fails in encode()


def encoder(locking: str, single: dict[int, str]) -> dict[int, str]:
    """Return the table for ``encode``: a character that is in both tables takes its one septet.

    Characters that are doubled in a table take the lower code.
    """
    table = dict.fromkeys(
        range(128), _NO_SEPTET
    )  # ASCII that is not in the alphabet must not pass for septets
    for code in sorted(single, reverse=True):
        table[ord(single[code])] = chr(ESCAPE) + chr(code)
    for code in range(len(locking) - 1, -1, -1):
        if code != ESCAPE:
            table[ord(locking[code])] = chr(code)
    table[0x20] = " "  # not a reserved position of a national table, which also reads as a space
    return table


ENCODER = encoder(DEFAULT, EXTENSION)


def encode(text: str, table: dict[int, str] = ENCODER) -> bytes | None:
    """Return the septets of a text, one a byte, or None when a character is not in the alphabet."""
    try:
        return text.translate(table).encode("ascii")
    except UnicodeEncodeError:
        return None


def decode(septets: bytes, locking: str = DEFAULT, single: dict[int, str] = EXTENSION) -> str:
    """Return the text of septets, one a byte. No septet is an error.

    An escape before a code that the extension does not define is passed over, so the code shows as in the
    main table (6.2.1.1); two escapes, and one at the end, show as a space.
    """
    text = charmap_decode(septets, "strict", locking)[0]
    if ESCAPE not in septets:
        return text
    pieces = []
    start = 0
    at = septets.find(ESCAPE)
    while at >= 0:
        pieces.append(text[start:at])
        code = septets[at + 1] if at + 1 < len(septets) else ESCAPE
        pieces.append(" " if code == ESCAPE else single.get(code) or text[at + 1])
        start = at + 2
        at = septets.find(ESCAPE, start)
    pieces.append(text[start:])
    return "".join(pieces)


def septets(text: str) -> int | None:
    r"""Return how many septets a text takes in the default alphabet, None when a character is not in it.

    Up to 160 go into one SMS. The characters of the extension (``^ { } \ [ ~ ] | €``, form feed) take two.
    """
    encoded = encode(text)
    return None if encoded is None else len(encoded)
