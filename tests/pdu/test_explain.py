"""Explanation of a message octet by octet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pdu import PduError, decode
from pdu.explain import explain, render

EXPLAINED = Path(__file__).with_name("explained.txt")
VECTORS = Path(__file__).parents[1] / "data" / "vectors.jsonl"
MESSAGES = [
    vector
    for vector in map(json.loads, VECTORS.read_text(encoding="utf-8").splitlines())
    if vector["direction"] is not None
]


@pytest.mark.parametrize("vector", MESSAGES, ids=[vector["id"] for vector in MESSAGES])
def test_rows_cover_every_octet_in_order(vector):
    """For valid and invalid messages the rows have no gaps, and the error is that of decode."""
    digits, direction, sca = vector["hex"], vector["direction"], vector["sca"]
    explanation = explain(digits, direction=direction, sca=sca)
    error = None
    try:
        decode(digits, direction=direction, sca=sca)
    except PduError as caught:
        error = caught
    assert repr(explanation.error) == repr(error)
    if error is not None and error.field == "hex":
        assert explanation.rows == ()
        return
    whole = [row for row in explanation.rows if row.bit_mask == 0xFF]
    assert b"".join(row.octets for row in whole) == bytes.fromhex(digits)
    at = 0
    for row in whole:
        assert row.offset == at
        at += len(row.octets)
    assert render(explanation)
    if error is None:
        assert explanation.kind.removeprefix("SMS-").lower().replace("-", "_") == vector["kind"]
        assert explanation.length
        text = vector["expect"].get("text")
        if text is not None:
            (meaning,) = [row.meaning for row in explanation.rows if row.name == "user_data.text"]
            assert meaning.startswith(repr(text))


def test_truncated_message_is_explained_to_its_end():
    """The rows cover all given octets, and the error is that of decode."""
    for digits, direction in (
        ("07914151550501F044038100F00000622030405060000905 00032A02019069", "mt"),
        ("0059 00 04819263 00 04 01A70000000000 03 027000", "mo"),
        ("00 66 2A 04819263 6220304050600A 6220304050800A 00 07 7F 00 09 0500032A02019069", "mt"),
        ("00 01 C4 07 6220304050600A 7F 04 01 FF", "mt"),
        ("00 42 03 7F 02 01 038100F0 04 027000AA", "mo"),
        ("00 D3 07 7F 04 01 FF", "mo"),
    ):
        octets = bytes.fromhex(digits)
        for end in range(len(octets) + 1):
            explanation = explain(octets[:end], direction=direction)
            shown = b"".join(row.octets for row in explanation.rows if row.bit_mask == 0xFF)
            assert shown == octets[:end]
            if end < len(octets) and not (digits.startswith("00 66") and end == 22):
                assert explanation.error is not None
                assert explanation.length == 0


def rendered(digits, **options):
    return "\n".join(render(explain(digits, **options)))


def test_part_is_rendered_with_all_fields():
    """Fields have octets, abbreviation, name and meaning; flags are bits, SIM fill is separate."""
    digits = "07914151550501F0 44 038100F0 00 00 62203040506000 09 0500032A02019069 FFFF"
    assert rendered(digits).splitlines() == EXPLAINED.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("digits", "options", "words"),
    [
        ("00 04 038100F0 00 00 62203040506000 29 EC3219F4768390", {}, "'led on H', truncated"),
        ("00 04 038100F0 00 04 62203040506000 03 01", {}, "1 octets, truncated"),
        ("00 04 038100F0 00 20 62203040506000 01 01", {}, "compressed, not read"),
        ("00 44 038100F0 00 04 62203040506000 06 050004010201", {}, "malformed, ignored"),
        (
            "00 44 038100F0 00 00 62203040506000 09 0500032A02039069",
            {},
            "part 3 of 2, reference 42: invalid, ignored",
        ),
        ("00 44 038100F0 00 04 62203040506000 07 0605040B8423F0", {}, "destination 2948, source 9200"),
        ("00 44 038100F0 00 00 62203040506000 05 032401 03", {}, "single shift: Portuguese"),
        ("00 44 038100F0 00 00 62203040506000 06 0401028002", {}, "indication: 2 voicemail, to be stored"),
        ("00 44 038100F0 00 00 62203040506000 04 027000 00", {}, "unknown to the codec"),
        ("00 04 038100F0 41 D9 62313040506000 00", {}, "GSM 7-bit, fax waiting, to be stored"),
        ("00 04 038100F0 41 D9 62313040506000 00", {}, "replaces a stored message of type 1"),
        ("00 04 038100F0 41 D9 62313040506000 00", {}, "no date"),
        (
            "00 04 06D061F118 00 58 62203040506000 00",
            {},
            "UCS-2, class 0, immediate display, to be deleted after",
        ),
        ("00 04 06D061F118 00 58 62203040506000 00", {}, "'abc'"),
        ("00 04 0080 00 80 62203040506000 00", {}, "a reserved coding"),
        ("00 07 038100F0 00 00 62203040506000 00", {}, "reserved, read as SMS-DELIVER"),
        ("00 06 2A 04819263 62203040506000 62203040506000 46", {}, "failed: validity period expired"),
        ("00 06 2A 04819263 62203040506000 62203040506000 46 80 00", {}, "an extension, not read"),
        ("00 31 2A 04819263 00 00 A7 02 EF35", {"direction": "mo"}, "1 day, 0:00:00"),
        (
            "00 19 2A 04819263 00 00 62203040506000 02 EF35",
            {"direction": "mo"},
            "until 2026-02-03 04:05:06+00:00",
        ),
        ("00 09 2A 04819263 00 00 42050000000000 02 EF35", {"direction": "mo"}, "0:00:05, one attempt only"),
        ("00 D3 00", {"direction": "mo", "sca": False}, "SMS-DELIVER-REPORT"),
        ("00 00 D3 00", {"direction": "mo"}, "memory capacity exceeded"),
        ("00 02 00 00 02 07 038100F0 00", {"direction": "mo"}, "delete the message"),
        ("00 03 00", {"direction": "mo"}, "reserved"),
        ("00 04 038100F0 00 00 62203040506000 00 07", {}, "after the last field, ignored"),
    ],
)
def test_fields_have_meanings(digits, options, words):
    """Values that the codec does not know are marked as such."""
    assert words in rendered(digits, **options)


_CENTRE = " service_centre_address.length"
_TEXT = ["TP-UDL user_data.length", "TP-UD user_data.text"]


def _address(abbreviation, name):
    return [f"{abbreviation} {name}.{part}" for part in ("length", "type_of_address", "number")]


@pytest.mark.parametrize(
    ("direction", "digits", "flags", "fields"),
    [
        (
            "mt",
            "00 04 038100F0 00 00 62203040506000 02 EF35",
            "TP-MTI TP-MMS TP-LP TP-SRI TP-UDHI TP-RP",
            [
                *_address("TP-OA", "originating_address"),
                "TP-PID protocol_identifier",
                "TP-DCS data_coding_scheme",
                "TP-SCTS service_centre_timestamp",
                *_TEXT,
            ],
        ),
        (
            "mo",
            "00 31 2A 04819263 00 00 A7 02 EF35",
            "TP-MTI TP-RD TP-VPF TP-SRR TP-UDHI TP-RP",
            [
                "TP-MR message_reference",
                *_address("TP-DA", "destination_address"),
                "TP-PID protocol_identifier",
                "TP-DCS data_coding_scheme",
                "TP-VP validity_period",
                *_TEXT,
            ],
        ),
        (
            "mt",
            "00 06 2A 04819263 62203040506000 62203040506000 00 87 00 00 00 02 EF35",
            "TP-MTI TP-MMS TP-LP TP-SRQ TP-UDHI",
            [
                "TP-MR message_reference",
                *_address("TP-RA", "recipient_address"),
                "TP-SCTS service_centre_timestamp",
                "TP-DT discharge_time",
                "TP-ST status",
                "TP-PI parameter_indicator",
                "TP-PI more_indicators",
                "TP-PID protocol_identifier",
                "TP-DCS data_coding_scheme",
                *_TEXT,
            ],
        ),
        (
            "mo",
            "00 00 D3 04 02 EF35",
            "TP-MTI TP-UDHI",
            ["TP-FCS failure_cause", "TP-PI parameter_indicator", *_TEXT],
        ),
        (
            "mt",
            "00 01 C3 01 62203040506000 00",
            "TP-MTI TP-UDHI",
            [
                "TP-FCS failure_cause",
                "TP-PI parameter_indicator",
                "TP-SCTS service_centre_timestamp",
                "TP-PID protocol_identifier",
            ],
        ),
        (
            "mo",
            "00 42 01 00 02 07 038100F0 05 0470020102",
            "TP-MTI TP-SRR TP-UDHI",
            [
                "TP-MR message_reference",
                "TP-PID protocol_identifier",
                "TP-CT command_type",
                "TP-MN message_number",
                *_address("TP-DA", "destination_address"),
                "TP-CDL user_data.length",
                "TP-UDHL user_data.header.length",
                "TP-UDH user_data.header.0x70",
                "TP-CD user_data.data",
            ],
        ),
    ],
)
def test_fields_of_each_message_have_standard_names(direction, digits, flags, fields):
    """All six messages are in the order of the octets, with the abbreviations of 23.040."""
    rows = explain(digits, direction=direction).rows
    assert " ".join(row.abbreviation for row in rows if row.bit_mask != 0xFF) == flags
    whole = [f"{row.abbreviation} {row.name}" for row in rows if row.bit_mask == 0xFF]
    assert whole == [_CENTRE, " first_octet", *fields]


def test_control_characters_are_escaped():
    """A message may contain control characters, which must not reach the terminal."""
    text = rendered("00 04 038100F0 00 08 62203040506000 08 001B005B0032 009B")
    assert r"'\x1b[2\x9b'" in text
    assert "\x1b" not in text
    assert "\x9b" not in text


def test_invalid_hexadecimal_has_no_rows():
    """The explanation has only the error."""
    explanation = explain("xyz")
    assert (explanation.kind, explanation.rows, explanation.length) == ("", (), 0)
    assert explanation.error.field == "hex"
