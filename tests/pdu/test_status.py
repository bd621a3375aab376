"""TP-Status of status reports: 3GPP TS 23.040 clause 9.2.3.15."""

from __future__ import annotations

import pytest

from pdu import Address, DeliveryOutcome, StatusReport, Timestamp
from pdu.status import FAILURE_CAUSE_NAMES, STATUS_NAMES, classify_status, describe_status

OUTCOMES = [
    (range(0x03), DeliveryOutcome.DELIVERED),
    (range(0x03, 0x10), DeliveryOutcome.GAVE_UP),
    (range(0x10, 0x20), DeliveryOutcome.DELIVERED),
    (range(0x20, 0x26), DeliveryOutcome.TRYING),
    (range(0x26, 0x30), DeliveryOutcome.GAVE_UP),
    (range(0x30, 0x40), DeliveryOutcome.TRYING),
    (range(0x40, 0x4A), DeliveryOutcome.FAILED),
    (range(0x4A, 0x50), DeliveryOutcome.GAVE_UP),
    (range(0x50, 0x60), DeliveryOutcome.FAILED),
    (range(0x60, 0x100), DeliveryOutcome.GAVE_UP),
]


@pytest.mark.parametrize(("values", "expected"), OUTCOMES)
def test_each_status_has_an_outcome(values, expected):
    """All 256 values have outcome; reserved values count as service rejected: the service centre gave up."""
    for value in values:
        assert classify_status(value) is expected
        report = StatusReport(1, Address("000"), Timestamp(bytes(7)), Timestamp(bytes(7)), value)
        assert report.outcome is expected


def test_only_trying_is_not_final():
    """No other report follows any other outcome."""
    assert [outcome.final for outcome in DeliveryOutcome] == [
        outcome is not DeliveryOutcome.TRYING for outcome in DeliveryOutcome
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0x00, "received by the recipient"),
        (0x25, "error in the recipient"),
        (0x46, "validity period expired"),
        (0x63, "service rejected"),
        (0x15, "specific to the service centre"),
        (0x75, "specific to the service centre"),
        (0x03, "reserved, counts as service rejected"),
        (0x95, "reserved, counts as service rejected"),
    ],
)
def test_status_has_description(status, words):
    """The descriptions are for logs and traces."""
    assert describe_status(status) == words


def test_described_values_are_those_of_the_standard():
    """TP-ST, 9.2.3.15, and TP-FCS, 9.2.3.22."""
    assert sorted(STATUS_NAMES) == [*range(3), *range(0x20, 0x26), *range(0x40, 0x4A), *range(0x60, 0x66)]
    causes = "80 81 82 8F 90 91 9F A0 A1 AF B0 C0 C1 C2 C3 C4 C5 C6 C7 D0 D1 D2 D3 D4 D5 FF"
    assert bytes(sorted(FAILURE_CAUSE_NAMES)) == bytes.fromhex(causes)
    assert FAILURE_CAUSE_NAMES[0xC5] == "duplicate rejected"
    assert FAILURE_CAUSE_NAMES[0xD0] == "SIM storage full"
    assert FAILURE_CAUSE_NAMES[0xD3] == "memory capacity exceeded"
