"""Splits a text or octets into the user data of concatenated messages (23.040 9.2.3.24.1)."""

from __future__ import annotations

from pdu import gsm7
from pdu.coding import Alphabet
from pdu.error import PduError
from pdu.header import LANGUAGES, Concatenation, InformationElement, NationalLanguage, Ports, write_header
from pdu.user_data import MAX_USER_DATA_OCTETS, UserData, encode_ucs2

_CONCATENATION_OCTETS = {False: 5, True: 6}  # octets of the element, by width


def segment(
    content: str | bytes,
    *,
    alphabet: Alphabet | None = None,
    reference: int | None = None,
    wide: bool = False,
    max_parts: int = 255,
    national_languages: bool = False,
    ports: Ports | None = None,
) -> tuple[UserData, ...]:
    """Return the user data of the messages for a text or octets: one if it fits, else numbered parts.

    Text is GSM 7-bit if possible, else UCS-2. With ``national_languages`` it uses the tables of a national
    language in place of UCS-2 if that saves a part (the receiver must support them). ``alphabet`` sets the
    alphabet. Several parts need a ``reference`` (0 to 255, or to 65535 if ``wide``), which should differ from
    those of recent messages to the same recipient. Neither an escape and its character nor a surrogate pair
    is split between two parts.

    Raises PduError if the alphabet cannot encode the text, if more than ``max_parts`` parts are needed, or if
    several parts have no ``reference``.
    """
    elements = () if ports is None else (ports.element,)
    encodings = _candidate_encodings(content, alphabet, elements, national_languages=national_languages)
    splits = [_split(data, form, front, wide=wide) for data, form, front in encodings]
    best = min(range(len(splits)), key=lambda index: len(splits[index]))
    _, form, front = encodings[best]
    pieces = splits[best]
    total = len(pieces)
    if total > min(max_parts, 255):
        raise PduError(
            "user_data", None, f"the content takes {total} parts, but {min(max_parts, 255)} are allowed"
        )
    if total == 1:
        return (UserData.pack(pieces[0], form, front),)
    if reference is None:
        raise PduError(
            "concatenation.reference", None, f"the content takes {total} parts, which need a reference"
        )
    return tuple(
        UserData.pack(piece, form, (Concatenation(reference, total, number, wide).element, *front))
        for number, piece in enumerate(pieces, 1)
    )


def _candidate_encodings(
    content: str | bytes,
    alphabet: Alphabet | None,
    elements: tuple[InformationElement, ...],
    *,
    national_languages: bool,
) -> list[tuple[bytes, Alphabet, tuple[InformationElement, ...]]]:
    """Return the possible encodings of the content, the preferred one first: bytes, alphabet, elements."""
    if isinstance(content, bytes):
        if alphabet not in (None, Alphabet.OCTETS):
            raise PduError("user_data.alphabet", None, f"octets cannot be encoded as {alphabet.value}")
        return [(content, Alphabet.OCTETS, elements)]
    if alphabet is Alphabet.OCTETS:
        raise PduError("user_data.alphabet", None, "a text cannot be encoded as 8-bit data: pass octets")
    septets = None if alphabet is Alphabet.UCS2 else gsm7.encode(content)
    if septets is not None:
        return [(septets, Alphabet.GSM7, elements)]
    forms = [] if alphabet is Alphabet.GSM7 else [(encode_ucs2(content), Alphabet.UCS2, elements)]
    if national_languages and alphabet is not Alphabet.UCS2:
        forms += _national_encodings(content, elements)
    if not forms:
        raise PduError("user_data.text", None, "the text has characters outside the GSM 7-bit alphabet")
    return forms


def _national_encodings(
    text: str, elements: tuple[InformationElement, ...]
) -> list[tuple[bytes, Alphabet, tuple[InformationElement, ...]]]:
    """Return the encodings with the tables of national languages, the shortest first."""
    from pdu import national  # noqa: PLC0415  # loads the tables at first use

    found = []
    for code in LANGUAGES:
        for language in (
            NationalLanguage(code, None),
            NationalLanguage(None, code),
            NationalLanguage(code, code),
        ):
            septets = national.make_encoder(language.single, language.locking).encode(text)
            if septets is not None:
                found.append((septets, Alphabet.GSM7, (*elements, *language.elements)))
    return sorted(found, key=lambda form: len(form[0]) + len(write_header(form[2])) * 8 / 7)


def _split(
    content: bytes, alphabet: Alphabet, elements: tuple[InformationElement, ...], *, wide: bool
) -> list[bytes]:
    """Split the content: into one piece if it fits, else into pieces with space for the concatenation."""
    header = len(write_header(elements))
    if len(content) <= _capacity(alphabet, header):
        return [content]
    capacity = _capacity(alphabet, max(header, 1) + _CONCATENATION_OCTETS[wide])
    pieces = []
    start = 0
    while start < len(content):
        end = start + capacity
        if end < len(content) and _is_split_unit(content, end, alphabet):
            end -= 1 if alphabet is Alphabet.GSM7 else 2
        pieces.append(content[start:end])
        start = end
    return pieces


def _capacity(alphabet: Alphabet, header_octets: int) -> int:
    """Return how many septets, or octets (an even number for UCS-2), fit after a header."""
    if alphabet is Alphabet.GSM7:
        return 160 - (8 * header_octets + 6) // 7
    capacity = MAX_USER_DATA_OCTETS - header_octets
    return capacity - capacity % 2 if alphabet is Alphabet.UCS2 else capacity


def _is_split_unit(content: bytes, end: int, alphabet: Alphabet) -> bool:
    """Return True if a cut before ``end`` splits an escape sequence or a surrogate pair."""
    if alphabet is Alphabet.GSM7:
        return content[end - 1] == gsm7.ESCAPE
    return alphabet is Alphabet.UCS2 and 0xD8 <= content[end - 2] < 0xDC
