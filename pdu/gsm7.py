"""The GSM 7-bit alphabet: characters to septets, one a byte, and back (23.038 6.2.1).

The default alphabet and its extension stand here; the tables of the national languages are read when a
message or a caller first needs them (``national``).
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

_UNMAPPED = 0xFF  # in the tables below: no septet, no character (ÿ is not in the alphabet)
_UNDEFINED = "\ufffe"  # to charmap_build: no character at this position
_TO_LATIN1 = bytes(
    ord(character) if character < "ÿ" and character != "\x1b" else _UNMAPPED for character in DEFAULT_ALPHABET
).ljust(256, bytes((_UNMAPPED,)))


class SeptetEncoder:
    """What turns characters into septets: of the default alphabet, or of a pair of national tables.

    ``charmap_encode`` is quick with a map that the C library builds from at most 256 characters, the first of
    which must be U+0000. So the character of septet 0 takes the place of the escape, which is none, and the
    characters of the extension follow from 128 on, each to be replaced by its two septets. Text in ASCII goes
    by a table made of that map, which is quicker still.
    """

    __slots__ = ("_ascii_table", "_charmap", "_extension_pairs")

    def __init__(self, locking: str, single: dict[int, str]) -> None:
        """Make the tables; a character of both takes its one septet, a doubled one its lower code."""
        main = list(locking)
        seen: set[str] = set()
        for code, character in enumerate(locking):
            reserved = character == " " and code != 0x20  # it only reads as a space
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
            (bytes((128 + place,)), bytes((ESCAPE, extension[character])))
            for place, character in enumerate(shifted)
        ]
        raw = (self._map_characters(chr(code)) or bytes((_UNMAPPED,)) for code in range(128))
        self._ascii_table = b"".join(raw).ljust(256, bytes((_UNMAPPED,)))

    def encode(self, text: str) -> bytes | None:
        """Return the septets of a text, one a byte, or None when a character has none."""
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
        """Return a code for each character: its septet, or from 128 on its place in the extension."""
        raw = charmap_encode(text, "ignore", self._charmap)[0]
        if len(raw) != len(text) or 0 in raw:  # 0 stands for U+0000, which has no septet
            return None
        return raw.replace(b"\x1b", b"\0")


encode = SeptetEncoder(DEFAULT_ALPHABET, EXTENSION_TABLE).encode


def decode(septets: bytes, locking: str = DEFAULT_ALPHABET, single: dict[int, str] = EXTENSION_TABLE) -> str:
    """Return the text of septets, one a byte. No septet is an error.

    An escape before a code that the extension does not define is passed over, so the code shows as in the
    main table (6.2.1.1); two escapes, and one at the end, show as a space.
    """
    if locking is DEFAULT_ALPHABET:
        latin = septets.translate(_TO_LATIN1)
        if _UNMAPPED not in latin:
            return latin.decode("latin-1")  # four times as quick as a charmap, and nearly all texts are such
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
