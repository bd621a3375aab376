"""Data coding schemes: 3GPP TS 23.038 clause 4."""

from __future__ import annotations

import pytest

from pdu import Alphabet, DataCoding, MessageClass, WaitingIndication, WaitingKind
from pdu.coding import PACKED

GSM7, OCTETS, UCS2 = Alphabet

CODINGS = [  # octet, alphabet, class, compressed, to be deleted, reserved
    (0x00, GSM7, None, False, False, False),
    (0x01, GSM7, None, False, False, False),  # without bit 4 the low bits have no meaning
    (0x04, OCTETS, None, False, False, False),
    (0x08, UCS2, None, False, False, False),
    (0x0C, GSM7, None, False, False, True),
    (0x10, GSM7, 0, False, False, False),
    (0x15, OCTETS, 1, False, False, False),
    (0x1A, UCS2, 2, False, False, False),
    (0x1F, GSM7, 3, False, False, True),
    (0x20, GSM7, None, True, False, False),
    (0x24, OCTETS, None, True, False, False),
    (0x38, UCS2, 0, True, False, False),
    (0x40, GSM7, None, False, True, False),
    (0x48, UCS2, None, False, True, False),
    (0x70, GSM7, 0, True, True, False),
    (0x80, GSM7, None, False, False, True),
    (0x94, GSM7, None, False, False, True),
    (0xBF, GSM7, None, False, False, True),
    (0xC8, GSM7, None, False, False, False),
    (0xD0, GSM7, None, False, False, False),
    (0xE1, UCS2, None, False, False, False),
    (0xF0, GSM7, 0, False, False, False),
    (0xF3, GSM7, 3, False, False, False),
    (0xF5, OCTETS, 1, False, False, False),
    (0xF8, GSM7, 0, False, False, True),
    (0xFE, OCTETS, 2, False, False, True),
]


@pytest.mark.parametrize(
    ("octet", "alphabet", "message_class", "compressed", "deletion", "reserved"), CODINGS
)
def test_coding_groups_follow_the_standard(octet, alphabet, message_class, compressed, deletion, reserved):
    """Alphabet, class, compression, deletion; what is reserved reads as GSM 7-bit."""
    coding = DataCoding(octet)
    assert coding.alphabet is alphabet
    assert coding.message_class == message_class
    assert coding.compressed is compressed
    assert coding.automatic_deletion is deletion
    assert coding.reserved is reserved
    assert coding.waiting is None or 0xC0 <= octet < 0xF0


@pytest.mark.parametrize(
    ("octet", "indication"),
    [
        (0xC0, WaitingIndication(WaitingKind.VOICEMAIL, active=False, store=False)),
        (0xC9, WaitingIndication(WaitingKind.FAX, active=True, store=False)),
        (0xD2, WaitingIndication(WaitingKind.EMAIL, active=False, store=True)),
        (0xDB, WaitingIndication(WaitingKind.OTHER, active=True, store=True)),
        (0xE8, WaitingIndication(WaitingKind.VOICEMAIL, active=True, store=True)),
        (0xBF, None),
        (0xF0, None),
    ],
)
def test_message_waiting_indication_is_decoded(octet, indication):
    """It has the kind, the state, and whether to store the text; bit 2 is ignored."""
    assert DataCoding(octet).waiting == indication
    if indication:
        assert DataCoding(octet | 4).waiting == indication


def test_length_unit_depends_on_coding():
    """For all 256 codings the length counts septets only for uncompressed GSM 7-bit."""
    for octet in range(256):
        coding = DataCoding(octet)
        assert PACKED[octet] is (coding.alphabet is GSM7 and not coding.compressed)


def test_message_classes_have_names():
    """23.038 clause 4: immediate display, device, SIM, terminal."""
    assert [DataCoding(0xF0 + number).message_class for number in range(4)] == list(MessageClass)
