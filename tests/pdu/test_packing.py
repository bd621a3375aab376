"""Packing of septets into octets."""

from __future__ import annotations

import random

import pytest

from pdu.packing import pack, unpack

PACKED = [  # septets, octets
    ("", ""),
    ("00", "00"),
    ("7F", "7F"),
    ("6F6B", "EF35"),
    ("68656C6C6F", "E8329BFD06"),
    ("48656C6C6F20776F726C64", "C8329BFD06DDDF723619"),
    ("7061747465726E00", "F0309D5E96BB01"),
    ("7061747465726E2121", "F0309D5E96BB4321"),
]


def one_by_one(octets, count):
    """Unpacking as 23.038 draws it, a septet at a time."""
    bits = "".join(f"{octet:08b}"[::-1] for octet in octets)
    return bytes(int(bits[7 * i : 7 * i + 7][::-1], 2) for i in range(count))


@pytest.mark.parametrize(("septets", "octets"), PACKED)
def test_packing_round_trips(septets, octets):
    """Published pairs convert both ways; a last septet 0 is kept, because the count includes it."""
    septets, octets = bytes.fromhex(septets), bytes.fromhex(octets)
    assert pack(septets) == octets
    assert unpack(octets, len(septets)) == septets


@pytest.mark.parametrize("count", range(257))
def test_packing_equals_bitwise_reference(count):
    """All lengths equal an unpacking bit by bit; spare bits at the end are 0."""
    septets = random.Random(count).choices(range(128), k=count)
    octets = pack(bytes(septets))
    assert len(octets) == (7 * count + 7) // 8
    assert one_by_one(octets, count) == bytes(septets)
    assert unpack(octets, count) == bytes(septets)
    assert not count or octets[-1] >> (7 * count % 8 or 8) == 0


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 64, 153, 160, 255])
def test_unpack_ignores_spare_bits_and_octets(count):
    """Set spare bits and additional octets do not change the septets."""
    octets = bytes(255 for _ in range((7 * count + 7) // 8))
    assert unpack(octets, count) == bytes([127]) * count
    assert unpack(octets + b"\xff\xff" if len(octets) < 220 else octets, count) == bytes([127]) * count


def test_unpack_of_too_few_octets_gives_fewer_septets():
    """Missing septets are not invented."""
    assert unpack(b"\x7f", 5) == b"\x7f\x00"[:2]
    assert unpack(b"", 3) == b""
