"""The codec of text mode: timestamps, addresses, and user data by <dcs>, <fo> and character set."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pdu
from agent.modem.text_mode_codec import (
    TextModeError,
    decode_address,
    decode_user_data,
    encode_string,
    encode_text,
    encode_timestamp,
)
from pdu import gsm7

ALPHABET = "".join(character for character in gsm7.DEFAULT_ALPHABET if character != "\x1b") + "".join(
    gsm7.EXTENSION_TABLE.values()
)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("26/09/21,14:13:20+00", "62901241310200"),
        ("2026/09/21,14:13:20+00", "62901241310200"),
        ("26/09/21,14:13:20+8", "62901241310280"),
        ("26/09/21,14:13:20-35", "6290124131025B"),
        ("00/00/00,00:00:00+00", "00000000000000"),
        ("26/13/41,25:61:61+79", "62311452161697"),
        ("FF/FF/FF,FF:FF:FF-7F", "FFFFFFFFFFFFFF"),
    ],
)
def test_encode_timestamp(text, octets):
    """The octets are those of the network, also for impossible dates."""
    assert encode_timestamp(text) == bytes.fromhex(octets)


@pytest.mark.parametrize("text", ["", "26/09/21", "26/09/21,14:13:20", "26/09/21,14:13:20+96", "000"])
def test_text_that_is_not_a_timestamp(text):
    """Without a time zone the time is unknown."""
    assert encode_timestamp(text) is None


@given(st.datetimes(datetime(1970, 1, 2), datetime(2069, 12, 30)))  # noqa: DTZ001  (strategies take naive bounds)
def test_timestamp_round_trip(time):
    """The codec decodes the same time from the octets."""
    time = time.replace(microsecond=0, tzinfo=UTC)
    show_text = time.strftime("%y/%m/%d,%H:%M:%S+00")
    assert pdu.Timestamp(encode_timestamp(show_text) or b"").time == time


def test_time_zone_of_one_digit():
    """It counts quarters of an hour, as two digits do."""
    assert pdu.Timestamp(encode_timestamp("26/09/21,14:13:20+8")).time.utcoffset() == timedelta(hours=2)


@pytest.mark.parametrize(
    ("text", "kind", "charset", "number"),
    [
        ("000", 129, "GSM", pdu.Address.parse("000")),
        ("000", None, "IRA", pdu.Address.parse("000")),
        ("+447700900000", 145, "IRA", pdu.Address.parse("+447700900000")),
        ("+447700900000", 129, "IRA", pdu.Address.parse("+447700900000")),
        ("003000300030", 129, "UCS2", pdu.Address.parse("000")),
        ("2936", 129, "UCS2", pdu.Address.parse("2936")),
        ("+15550001234", 145, "UCS2", pdu.Address.parse("+15550001234")),
        ("303030", 129, "HEX", pdu.Address.parse("000")),
        (
            "\x00b\x11",
            208,
            "GSM",
            pdu.Address("@b_", pdu.TypeOfNumber.ALPHANUMERIC, pdu.NumberingPlan.UNKNOWN),
        ),
        (
            "004F00720061006E00670065",
            208,
            "UCS2",
            pdu.Address("Orange", pdu.TypeOfNumber.ALPHANUMERIC, pdu.NumberingPlan.UNKNOWN),
        ),
        (
            "Orange",
            129,
            "IRA",
            pdu.Address("Orange", pdu.TypeOfNumber.ALPHANUMERIC, pdu.NumberingPlan.UNKNOWN),
        ),
    ],
)
def test_decode_address(text, kind, charset, number):
    """Numbers in the character set, numbers that were not encoded in it, and names."""
    assert decode_address(text, kind, charset) == number


def show_text(text, charset):
    """Return a text as a module with that character set shows it, and its <length>."""
    septets = gsm7.encode(text)
    match charset:
        case "GSM":
            return septets.decode("latin-1"), len(septets)
        case "HEX":
            return septets.hex().upper(), len(septets)
    return text.encode("utf-16-be").hex().upper(), len(text)


@pytest.mark.parametrize("charset", ["GSM", "HEX", "UCS2"])
@settings(max_examples=60, deadline=None)
@given(text=st.text(st.sampled_from(ALPHABET), max_size=80))
def test_text_round_trip_of_the_gsm_alphabet(charset, text):
    """The octets are those of the PDU, so that deduplication works."""
    payload, length = show_text(text, charset)
    data, scheme, sound = decode_user_data(payload, charset, 0, length, has_header=False)
    assert data == pdu.UserData.of(text, alphabet=pdu.Alphabet.GSM7)
    assert scheme == 0
    assert sound or payload.endswith(("\r", "\n"))


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=140))
def test_binary_data(octets):
    """<dcs> decides that digits are octets, in every character set."""
    for charset in ("GSM", "HEX", "UCS2", "IRA"):
        data, scheme, sound = decode_user_data(
            octets.hex().upper(), charset, 4, len(octets), has_header=False
        )
        assert (data.data, scheme, sound) == (octets, 4, True)


def test_text_of_hexadecimal_digits():
    """The same line is text with one <dcs> and octets with another."""
    assert decode_user_data("0102FF", "GSM", 0, 6, has_header=False)[0].text == "0102FF"
    assert decode_user_data("0102FF", "GSM", 4, 3, has_header=False)[0].data == b"\x01\x02\xff"


def test_ucs2_data_and_parts():
    """UCS-2 and a user data header are digits in every character set."""
    assert decode_user_data("4F60597D", "GSM", 8, 4, has_header=False)[0].text == "你好"
    for part in pdu.segment("a" * 300 + "{", reference=5):
        for length in (len(part.octets), 2 * len(part.octets), part.length):
            data, _, _ = decode_user_data(part.octets.hex().upper(), "IRA", 0, length, has_header=True)
            assert data == part


def test_seven_remaining_bits():
    """140 octets are 160 or 159 septets.

    A count of septets decides, else a last septet of zero is padding.
    """
    short, full = pdu.segment("a" * 152 + "{" * 9, reference=5)[0], pdu.segment("a" * 200, reference=5)[0]
    assert (short.length, full.length) == (159, 160)
    for part in (short, full):
        assert len(part.octets) == 140
        for length in (140, 280, part.length):
            assert decode_user_data(part.octets.hex(), "GSM", 0, length, has_header=True)[0] == part
    assert decode_user_data(short.octets.hex(), "GSM", 0, 160, has_header=True)[0].length == 160


def test_last_part_of_one_character():
    """Header and one character are seven octets; counted either way, the character is not lost."""
    last = pdu.segment("a" * 307, reference=5)[2]
    assert (last.length, len(last.octets)) == (8, 7)
    for length in (7, 14, 8):
        assert decode_user_data(last.octets.hex(), "GSM", 0, length, has_header=True)[0] == last


@pytest.mark.parametrize(
    ("payload", "charset", "scheme", "length"),
    [
        ("hi", "GSM", 0, 3),
        ("hi", "IRA", 0, 0),
        ("00680069", "UCS2", 0, 3),
        ("0068006", "UCS2", 0, 2),
        ("hi", "UCS2", 0, 2),
        ("D83D0069", "UCS2", 0, 2),
        ("6869", "HEX", 0, 3),
        ("80", "HEX", 0, 1),
        ("caf\xe9", "IRA", 0, 4),
        ("caf\xe9", "GSM", 0, 4),
        ("hi", "", 0, 2),
        ("hi", "GSM", 4, 1),
        ("0102FF", "GSM", 4, 2),
        ("0102F", "GSM", 4, 3),
        ("hi", "GSM", 256, 2),
    ],
)
def test_invalid_payload_is_refused(payload, charset, scheme, length):
    """A length that fits no way of counting, and octets outside the character set, are errors."""
    with pytest.raises(TextModeError):
        decode_user_data(payload, charset, scheme, length, has_header=False)


def test_latin_text_keeps_its_characters():
    """This includes characters that the GSM alphabet lacks, as some modules map them."""
    assert decode_user_data("caf\xe9 on", "8859-1", 0, 7, has_header=False)[0].text == "café on"
    data, scheme, _ = decode_user_data("\xe7a", "8859-1", 0, 2, has_header=False)
    assert (data.text, scheme) == ("ça", 8)


def test_other_ways_of_counting_are_not_intact():
    """A length in septets or octets instead of characters makes the message be read again."""
    assert decode_user_data("007B0061", "UCS2", 0, 3, has_header=False)[2] is False
    assert decode_user_data("007B0061", "UCS2", 0, 4, has_header=False)[2] is False
    assert decode_user_data("007B0061", "UCS2", 0, 2, has_header=False)[2] is True
    assert decode_user_data("hi\r\n", "GSM", 0, 4, has_header=False)[2] is False


def test_encode_text():
    """Digits if the character set has them.

    Else only characters that are safe in text entry and the same in every set.
    """
    assert encode_string("2936", "UCS2") == "0032003900330036"
    assert encode_string("000", "HEX") == "303030"
    assert encode_text("{\r\x1a", "UCS2") == "007B000D001A"
    assert encode_text("{", "HEX") == "1B28"
    assert encode_text("ok 17", "GSM") == "ok 17"
    for character in "{[@_$^\r\n\x1a\x1bÉ":
        assert encode_text(f"a{character}", "GSM") is None
        assert encode_text(f"a{character}", "IRA") is None
