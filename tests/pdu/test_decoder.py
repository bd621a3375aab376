"""Decoding of messages, and the errors of octets that are not a message."""

from __future__ import annotations

from datetime import timedelta

import pytest

import pdu
from pdu import (
    Address,
    Alphabet,
    CommandTpdu,
    Deliver,
    DeliverReport,
    EnhancedValidity,
    PduError,
    RelativeValidity,
    StatusReport,
    Submit,
    SubmitReport,
    Timestamp,
    TypeOfNumber,
    UserData,
    decode,
    encode,
)

CENTRE = Address("14155550100", TypeOfNumber.INTERNATIONAL)
SENT = Timestamp(bytes.fromhex("6220304050600A"))
DONE = Timestamp(bytes.fromhex("6220304050800A"))
OK = UserData(bytes.fromhex("EF35"), 2, Alphabet.GSM7)
PART = UserData(bytes.fromhex("0500032A02019069"), 9, Alphabet.GSM7, has_header=True)
DATA = UserData(b"\xff", 1)

MESSAGES = [  # direction, digits, message; both ways
    (
        "mt",
        "07914151550501F0 04 038100F0 00 00 6220304050600A 02 EF35",
        Deliver(Address("000"), SENT, OK, service_centre_address=CENTRE),
    ),
    (
        "mt",
        "00 44 049192 63 41 10 6220304050600A 09 0500032A02019069",
        Deliver(
            Address("2936", TypeOfNumber.INTERNATIONAL),
            SENT,
            PART,
            data_coding_scheme=0x10,
            protocol_identifier=0x41,
        ),
    ),
    (
        "mt",
        "00 B8 038100F0 00 00 6220304050600A 00",
        Deliver(
            Address("000"),
            SENT,
            UserData(b"", 0, Alphabet.GSM7),
            more_messages=True,
            loop_prevention=True,
            status_report_indication=True,
            reply_path=True,
            spare_bits=0x10,
        ),
    ),
    (  # a reserved type from the network reads as a DELIVER and is kept
        "mt",
        "00 07 038100F0 00 04 6220304050600A 01 FF",
        Deliver(Address("000"), SENT, DATA, spare_bits=3),
    ),
    ("mo", "00 01 00 038100F0 00 00 02 EF35", Submit(Address("000"), OK)),
    (
        "mo",
        "00 B5 2A 04819263 00 00 A7 02 EF35",
        Submit(
            Address("2936"),
            OK,
            message_reference=42,
            validity_period=RelativeValidity.of(timedelta(days=1)),
            reject_duplicates=True,
            status_report_request=True,
            reply_path=True,
        ),
    ),
    (
        "mo",
        "07914151550501F0 19 00 04819263 00 04 6220304050600A 01 FF",
        Submit(Address("2936"), DATA, validity_period=SENT, service_centre_address=CENTRE),
    ),
    (
        "mo",
        "00 49 00 04819263 00 00 42050000000000 09 0500032A02019069",
        Submit(Address("2936"), PART, validity_period=EnhancedValidity(bytes.fromhex("42050000000000"))),
    ),
    (
        "mt",
        "00 06 2A 04819263 6220304050600A 6220304050800A 46",
        StatusReport(42, Address("2936"), SENT, DONE, 0x46),
    ),
    (  # TP-PI that announces nothing is kept
        "mt",
        "00 06 2A 04819263 6220304050600A 6220304050800A 46 00",
        StatusReport(42, Address("2936"), SENT, DONE, 0x46, parameter_indicator=0),
    ),
    (
        "mt",
        "00 6A 2A 04819263 6220304050600A 6220304050800A 00 07 7F 00 09 0500032A02019069",
        StatusReport(
            42,
            Address("2936"),
            SENT,
            DONE,
            0,
            protocol_identifier=0x7F,
            user_data=PART,
            more_messages=True,
            loop_prevention=True,
            on_command=True,
        ),
    ),
    (  # user data without TP-DCS are GSM 7-bit; reserved bits and an extension of TP-PI are kept
        "mt",
        "00 D6 2A 04819263 6220304050600A 6220304050800A 00 9C 80 01 02 EF35",
        StatusReport(
            42,
            Address("2936"),
            SENT,
            DONE,
            0,
            user_data=UserData(OK.octets, 2, Alphabet.GSM7, has_header=True),
            data_coding_scheme=None,
            parameter_indicator=0x9C,
            more_indicators=b"\x80\x01",
            spare_bits=0x90,
        ),
    ),
    ("mo", "00 00 00", DeliverReport()),
    ("mo", "00 00 D3 00", DeliverReport(0xD3)),
    ("mo", "00 00 07 7F 00 02 EF35", DeliverReport(protocol_identifier=0x7F, user_data=OK)),
    ("mo", "00 40 81 01 7F", DeliverReport(0x81, protocol_identifier=0x7F, spare_bits=0x40)),
    ("mt", "00 01 00 6220304050600A", SubmitReport(SENT)),
    ("mt", "00 01 C4 00 6220304050600A", SubmitReport(SENT, 0xC4)),
    ("mt", "00 41 06 6220304050600A 00 09 0500032A02019069", SubmitReport(SENT, user_data=PART)),
    ("mt", "00 01 02 6220304050600A 04", SubmitReport(SENT, data_coding_scheme=4)),
    ("mo", "00 22 01 00 00 05 038100F0 00", CommandTpdu(Address("000"), 0, 5, 1, status_report_request=True)),
    (
        "mo",
        "00 42 03 7F 02 01 038100F0 04 0270 00 AA",
        CommandTpdu(Address("000"), 2, 1, 3, 0x7F, UserData(bytes.fromhex("027000AA"), 4, has_header=True)),
    ),
]
IDS = [digits[:32] for _, digits, _ in MESSAGES]


@pytest.mark.parametrize(("direction", "digits", "message"), MESSAGES, ids=IDS)
def test_messages_round_trip(direction, digits, message):
    """All six types with every field and flag decode and encode, as digits of either case and as octets."""
    octets = bytes.fromhex(digits)
    assert decode(octets.hex(), direction=direction) == message
    assert decode(octets.hex().upper(), direction=direction) == message
    assert decode(octets, direction=direction) == message
    encoded = encode(message)
    assert encoded.octets == octets
    assert encoded.hex == octets.hex().upper()
    assert encoded.length == len(octets) - 1 - octets[0]


@pytest.mark.parametrize(("direction", "digits", "message"), MESSAGES, ids=IDS)
def test_message_without_service_centre_address_round_trips(direction, digits, message):
    """With sca=False the length is the same, both ways."""
    octets = bytes.fromhex(digits)
    bare = octets[1 + octets[0] :]
    assert decode(bare, direction=direction, sca=False) == message.replace(service_centre_address=None)
    assert encode(message, sca=False).octets == bare
    assert encode(message, sca=False).length == len(bare)


@pytest.mark.parametrize(("direction", "digits", "message"), MESSAGES, ids=IDS)
def test_octets_after_last_field_are_ignored(direction, digits, message):
    """A SIM record is filled with FF; after a status report without TP-PI only FF is allowed."""
    for fill in ("FF", "FF" * 100, "00", "0701"):
        open_end = isinstance(message, StatusReport) and message.parameter_indicator is None
        if fill[:2] == "FF" or not open_end:
            assert decode(bytes.fromhex(digits + fill), direction=direction) == message


@pytest.mark.parametrize(("direction", "digits", "message"), MESSAGES, ids=IDS)
def test_truncated_message_raises_at_its_end(direction, digits, message):
    """The error has the missing field and the offset of the end of the octets."""
    octets = bytes.fromhex(digits)
    for end in range(len(octets)):
        if (
            isinstance(message, StatusReport)
            and octets[:end]
            == encode(
                message.replace(
                    user_data=None,
                    protocol_identifier=None,
                    data_coding_scheme=None,
                    parameter_indicator=None,
                    more_indicators=b"",
                    spare_bits=octets[1] & 0xD0,
                )
            ).octets
        ):
            continue  # whole without its optional fields
        with pytest.raises(PduError) as caught:
            decode(octets[:end], direction=direction)
        assert caught.value.octet == end
        assert caught.value.field
        assert f"at octet {end}: " in str(caught.value)


@pytest.mark.parametrize(
    ("direction", "digits", "field", "octet"),
    [
        ("mt", "", "service_centre_address.length", 0),
        ("mt", "0791", "service_centre_address.number", 2),
        ("mt", "00", "first_octet", 1),
        ("mt", "00 04", "deliver.originating_address.length", 2),
        ("mt", "00 04 15", "deliver.originating_address.type_of_address", 3),
        ("mt", "00 04 15 81 00", "deliver.originating_address.length", 2),
        ("mt", "00 04 03 81 00", "deliver.originating_address.number", 5),
        ("mt", "00 04 038100F0", "deliver.protocol_identifier", 6),
        ("mt", "00 04 038100F0 00", "deliver.data_coding_scheme", 7),
        ("mt", "00 04 038100F0 0000 6220", "deliver.service_centre_timestamp", 10),
        ("mt", "00 04 038100F0 0000 62203040506000", "deliver.user_data.length", 15),
        ("mt", "00 04 038100F0 0000 62203040506000 02 EF", "deliver.user_data", 17),
        ("mo", "00 01", "submit.message_reference", 2),
        ("mo", "00 01 00", "submit.destination_address.length", 3),
        ("mo", "00 01 00 038100F0", "submit.protocol_identifier", 7),
        ("mo", "00 01 00 038100F0 00", "submit.data_coding_scheme", 8),
        ("mo", "00 11 00 038100F0 0000", "submit.validity_period", 9),
        ("mo", "00 19 00 038100F0 0000 62", "submit.validity_period", 10),
        ("mo", "00 01 00 038100F0 0000", "submit.user_data.length", 9),
        ("mo", "00 09 00 038100F0 0000 07000000000000 00", "submit.validity_period", 9),
        ("mo", "00 01 00 038100F0 0004 8C", "submit.user_data", 10),
        ("mt", "00 06", "status_report.message_reference", 2),
        ("mt", "00 06 00 038100F0 00", "status_report.service_centre_timestamp", 8),
        ("mt", "00 06 00 038100F0 62203040506000 00", "status_report.discharge_time", 15),
        ("mt", "00 06 00 038100F0 62203040506000 62203040506000", "status_report.status", 21),
        (
            "mt",
            "00 06 00 038100F0 62203040506000 62203040506000 00 07 00",
            "status_report.data_coding_scheme",
            24,
        ),
        ("mt", "00 06 00 038100F0 62203040506000 62203040506000 00 04", "status_report.user_data.length", 23),
        (
            "mt",
            "00 06 00 038100F0 62203040506000 62203040506000 00 80",
            "status_report.parameter_indicator",
            23,
        ),
        ("mo", "00 00", "deliver_report.parameter_indicator", 2),
        ("mo", "00 00 D3", "deliver_report.parameter_indicator", 3),
        ("mo", "00 00 01", "deliver_report.protocol_identifier", 3),
        ("mt", "00 01 D3", "submit_report.parameter_indicator", 3),
        ("mt", "00 01 00 62", "submit_report.service_centre_timestamp", 4),
        ("mo", "00 02 01 02", "command.command_type", 4),
        ("mo", "00 02 01 02 03 04", "command.destination_address.length", 6),
        ("mo", "00 02 01 02 03 04 038100F0", "command.user_data.length", 10),
        ("mo", "00 02 01 02 03 04 038100F0 02 00", "command.user_data", 12),
        ("mo", "00 03 00 00", "first_octet", 1),
    ],
)
def test_error_has_field_and_octet(direction, digits, field, octet):
    """The field is the dotted name from 23.040, the octet the offset in the given octets."""
    with pytest.raises(PduError) as caught:
        decode(bytes.fromhex(digits), direction=direction)
    assert (caught.value.field, caught.value.octet) == (field, octet)
    assert str(caught.value) == f"{field} at octet {octet}: {caught.value.reason}"


@pytest.mark.parametrize(
    ("digits", "reason"),
    [
        ("00 04 038100F0 00 00 622030405060", "it is truncated: 6 of 7 octets are present"),
        ("00 04 038100F0 00 00", "the message ends before it"),
        ("00 04 038100F0 00 00 62203040506000 03 EF35", "3 octets are announced, but 2 are present"),
        ("00 04 038100", "2 octets are announced, but 1 are present"),
        ("00 04 15810000", "the length is 21 digits, but an address has at most 20"),
        ("05 91 2143", "5 octets are announced, but 3 are present"),
        ("0C 91" + "21" * 11, "the length is 12 octets, but an address has at most 11"),
    ],
)
def test_error_has_missing_size(digits, reason):
    """The reason gives the announced and the present size."""
    with pytest.raises(PduError) as caught:
        decode(digits)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("digits", "octet"),
    [
        ("0", 0),
        ("07914", 2),
        ("0791G1", 2),
        ("é0", 0),
        ("07 91 4", 2),
        ("0x00", 0),
        ("AFSDSDF LJJF", 1),
        ("\u0660\u0660", 0),
    ],
)
def test_invalid_hexadecimal_raises(digits, octet):
    """The error is at the first invalid octet."""
    with pytest.raises(PduError) as caught:
        decode(digits)
    assert (caught.value.field, caught.value.octet) == ("hex", octet)


def test_white_space_between_digits_is_ignored():
    """Users paste digits from traces."""
    assert decode(" 00 01\n00 038100F0 00 00 02 EF35\r\n", direction="mo") == Submit(Address("000"), OK)


def test_bytes_like_objects_are_accepted():
    """bytearray and memoryview work like bytes."""
    octets = bytes.fromhex("0001 00 038100F0 00 00 02 EF35")
    assert decode(bytearray(octets), direction="mo") == decode(memoryview(octets), direction="mo")


@pytest.mark.parametrize("number", [0, 20])
def test_integer_is_not_accepted(number):
    """``bytes(20)`` would be 20 zeros, which are a valid message."""
    with pytest.raises(TypeError, match="bytes-like"):
        decode(number)


def test_unknown_direction_raises():
    """It is a mistake of the program, so it is a ValueError and not a PduError."""
    with pytest.raises(ValueError, match="direction"):
        decode("00 04", direction="up")


@pytest.mark.parametrize("coding", range(256))
def test_every_data_coding_scheme_is_decoded(coding):
    """Reserved ones count as GSM 7-bit with a length in septets, compressed ones as octets."""
    packed = pdu.DataCoding(coding).alphabet is Alphabet.GSM7 and not pdu.DataCoding(coding).compressed
    octets = bytes.fromhex("00 04 038100F0 00") + bytes((coding,)) + bytes.fromhex("62203040506000 08")
    content = b"\x00A" * 4
    message = decode(octets + (content[:7] if packed else content))
    assert message.coding == pdu.DataCoding(coding)
    assert (message.text is None) == (
        pdu.DataCoding(coding).alphabet is Alphabet.OCTETS or pdu.DataCoding(coding).compressed
    )
    assert message.data == (content if message.text is None else None)
    assert encode(message).octets == octets + (content[:7] if packed else content)


def test_message_has_content_shortcuts():
    """text, data, concatenation and coding work on the message; without user data they are None."""
    message = decode("00 44 038100F0 00 00 62203040506000 09 0500032A02019069")
    assert (message.text, message.data) == ("Hi", None)
    assert message.concatenation == pdu.Concatenation(42, 2, 1)
    report = DeliverReport()
    assert (report.text, report.data, report.concatenation) == (None, None, None)
    assert report.coding == pdu.DataCoding(0)


def test_match_distinguishes_the_types():
    """Code that receives messages uses match."""
    match decode("00 04 038100F0 00 00 62203040506000 02 EF35"):
        case Deliver(originating_address=Address("000"), user_data=UserData(length=2)):
            pass
        case other:
            pytest.fail(repr(other))
