"""The GSM 7-bit alphabet: characters to septets, one per byte, and back (23.038 6.2.1).

This module has the default alphabet and its extension table; ``national`` loads the tables of the national
languages when they are first needed.
"""

from __future__ import annotations

from codecs import charmap_build, charmap_decode, charmap_encode

ESCAPE = 0x1B  # the next septet is one of the extension (single shift) table

DEFAULT_ALPHABET = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION_TABLE = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

_UNMAPPED = 0xFF  # no septet or no character in the tables below (ÿ is not in the alphabet)
_UNDEFINED = "\ufffe"  # no character at this position, for charmap_build
_TO_LATIN1 = bytes(
    ord(character) if character < "ÿ" and character != "\x1b" else _UNMAPPED for character in DEFAULT_ALPHABET
).ljust(256, bytes((_UNMAPPED,)))


class SeptetEncoder:
    """Encodes text to septets, with the default alphabet or a pair of national tables.

    ``charmap_encode`` is fast with a map that ``charmap_build`` makes from at most 256 characters, the first
    of which must be U+0000. Therefore the character of septet 0 is at the position of the escape, which is
    not a character, and the characters of the extension follow from 128 on; each is replaced by its two
    septets. ASCII text uses a translation table made from that map, which is even faster.
    """

    __slots__ = ("_ascii_table", "_charmap", "_extension_pairs")

    def __init__(self, locking: str, single: dict[int, str]) -> None:
        """Build the tables. A character in both tables takes one septet; the lower of two codes counts."""
        main = list(locking)
        seen: set[str] = set()
        for code, character in enumerate(locking):
            reserved = character == " " and code != 0x20  # decoded as a space, never written
            if character in seen or reserved:
                main[code] = _UNDEFINED
            else:
                seen.add(character)
        main[ESCAPE] = main[0]
        main[0] = "\0"
        extension = {character: code for code, character in sorted(single.items(), reverse=True)}
        shifted = [character for character in extension if character not in seen]
        self._charmap = charmap_build("".join(main) + "".join(shifted))
        self._extension_pairs = [
            (bytes((128 + position,)), bytes((ESCAPE, extension[character])))
            for position, character in enumerate(shifted)
        ]
        raw = (self._map_characters(chr(code)) or bytes((_UNMAPPED,)) for code in range(128))
        self._ascii_table = b"".join(raw).ljust(256, bytes((_UNMAPPED,)))

    def encode(self, text: str) -> bytes | None:
        """Return the septets of a text, one per byte, or None if a character has none."""
        if text.isascii():
            raw = text.encode("ascii").translate(self._ascii_table)
            if _UNMAPPED in raw:
                return None
        else:
            mapped = self._map_characters(text)
            if mapped is None:
                return None
            raw = mapped
        if not raw.isascii():
            for code, pair in self._extension_pairs:
                raw = raw.replace(code, pair)
        return raw

    def _map_characters(self, text: str) -> bytes | None:
        """Return a code for each character: its septet, or from 128 on its position in the extension."""
        raw = charmap_encode(text, "ignore", self._charmap)[0]
        if len(raw) != len(text) or 0 in raw:  # 0 is U+0000, which has no septet
            return None
        return raw.replace(b"\x1b", b"\0")


encode = SeptetEncoder(DEFAULT_ALPHABET, EXTENSION_TABLE).encode


def decode(septets: bytes, locking: str = DEFAULT_ALPHABET, single: dict[int, str] = EXTENSION_TABLE) -> str:
    """Return the text of septets, one per byte. Any septets can be decoded.

    An escape before a code that the extension table does not define is ignored, so the code is decoded with
    the main table (6.2.1.1). Two escapes, and an escape at the end, are decoded as a space.
    """
    if locking is DEFAULT_ALPHABET:
        latin = septets.translate(_TO_LATIN1)
        if _UNMAPPED not in latin:
            return latin.decode("latin-1")  # four times as fast as a charmap, and right for nearly all texts
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
    r"""Return how many septets a text takes in the default alphabet; None if a character is not in it.

    One SMS has at most 160. The characters of the extension table (``^ { } \ [ ~ ] | €``, form feed) take
    two.
    """
    encoded = encode(text)
    return None if encoded is None else len(encoded)
