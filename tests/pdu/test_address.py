"""Address fields: TP addresses and service centre addresses."""

from __future__ import annotations

import pytest

from pdu import Address, NumberingPlan, PduError, Submit, TypeOfNumber, UserData, encode
from pdu.address import read_address, read_service_centre, write_address, write_service_centre

UNKNOWN, INTERNATIONAL, NATIONAL = TypeOfNumber.UNKNOWN, TypeOfNumber.INTERNATIONAL, TypeOfNumber.NATIONAL
ALPHANUMERIC = TypeOfNumber.ALPHANUMERIC


def named(text, plan=NumberingPlan.UNKNOWN):
    return Address(text, ALPHANUMERIC, plan)


FIELDS = [  # an address field of a TPDU, and its address
    ("03 81 00F0", Address("000")),
    ("03 91 00F0", Address("000", INTERNATIONAL)),
    ("03 A1 00F0", Address("000", NATIONAL)),
    ("04 81 9263", Address("2936")),
    ("0B 91 4151550501F0", Address("14155550100", INTERNATIONAL)),
    ("0A 81 0021436587", Address("0012345678")),
    ("0A 81 213AB4C5ED", Address("12*34#5abc")),
    ("00 81", Address("")),
    ("00 80", Address("", UNKNOWN, NumberingPlan.UNKNOWN)),
    ("14 91 21436587092143658709", Address("12345678901234567890", INTERNATIONAL)),
    ("01 B1 F5", Address("5", TypeOfNumber.NETWORK_SPECIFIC)),
    ("02 C9 21", Address("12", TypeOfNumber.SUBSCRIBER, NumberingPlan.PRIVATE)),
    ("02 E8 21", Address("12", TypeOfNumber.ABBREVIATED, NumberingPlan.NATIONAL)),
    ("02 FF 21", Address("12", TypeOfNumber.RESERVED, NumberingPlan.RESERVED_15)),
    ("0E D0 D637396C7EBBCB", named("Vodafone")),
    ("0E D1 EDF27C1E3E97E7", named("messages", NumberingPlan.ISDN)),
    ("06 D0 61F118", named("abc")),
    ("14 D0 61F1985C369FD169F51A", named("abcdefghijk")),
    ("04 D0 9B32", named("€")),
    ("00 D0", named("")),
]


@pytest.mark.parametrize(("digits", "address"), FIELDS)
def test_address_field_round_trips(digits, address):
    """Number, type of number and plan keep the values of the octets, including leading zeros, both ways."""
    octets = bytes.fromhex(digits)
    assert read_address(octets, 0, "x") == (address, len(octets))
    assert write_address(address, "x") == octets
    assert address.type_of_address == octets[1]


def test_address_field_ends_at_its_length():
    """Octets before and after the field are not read."""
    assert read_address(bytes.fromhex("FFFF 03 81 00F0 1234"), 2, "x") == (Address("000"), 6)


def test_high_nibble_after_odd_number_is_ignored():
    """Networks write other fill digits than F."""
    assert read_address(bytes.fromhex("03 81 0050"), 0, "x")[0] == Address("000")


def test_early_fill_digit_ends_the_number():
    """A sender may announce 4 digits for 000; the message can still be decoded."""
    assert read_address(bytes.fromhex("04 81 00F0"), 0, "x") == (Address("000"), 4)
    assert read_service_centre(bytes.fromhex("04 91 21 F3 65"), "x") == (Address("123", INTERNATIONAL), 5)


def test_missing_extension_bit_is_ignored():
    """Bit 7 of the type of address is always 1 and has no information."""
    assert read_address(bytes.fromhex("03 01 00F0"), 0, "x")[0] == Address("000")


@pytest.mark.parametrize(
    ("digits", "field", "octet"),
    [
        ("", "x.length", 0),
        ("03", "x.type_of_address", 1),
        ("03 81", "x.number", 2),
        ("03 81 00", "x.number", 3),
        ("15 81 2143658709214365870921", "x.length", 0),
        ("FF 81", "x.length", 0),
    ],
)
def test_truncated_address_error_has_field_and_offset(digits, field, octet):
    """The error has the part of the field, and the offset where octets are missing or invalid."""
    with pytest.raises(PduError) as caught:
        read_address(bytes.fromhex(digits), 0, "x")
    assert (caught.value.field, caught.value.octet) == (field, octet)


CENTRES = [
    ("00", None),
    ("07 91 4151550501F0", Address("14155550100", INTERNATIONAL)),
    ("06 81 0973209902", Address("9037029920")),
    ("01 91", Address("", INTERNATIONAL)),
    ("0B 91 21436587092143658709", Address("12345678901234567890", INTERNATIONAL)),
    ("04 D0 61F118", named("abc")),
    ("08 D0 61F1985C369F01", named("abcdefg")),  # seven zero bits are left over: fill, no @
    ("03 D0 6139", named("ar")),
]


@pytest.mark.parametrize(("digits", "address"), CENTRES)
def test_service_centre_address_length_counts_octets(digits, address):
    """Its length counts type and number together; 0 means that there is no address."""
    octets = bytes.fromhex(digits)
    assert read_service_centre(octets + b"\x04", "x") == (address, len(octets))
    assert write_service_centre(address, "x") == octets


@pytest.mark.parametrize(
    ("digits", "field", "octet"),
    [("", "x.length", 0), ("07 91 41", "x.number", 3), ("0C 91" + "21" * 11, "x.length", 0)],
)
def test_truncated_service_centre_address_raises(digits, field, octet):
    """A length above the present octets, or above the longest address, is an error."""
    with pytest.raises(PduError) as caught:
        read_service_centre(bytes.fromhex(digits), "x")
    assert (caught.value.field, caught.value.octet) == (field, octet)


@pytest.mark.parametrize(
    ("text", "address", "octet"),
    [
        ("000", Address("000"), 0x81),
        ("2936", Address("2936"), 0x81),
        ("+14155550100", Address("14155550100", INTERNATIONAL), 0x91),
        ("0014155550100", Address("0014155550100"), 0x81),
        ("*123#", Address("*123#"), 0x81),
    ],
)
def test_number_is_international_only_with_plus(text, address, octet):
    """000 and 2936 are not international; text and address convert both ways."""
    assert Address.parse(text) == address
    assert Address.parse(text).type_of_address == octet
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "+", "++1", "1+", "12 34", "0x1", "1" * 21, "١٢", "²", "Acme", "-1"])
def test_invalid_number_raises(text):
    """The error has the given text and the allowed characters."""
    with pytest.raises(PduError, match="is not a telephone number") as caught:
        Address.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (Address("1" * 21), "is not a number"),
        (Address("12-34"), "is not a number"),
        (Address("١٢"), "is not a number"),
        (Address("0a0d"), "is not a number"),
        (named("twelve chars"), "is longer than 11 septets"),
        (named("€€€€€€"), "is longer than 11 septets"),
        (named("имя"), "outside the GSM 7-bit alphabet"),
    ],
)
def test_address_that_does_not_fit_raises(address, reason):
    """Nothing is truncated or replaced silently."""
    for write in (write_address, write_service_centre):
        with pytest.raises(PduError, match=reason) as caught:
            write(address, "x")
        assert (caught.value.field, caught.value.octet) == ("x.number", None)


@pytest.mark.parametrize("address", [Address("1", 8), Address("1", numbering_plan=16)])
def test_type_of_number_out_of_range_raises(address):
    """Both kinds of address fields raise the same error."""
    for submit in (
        Submit(address, UserData.of("x")),
        Submit(Address("1"), UserData.of("x"), service_centre_address=address),
    ):
        with pytest.raises(
            PduError, match=r"^address\.type_of_address: type \d with plan \d+ does not exist$"
        ):
            encode(submit)


def test_addresses_compare_by_value():
    """Equal numbers with different types are different: 000 and +000 are not the same sender."""
    assert Address("000") != Address("000", INTERNATIONAL)
    assert len({Address("000"), Address.parse("000"), Address("000", NATIONAL)}) == 2
