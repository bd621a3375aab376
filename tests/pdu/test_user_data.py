"""User data: alphabets, sizes and headers."""

from __future__ import annotations

import pytest

from pdu import Alphabet, Concatenation, InformationElement, NationalLanguage, PduError, Ports, UserData

GSM7, OCTETS, UCS2 = Alphabet


@pytest.mark.parametrize(
    ("content", "alphabet", "length", "digits"),
    [
        ("", GSM7, 0, ""),
        ("ok", GSM7, 2, "EF35"),
        ("[21,5 €]", GSM7, 11, "1B9E2CC6AA8136E58D0F"),
        ("pattern@", GSM7, 8, "F0309D5E96BB01"),
        ("°", UCS2, 2, "00B0"),
        ("ok 🚀", UCS2, 10, "006F006B0020D83DDE80"),
        (b"", OCTETS, 0, ""),
        (b"\x00\xff", OCTETS, 2, "00FF"),
    ],
)
def test_content_uses_smallest_alphabet(content, alphabet, length, digits):
    """GSM 7-bit comes before UCS-2, octets stay octets, and the content is decoded again."""
    user_data = UserData.of(content)
    assert user_data == UserData(bytes.fromhex(digits), length, alphabet)
    assert (user_data.text, user_data.data) == (
        (content, None) if isinstance(content, str) else (None, content)
    )
    assert user_data.data_coding_scheme == {GSM7: 0, OCTETS: 4, UCS2: 8}[alphabet]
    assert (user_data.header, user_data.concatenation, user_data.header_malformed) == ((), None, False)


def test_alphabet_can_be_set():
    """UCS-2 for a text that GSM 7-bit could carry; GSM 7-bit only if it can."""
    assert UserData.of("ok", alphabet=UCS2).octets == "ok".encode("utf-16-be")
    assert UserData.of("ok", alphabet=GSM7) == UserData.of("ok")
    assert UserData.of(b"ok", alphabet=OCTETS).data == b"ok"


@pytest.mark.parametrize(
    ("content", "alphabet", "field"),
    [
        ("°", GSM7, "user_data.text"),
        ("ok", OCTETS, "user_data.alphabet"),
        (b"ok", GSM7, "user_data.alphabet"),
        (b"ok", UCS2, "user_data.alphabet"),
        ("\ud83d", None, "user_data.text"),
        ("x" * 161, None, "user_data"),
        ("€" * 81, None, "user_data"),
        ("°" * 71, None, "user_data"),
        ("🚀" * 36, None, "user_data"),
        (bytes(141), None, "user_data"),
    ],
)
def test_content_that_does_not_fit_raises(content, alphabet, field):
    """The error has the reason; nothing is replaced or truncated."""
    with pytest.raises(PduError) as caught:
        UserData.of(content, alphabet=alphabet)
    assert (caught.value.field, caught.value.octet) == (field, None)


@pytest.mark.parametrize("content", ["x" * 160, "€" * 80, "°" * 70, "🚀" * 35, bytes(140)])
def test_full_message_has_140_octets(content):
    """This is the limit of one message."""
    assert len(UserData.of(content).octets) == 140


HEADERS = [  # header octets, septets that it takes with its fill bits
    ("02 70 00", 4),
    ("03 24 01 03", 5),
    ("05 00 03 2A 02 01", 7),
    ("06 08 04 1234 02 01", 8),
    ("09 24 01 03 08 04 1234 02 01", 12),
    ("0B 00 03 2A 02 01 05 04 0B84 23F0", 14),
    ("07 70 05 0102030405", 10),
]


@pytest.mark.parametrize(("digits", "reserved"), HEADERS)
@pytest.mark.parametrize("text", ["", "Hi", "pattern@", "@@@@@@@@", "€uro"])
def test_text_begins_at_septet_boundary_after_header(digits, reserved, text):
    """Fill bits follow 23.040 9.2.3.24: zero when encoded, ignored when decoded."""
    front = bytes.fromhex(digits)
    elements = UserData(front, len(front), OCTETS, has_header=True).header
    user_data = UserData.of(text, header=elements)
    assert user_data.octets[: len(front)] == front
    assert user_data.length == reserved + user_data.septets
    assert user_data.text == text
    assert user_data.header == elements
    fill = 7 * reserved - 8 * len(front)
    assert 0 <= fill < 7
    if fill and text:
        behind = user_data.octets[len(front)]
        assert behind & ((1 << fill) - 1) == 0
        noisy = bytearray(user_data.octets)
        noisy[len(front)] |= (1 << fill) - 1
        assert UserData(bytes(noisy), user_data.length, GSM7, has_header=True).text == text


def test_example_of_a_part():
    """Part 1 of 2, reference 42, Hi: one fill bit."""
    user_data = UserData(bytes.fromhex("0500032A02019069"), 9, GSM7, has_header=True)
    assert user_data.text == "Hi"
    assert user_data.concatenation == Concatenation(42, 2, 1)
    assert user_data.septets == 2
    assert UserData.of("Hi", header=(Concatenation(42, 2, 1).element,)) == user_data


def test_octets_and_ucs2_follow_header_directly():
    """There is no fill, also after a header of odd length."""
    header = (Concatenation(1, 2, 1, wide=True).element,)
    assert UserData.of("°C", header=header).octets.hex() == "060804000102" + "01" + "00b00043"
    assert UserData.of("°C", header=header).text == "°C"
    assert UserData.of(b"\x01\x02", header=header).data == b"\x01\x02"
    assert UserData.of(b"\x01\x02", header=header).length == 9


@pytest.mark.parametrize(
    ("digits", "length", "alphabet", "text", "data"),
    [
        # an element runs past the header: what follows the header is the text
        ("05 00 04 2A 02 01 90 69", 9, GSM7, "Hi", None),
        ("05 00 04 2A 02 01 0048", 8, UCS2, "H", None),
        ("05 00 04 2A 02 01 0102", 8, OCTETS, None, "0102"),
        # the header runs past the end: all is text
        ("48 00 49", 3, OCTETS, None, "480049"),
        ("0048 0049", 4, UCS2, None, None),
        ("48 75", 2, GSM7, "Hj", None),
        ("00 0102", 3, OCTETS, None, "0102"),
        ("", 0, GSM7, "", None),
        ("", 0, OCTETS, None, ""),
    ],
)
def test_malformed_header_keeps_the_message(digits, length, alphabet, text, data):
    """The header is ignored as a whole and reported; the rest is decoded."""
    user_data = UserData(bytes.fromhex(digits), length, alphabet, has_header=True)
    assert user_data.header == ()
    assert user_data.header_malformed
    assert user_data.concatenation is None
    if alphabet is not UCS2 or text:
        assert user_data.text == text
        assert user_data.data == (None if data is None else bytes.fromhex(data))


def test_compressed_data_is_raw():
    """There is no text without 23.042."""
    user_data = UserData(b"\x01\x02", 2, GSM7, compressed=True)
    assert (user_data.text, user_data.data, user_data.septets) == (None, b"\x01\x02", None)


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        ("D83DDE80", "🚀"),
        ("D83D", "\ufffd"),
        ("DE80", "\ufffd"),
        ("0041D83D0042", "A\ufffdB"),
        ("004100", "A\ufffd"),
        ("FEFF0041", "\ufeffA"),
    ],
)
def test_incomplete_ucs2_characters_are_replaced(digits, text):
    """A lone surrogate or half a unit is not an error."""
    octets = bytes.fromhex(digits)
    assert UserData(octets, len(octets), UCS2).text == text


def test_language_elements_apply_only_to_gsm7():
    """The text of a UCS-2 message does not depend on them."""
    user_data = UserData.of("°", header=NationalLanguage(single=3).elements)
    assert (user_data.text, user_data.national_language) == ("°", None)


def test_ports_and_special_messages_are_decoded():
    """They are shortcuts to the elements that the codec knows."""
    header = (Ports(2948, 9200).element, InformationElement(1, b"\x80\x02"))
    user_data = UserData.of(b"\x00", header=header)
    assert user_data.ports == Ports(2948, 9200)
    assert [message.count for message in user_data.special_messages] == [2]
    assert UserData.of(b"").ports is None
    assert UserData.of(b"").special_messages == ()
