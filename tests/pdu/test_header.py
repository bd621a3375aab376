"""User data header and its information elements."""

from __future__ import annotations

import pytest

from pdu import (
    Concatenation,
    InformationElement,
    NationalLanguage,
    PduError,
    Ports,
    SpecialMessage,
    WaitingKind,
    header,
)


def read(digits):
    return header.read_header(bytes.fromhex(digits))


@pytest.mark.parametrize(
    ("digits", "elements"),
    [
        ("05 00 03 2A 02 01", [(0x00, "2A0201")]),
        ("06 08 04 0001 02 01", [(0x08, "00010201")]),
        ("0A 00 03 2A 02 01 70 03 AABBCC", [(0x00, "2A0201"), (0x70, "AABBCC")]),
        ("02 70 00", [(0x70, "")]),
        ("04 70 00 71 00", [(0x70, ""), (0x71, "")]),
        ("06 25 01 0D 24 01 0D", [(0x25, "0D"), (0x24, "0D")]),
    ],
)
def test_unknown_elements_are_kept(digits, elements):
    """Identifier and data of each element are kept in order, both ways."""
    found = read(digits)
    assert found == tuple(InformationElement(number, bytes.fromhex(data)) for number, data in elements)
    assert header.write_header(found) == bytes.fromhex(digits)
    assert read(digits + "FFFF") == found


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "00",  # no element at all
        "01 00",  # half an element
        "05 00 03 2A 02",  # the length runs past the octets
        "05 00 04 2A 02 01",  # an element runs past the length
        "06 00 03 2A 02 01 00",  # an octet left over
        "FF 00 03 2A 02 01",
    ],
)
def test_malformed_header_gives_none(digits):
    """The standard tells the receiver to ignore all of it (23.040 9.2.3.24)."""
    assert read(digits) is None


def element(identifier, digits):
    return InformationElement(identifier, bytes.fromhex(digits))


@pytest.mark.parametrize(
    ("elements", "concatenation"),
    [
        ([element(0, "2A0201")], Concatenation(42, 2, 1)),
        ([element(8, "ABCD0302")], Concatenation(0xABCD, 3, 2, wide=True)),
        ([element(0, "2AFFFF")], Concatenation(42, 255, 255)),
        ([element(0, "2A0200")], None),  # part 0
        ([element(0, "2A0000")], None),  # of 0 parts
        ([element(0, "2A0203")], None),  # part 3 of 2
        ([element(0, "2A02")], None),  # wrong length
        ([element(8, "2A0201")], None),
        ([element(0, "2A0201"), element(0, "2B0202")], Concatenation(43, 2, 2)),
        ([element(0, "2A0201"), element(8, "00010302")], Concatenation(1, 3, 2, wide=True)),
        ([element(8, "00010302"), element(0, "2A0000")], Concatenation(1, 3, 2, wide=True)),
        ([], None),
    ],
)
def test_last_valid_concatenation_counts(elements, concatenation):
    """Invalid numbers and wrong lengths are ignored, so the message stands alone."""
    assert header.find_concatenation(tuple(elements)) == concatenation
    if concatenation and len(elements) == 1:
        assert concatenation.element == elements[0]


@pytest.mark.parametrize(
    ("elements", "ports"),
    [
        ([element(4, "F0F1")], Ports(0xF0, 0xF1, wide=False)),
        ([element(5, "0B8423F0")], Ports(2948, 9200)),
        ([element(5, "0B84")], None),
        ([element(4, "F0F1"), element(5, "0B8423F0")], Ports(2948, 9200)),
        ([], None),
    ],
)
def test_ports_are_decoded(elements, ports):
    """They have 8 or 16 bits, destination first; the last of two elements counts."""
    assert header.find_ports(tuple(elements)) == ports
    if ports and len(elements) == 1:
        assert ports.element == elements[0]


@pytest.mark.parametrize(
    ("elements", "language"),
    [
        ([element(0x24, "01")], NationalLanguage(single=1)),
        ([element(0x25, "0D")], NationalLanguage(locking=13)),
        ([element(0x24, "03"), element(0x25, "04")], NationalLanguage(single=3, locking=4)),
        ([element(0x24, "00")], None),
        ([element(0x24, "0E")], None),
        ([element(0x24, "0101")], None),
        ([element(0x24, "")], None),
        ([element(0x24, "01"), element(0x24, "03")], NationalLanguage(single=3)),
        ([element(0x24, "01"), element(0x24, "0E")], NationalLanguage(single=1)),
        ([element(24, "01")], None),  # 24 decimal is no language element
    ],
)
def test_last_valid_language_of_each_kind_counts(elements, language):
    """Reserved codes and wrong lengths are ignored."""
    assert header.find_national_language(tuple(elements)) == language


def test_special_messages_are_counted_by_kind():
    """Unknown kinds count as other; wrong lengths are ignored."""
    elements = (
        element(1, "8003"),
        element(1, "2100"),
        element(1, "1F01"),
        element(1, "00"),
        element(0, "2A0201"),
    )
    assert header.find_special_messages(elements) == (
        SpecialMessage(WaitingKind.VOICEMAIL, 3, store=True),
        SpecialMessage(WaitingKind.FAX, 0, store=False, profile=1),
        SpecialMessage(WaitingKind.OTHER, 1, store=False),
    )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Concatenation(256, 2, 1).element, "concatenation.reference"),
        (lambda: Concatenation(-1, 2, 1).element, "concatenation.reference"),
        (lambda: Concatenation(65536, 2, 1, wide=True).element, "concatenation.reference"),
        (lambda: Concatenation(1, 2, 3).element, "concatenation.number"),
        (lambda: Concatenation(1, 2, 0).element, "concatenation.number"),
        (lambda: Concatenation(1, 256, 1).element, "concatenation.number"),
        (lambda: Ports(65536, 0).element, "ports.destination"),
        (lambda: Ports(0, 256, wide=False).element, "ports.source"),
        (lambda: NationalLanguage(single=14).elements, "national_language.single"),
        (lambda: NationalLanguage(locking=0).elements, "national_language.locking"),
        (lambda: header.write_header((InformationElement(256, b""),)), "user_data.header.identifier"),
        (lambda: header.write_header((InformationElement(0, bytes(256)),)), "user_data.header.length"),
        (lambda: header.write_header((InformationElement(0, bytes(254)),)), "user_data.header.length"),
    ],
)
def test_element_that_does_not_fit_raises(make, field):
    """The error has the field."""
    with pytest.raises(PduError) as caught:
        make()
    assert caught.value.field == field
