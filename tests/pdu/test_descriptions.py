"""Descriptions of field values: each known value, and the first and last of each range."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pdu import (
    Address,
    EnhancedValidity,
    InformationElement,
    NumberingPlan,
    RelativeValidity,
    Timestamp,
    TypeOfNumber,
    descriptions,
)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ([0x00], "normal message"),
        ([0x01, 0x1F], "no telematic interworking"),
        ([0x20, 0x23, 0x30, 0x3F], "telematic interworking"),
        ([0x21], "telex"),
        ([0x22], "fax group 3"),
        ([0x24], "voice telephone"),
        ([0x31], "X.400"),
        ([0x32], "e-mail"),
        ([0x40], "type 0: acknowledged, neither shown nor stored"),
        ([0x41], "replaces a stored message of type 1"),
        ([0x47], "replaces a stored message of type 7"),
        ([0x48], "device triggering"),
        ([0x49, 0x5D, 0x60, 0x7B, 0x80, 0xBF], "reserved"),
        ([0x5E], "enhanced message service"),
        ([0x5F], "return call"),
        ([0x7C], "ANSI-136 R-DATA"),
        ([0x7D], "data download to the device"),
        ([0x7E], "de-personalisation of the device"),
        ([0x7F], "data download to the SIM"),
        ([0xC0, 0xFF], "specific to the service centre"),
    ],
)
def test_protocol_identifier_has_description(octets, expected):
    """TP-PID, 9.2.3.9."""
    assert {descriptions.describe_protocol_identifier(octet) for octet in octets} == {expected}


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        ([0], "enquiry"),
        ([1], "cancel the report request"),
        ([2], "delete the message"),
        ([3], "enable the report request"),
        ([4, 0x1F, 0x20, 0xDF], "reserved"),
        ([0xE0, 0xFF], "specific to the service centre"),
    ],
)
def test_command_type_has_description(octets, expected):
    """TP-CT, 9.2.3.19."""
    assert {descriptions.describe_command_type(octet) for octet in octets} == {expected}


@pytest.mark.parametrize(
    ("octet", "expected"),
    [
        (0x00, "GSM 7-bit"),
        (0x04, "8-bit data"),
        (0x08, "UCS-2"),
        (0x0C, "GSM 7-bit, a reserved coding"),
        (0x10, "GSM 7-bit, class 0, immediate display"),
        (0x15, "8-bit data, class 1, device"),
        (0x1A, "UCS-2, class 2, SIM"),
        (0x33, "GSM 7-bit, compressed, class 3, terminal"),
        (0x40, "GSM 7-bit, to be deleted after reading"),
        (0x80, "GSM 7-bit, a reserved coding"),
        (0xC0, "GSM 7-bit, voicemail no longer waiting, not to be stored"),
        (0xD9, "GSM 7-bit, fax waiting, to be stored"),
        (0xEA, "UCS-2, email waiting, to be stored"),
        (0xC3, "GSM 7-bit, other no longer waiting, not to be stored"),
        (0xF7, "8-bit data, class 3, terminal"),
        (0xF8, "GSM 7-bit, class 0, immediate display, a reserved coding"),
    ],
)
def test_data_coding_scheme_has_description(octet, expected):
    """TP-DCS, 23.038 clause 4."""
    assert descriptions.describe_coding_scheme(octet) == expected


@pytest.mark.parametrize(
    ("period", "expected"),
    [
        (RelativeValidity.of(timedelta(hours=24)), "1 day, 0:00:00"),
        (Timestamp(bytes.fromhex("6220304050600A")), "until 2026-02-03 04:05:06-05:00"),
        (Timestamp(bytes(7)), "until no date"),
        (EnhancedValidity(bytes.fromhex("00000000000000")), "no period"),
        (EnhancedValidity(bytes.fromhex("40000000000000")), "no period, one attempt only"),
        (EnhancedValidity(bytes.fromhex("02050000000000")), "0:00:05"),
        (EnhancedValidity(bytes.fromhex("43102030000000")), "1:02:03, one attempt only"),
    ],
)
def test_validity_period_has_description(period, expected):
    """TP-VP in its three formats, 9.2.3.12."""
    assert descriptions.describe_validity_period(period) == expected


@pytest.mark.parametrize(
    ("identifier", "data", "expected"),
    [
        (0x00, "2A0201", "concatenation, 8-bit reference: part 1 of 2, reference 42"),
        (0x00, "2A0202", "concatenation, 8-bit reference: part 2 of 2, reference 42"),
        (0x00, "2A0203", "concatenation, 8-bit reference: part 3 of 2, reference 42: invalid, ignored"),
        (0x00, "2A0200", "concatenation, 8-bit reference: part 0 of 2, reference 42: invalid, ignored"),
        (0x00, "2A02", "concatenation, 8-bit reference"),
        (0x01, "8003", "special SMS message indication: 3 voicemail, to be stored"),
        (0x01, "0201", "special SMS message indication: 1 email, not to be stored"),
        (0x04, "0102", "application ports, 8-bit: destination 1, source 2"),
        (0x05, "0B8423F0", "application ports, 16-bit: destination 2948, source 9200"),
        (0x06, "00", "service centre control"),
        (0x07, "01", "header source"),
        (0x08, "01000201", "concatenation, 16-bit reference: part 1 of 2, reference 256"),
        (0x09, "", "wireless control message protocol"),
        (0x20, "05", "e-mail header"),
        (0x21, "", "hyperlink"),
        (0x22, "", "reply address"),
        (0x23, "", "enhanced voice mail"),
        (0x24, "01", "national language, single shift: Turkish"),
        (0x25, "0D", "national language, locking shift: Urdu"),
        (0x25, "0E", "national language, locking shift"),
        (0x70, "00", "unknown to the codec"),
    ],
)
def test_information_element_has_description(identifier, data, expected):
    """9.2.3.24; the value is described if the codec knows the element."""
    assert descriptions.describe_element(InformationElement(identifier, bytes.fromhex(data))) == expected


LANGUAGES = (
    *("Turkish", "Spanish", "Portuguese", "Bengali", "Gujarati", "Hindi", "Kannada"),
    *("Malayalam", "Oriya", "Punjabi", "Tamil", "Telugu", "Urdu"),
)


@pytest.mark.parametrize("code", range(1, 14))
def test_national_language_has_description(code):
    """23.038 6.2.1.2.4."""
    for identifier in (0x24, 0x25):
        expected = descriptions.describe_element(InformationElement(identifier, bytes((code,))))
        assert expected.endswith(f" shift: {LANGUAGES[code - 1]}")


@pytest.mark.parametrize(
    ("address", "kind", "number"),
    [
        (Address("000"), "unknown number, ISDN plan", "000"),
        (Address.parse("+1415"), "international number, ISDN plan", "+1415"),
        (
            Address("CO-OP", TypeOfNumber.ALPHANUMERIC, NumberingPlan.UNKNOWN),
            "alphanumeric number, unknown plan",
            "'CO-OP'",
        ),
        (
            Address("1", TypeOfNumber.NETWORK_SPECIFIC, NumberingPlan.SERVICE_CENTRE_5),
            "network specific number, service centre 5 plan",
            "1",
        ),
    ],
)
def test_address_has_description(address, kind, number):
    """Type and plan, and the number as written; an alphanumeric address in quotes."""
    assert descriptions.describe_type_of_address(address) == kind
    assert descriptions.describe_number(address) == number
