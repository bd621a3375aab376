"""Encoding of messages, and the errors of values that do not fit."""

from __future__ import annotations

import pytest

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
    UserData,
    encode,
)

TO = Address("000")
NOW = Timestamp(bytes.fromhex("62203040506000"))
OK = UserData.of("ok")


@pytest.mark.parametrize(
    ("number", "content", "digits", "length"),
    [
        ("000", "[21,5 €]", "000100038100F000000B1B9E2CC6AA8136E58D0F", 19),
        ("2936", "ok", "00010004819263000002EF35", 11),
        ("+14155550100", "°", "0001000B914151550501F000080200B0", 15),
        (
            "2936",
            bytes(range(140)),
            "000100048192630004 8C".replace(" ", "") + bytes(range(140)).hex().upper(),
            149,
        ),
    ],
)
def test_content_and_number_become_a_submit(number, content, digits, length):
    """The data coding scheme follows from the user data."""
    encoded = encode(Submit(Address.parse(number), UserData.of(content)))
    assert (encoded.hex, encoded.length) == (digits, length)


def test_data_coding_scheme_can_be_set():
    """It may have a class or automatic deletion, if its alphabet is that of the user data."""
    assert Submit(TO, UserData.of("°")).data_coding_scheme == 8
    assert encode(Submit(TO, UserData.of("°"), data_coding_scheme=0x18)).octets[8] == 0x18
    assert encode(Submit(TO, OK, data_coding_scheme=0xF2)).octets[8] == 0xF2


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Submit(TO, OK, message_reference=256), "submit.message_reference"),
        (Submit(TO, OK, message_reference=-1), "submit.message_reference"),
        (Submit(TO, OK, protocol_identifier=256), "submit.protocol_identifier"),
        (Submit(TO, OK, data_coding_scheme=4), "submit.data_coding_scheme"),
        (Submit(TO, OK, data_coding_scheme=256), "submit.data_coding_scheme"),
        (Submit(TO, OK, data_coding_scheme=-1), "submit.data_coding_scheme"),
        (Submit(TO, OK, data_coding_scheme=-256), "submit.data_coding_scheme"),
        (Submit(TO, OK, data_coding_scheme=-257), "submit.data_coding_scheme"),
        (Submit(TO, OK, data_coding_scheme=0x20), "submit.data_coding_scheme"),
        (Submit(TO, UserData.of("°"), data_coding_scheme=0), "submit.data_coding_scheme"),
        (Submit(Address("x"), OK), "submit.destination_address.number"),
        (Submit(TO, OK, service_centre_address=Address("x")), "service_centre_address.number"),
        (Submit(TO, OK, validity_period=RelativeValidity(256)), "submit.validity_period"),
        (Submit(TO, OK, validity_period=RelativeValidity(-1)), "submit.validity_period"),
        (Submit(TO, OK, validity_period=EnhancedValidity(b"")), "submit.validity_period"),
        (Submit(TO, OK, validity_period=EnhancedValidity(b"\x04" + bytes(6))), "submit.validity_period"),
        (Submit(TO, OK, validity_period=Timestamp(b"")), "submit.validity_period"),
        (Submit(TO, UserData(b"\xef", 2, Alphabet.GSM7)), "submit.user_data.length"),
        (Submit(TO, UserData(b"\xef\x35", 3)), "submit.user_data.length"),
        (Submit(TO, UserData(b"", -1, Alphabet.GSM7)), "submit.user_data.length"),
        (Submit(TO, UserData(bytes(141), 141)), "submit.user_data"),
        (Submit(TO, UserData(bytes(256), 256)), "submit.user_data"),
        (Submit(TO, UserData(bytes(141), 161, Alphabet.GSM7)), "submit.user_data"),
        (Deliver(TO, Timestamp(b"123456"), OK), "deliver.service_centre_timestamp"),
        (Deliver(TO, NOW, UserData(bytes(141), 141)), "deliver.user_data"),
        (StatusReport(0, TO, NOW, NOW, 0, user_data=UserData(bytes(144), 144)), "status_report.user_data"),
        (DeliverReport(user_data=UserData(bytes(160), 160)), "deliver_report.user_data"),
        (SubmitReport(NOW, 0x80, user_data=UserData(bytes(152), 152)), "submit_report.user_data"),
        (Deliver(TO, NOW, OK, spare_bits=0x04), "deliver.spare_bits"),
        (Deliver(TO, NOW, OK, protocol_identifier=300), "deliver.protocol_identifier"),
        (StatusReport(256, TO, NOW, NOW, 0), "status_report.message_reference"),
        (StatusReport(0, TO, NOW, NOW, 256), "status_report.status"),
        (StatusReport(0, TO, NOW, Timestamp(b""), 0), "status_report.discharge_time"),
        (StatusReport(0, TO, NOW, NOW, 0, spare_bits=0x20), "status_report.spare_bits"),
        (StatusReport(0, TO, NOW, NOW, 0, user_data=OK, spare_bits=0x40), "status_report.spare_bits"),
        (StatusReport(0, TO, NOW, NOW, 0, parameter_indicator=1), "status_report.parameter_indicator"),
        (
            StatusReport(0, TO, NOW, NOW, 0, user_data=OK, parameter_indicator=None),
            "status_report.parameter_indicator",
        ),
        (StatusReport(0, TO, NOW, NOW, 0, parameter_indicator=256), "status_report.parameter_indicator"),
        (StatusReport(0, TO, NOW, NOW, 0, more_indicators=b"\x00"), "status_report.more_indicators"),
        (
            StatusReport(0, TO, NOW, NOW, 0, parameter_indicator=0, more_indicators=b"\x00"),
            "status_report.more_indicators",
        ),
        (StatusReport(0, TO, NOW, NOW, 0, parameter_indicator=0x80), "status_report.more_indicators"),
        (DeliverReport(0x7F), "deliver_report.failure_cause"),
        (
            DeliverReport(parameter_indicator=0x80, more_indicators=b"\0"),
            "deliver_report.parameter_indicator",
        ),
        (DeliverReport(256), "deliver_report.failure_cause"),
        (DeliverReport(protocol_identifier=256), "deliver_report.protocol_identifier"),
        (DeliverReport(spare_bits=1), "deliver_report.spare_bits"),
        (DeliverReport(0x80, user_data=UserData(bytes(159), 159)), "deliver_report.user_data"),
        (SubmitReport(Timestamp(b"")), "submit_report.service_centre_timestamp"),
        (SubmitReport(NOW, user_data=UserData(bytes(153), 153)), "submit_report.user_data"),
        (CommandTpdu(TO, 256), "command.command_type"),
        (CommandTpdu(TO, 0, 256), "command.message_number"),
        (CommandTpdu(TO, 0, spare_bits=0x20), "command.spare_bits"),
        (CommandTpdu(TO, 0, user_data=UserData(bytes(157), 157)), "command.user_data"),
        (CommandTpdu(TO, 0, user_data=OK), "command.data_coding_scheme"),
    ],
)
def test_value_that_does_not_fit_raises(message, field):
    """The error has the field, and no octet."""
    with pytest.raises(PduError) as caught:
        encode(message)
    assert (caught.value.field, caught.value.octet) == (field, None)
    assert str(caught.value) == f"{field}: {caught.value.reason}"


@pytest.mark.parametrize(
    "message",
    [
        DeliverReport(user_data=UserData(bytes(159), 159)),
        DeliverReport(0x80, user_data=UserData(bytes(158), 158)),
        SubmitReport(NOW, user_data=UserData(bytes(152), 152)),
        SubmitReport(NOW, 0x80, user_data=UserData(bytes(151), 151)),
        StatusReport(0, TO, NOW, NOW, 0, user_data=UserData(bytes(143), 143)),
        CommandTpdu(TO, 0, user_data=UserData(bytes(156), 156)),
    ],
)
def test_each_type_has_its_own_size_limit(message):
    """The limits of the user data are those of 23.040 9.2.2."""
    assert encode(message).octets.endswith(message.user_data.octets)


def test_parameter_indicator_is_derived():
    """It follows from the fields that are present."""
    assert DeliverReport().parameter_indicator == 0
    assert DeliverReport(protocol_identifier=0).parameter_indicator == 1
    assert DeliverReport(user_data=OK).parameter_indicator == 6
    assert DeliverReport(user_data=OK, data_coding_scheme=None).parameter_indicator == 4
    assert StatusReport(0, TO, NOW, NOW, 0).parameter_indicator is None
    assert StatusReport(0, TO, NOW, NOW, 0, data_coding_scheme=0).parameter_indicator == 2
