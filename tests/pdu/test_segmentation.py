"""Segmentation of long content into parts."""

from __future__ import annotations

import contextlib

import pytest

from pdu import Alphabet, Concatenation, NationalLanguage, PduError, Ports, UserData, join, segment
from pdu.header import LANGUAGES

GSM7, OCTETS, UCS2 = Alphabet


@pytest.mark.parametrize("content", ["", "ok", "x" * 160, "€" * 80, "°" * 70, "🚀" * 35, b"", bytes(140)])
def test_single_message_has_no_header(content):
    """It needs no reference."""
    assert segment(content) == (UserData.of(content),)


@pytest.mark.parametrize(
    ("content", "wide", "sizes"),
    [
        ("x" * 161, False, [153, 8]),
        ("x" * 306, False, [153, 153]),
        ("x" * 307, False, [153, 153, 1]),
        ("x" * 161, True, [152, 9]),
        ("x" * 152 + "€" + "x" * 8, False, [152, 10]),  # no space for both septets of the €
        ("x" * 151 + "€" + "x" * 8, False, [153, 8]),
        ("€" * 81, False, [152, 10]),
        ("x" * 150 + "€€€€€€", False, [152, 10]),
        ("°" * 71, False, [134, 8]),
        ("°" * 71, True, [132, 10]),
        ("°" * 66 + "🚀" * 3, False, [132, 12]),  # no space for both halves of the pair
        ("°" * 65 + "🚀" * 3, False, [134, 8]),
        (bytes(141), False, [134, 7]),
        (bytes(141), True, [133, 8]),
    ],
)
def test_long_content_is_split_between_characters(content, wide, sizes):
    """Neither an escape sequence nor a surrogate pair is split, so a part may be shorter."""
    parts = segment(content, reference=7, wide=wide)
    header = 7 if wide else 6
    reserved = (8 * header + 6) // 7
    assert [part.length - (reserved if part.alphabet is GSM7 else header) for part in parts] == sizes
    assert [part.concatenation for part in parts] == [
        Concatenation(7, len(parts), number, wide) for number in range(1, len(parts) + 1)
    ]
    assert all(len(part.octets) <= 140 for part in parts)
    whole = join(parts)
    assert (whole.data if isinstance(content, bytes) else whole.text) == content
    if isinstance(content, str):
        assert "".join(part.text for part in parts) == content


@pytest.mark.parametrize(
    ("content", "parts"), [("x" * 153 * 255, 255), ("°" * 67 * 255, 255), (bytes(134 * 255), 255)]
)
def test_content_has_at_most_255_parts(content, parts):
    """The number of parts is one octet."""
    assert len(segment(content, reference=0)) == parts
    with pytest.raises(PduError, match="takes 256 parts, but 255 are allowed"):
        segment(content + content[:1], reference=0, max_parts=1000)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: segment("x" * 161), "concatenation.reference"),
        (lambda: segment("x" * 161, reference=256), "concatenation.reference"),
        (lambda: segment("x" * 161, reference=65536, wide=True), "concatenation.reference"),
        (lambda: segment("x" * 307, reference=1, max_parts=2), "user_data"),
        (lambda: segment("x", max_parts=0), "user_data"),
        (lambda: segment("°", alphabet=GSM7), "user_data.text"),
        (lambda: segment("°", alphabet=OCTETS), "user_data.alphabet"),
        (lambda: segment(b"x", alphabet=UCS2), "user_data.alphabet"),
        (lambda: segment("\udc00"), "user_data.text"),
        (lambda: segment("ж", alphabet=GSM7, national_languages=True), "user_data.text"),
        (lambda: segment("x", ports=Ports(65536, 0)), "ports.destination"),
    ],
)
def test_content_that_cannot_be_encoded_raises(call, field):
    """The error has the field."""
    with pytest.raises(PduError) as caught:
        call()
    assert caught.value.field == field


def test_ports_are_in_every_part():
    """They reduce the space for the text."""
    parts = segment("x" * 200, reference=3, ports=Ports(2948, 9200))
    assert [part.ports for part in parts] == [Ports(2948, 9200)] * 2
    assert parts[0].septets == 146
    (one,) = segment(b"\x01", ports=Ports(1, 2, wide=False))
    assert (one.ports, one.data) == (Ports(1, 2, wide=False), b"\x01")


def test_alphabet_can_be_set():
    """UCS-2 for a text that does not need it."""
    assert segment("ok", alphabet=UCS2)[0].alphabet is UCS2
    assert segment("ok", alphabet=GSM7)[0].alphabet is GSM7


TURKISH = "çok \u0131ş\u0131k ŞİĞ " * 10


def test_national_tables_are_used_only_on_request():
    """The receiver must support them, so UCS-2 is used unless they are allowed and save a part."""
    assert {part.alphabet for part in segment(TURKISH, reference=1)} == {UCS2}
    assert len(segment(TURKISH, reference=1)) == 2
    (part,) = segment(TURKISH, national_languages=True)
    assert part.alphabet is GSM7
    assert part.national_language is not None
    assert part.text == TURKISH
    assert segment(TURKISH[:20], national_languages=True)[0].alphabet is UCS2
    assert segment("plain", national_languages=True) == segment("plain")


@pytest.mark.parametrize(
    "text", [TURKISH, "Coração " * 15, "হ্যালো " * 15, "नमस्ते 123 " * 10, "سلام دنیا " * 10, "á" * 71]
)
def test_shortest_national_encoding_is_used(text):
    """All languages are compared: single shift, locking shift and both, with their headers."""
    (part,) = segment(text, national_languages=True)
    assert part.text == text
    lengths = []
    for single, locking in ((code, other) for code in LANGUAGES for other in (None, code)):
        for language in (NationalLanguage(single, locking), NationalLanguage(None, single)):
            with contextlib.suppress(PduError):
                lengths.append(UserData.of(text, alphabet=GSM7, header=language.elements).length)
    assert part.length == min(lengths)


def test_national_tables_are_in_every_part():
    """Each part is decoded with its own elements."""
    text = TURKISH * 5
    parts = segment(text, reference=9, national_languages=True)
    assert len(parts) < len(segment(text, reference=9))
    assert len({part.national_language for part in parts}) == 1
    assert "".join(part.text for part in parts) == text
    assert join(parts).text == text
