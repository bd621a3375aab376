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
def test_septets_and_octets_turn_into_one_another(septets, octets):
    """Published pairs, both ways; a last septet 0 is kept, since the count says that it is there."""
    septets, octets = bytes.fromhex(septets), bytes.fromhex(octets)
    assert pack(septets) == octets
    assert unpack(octets, len(septets)) == septets


@pytest.mark.parametrize("count", range(257))
def test_every_number_of_septets_is_packed_as_the_standard_draws_it(count):
    """All lengths, against an unpacking that goes bit by bit; spare bits at the end are 0."""
    septets = random.Random(count).choices(range(128), k=count)
    octets = pack(bytes(septets))
    assert len(octets) == (7 * count + 7) // 8
    assert one_by_one(octets, count) == bytes(septets)
    assert unpack(octets, count) == bytes(septets)
    assert not count or octets[-1] >> (7 * count % 8 or 8) == 0


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 31, 32, 33, 64, 153, 160, 255])
def test_bits_and_octets_behind_the_last_septet_do_not_matter(count):
    """Spare bits that are set and octets too many give the same septets."""
    octets = bytes(255 for _ in range((7 * count + 7) // 8))
    assert unpack(octets, count) == bytes([127]) * count
    assert unpack(octets + b"\xff\xff" if len(octets) < 220 else octets, count) == bytes([127]) * count


def test_septets_that_are_not_there_are_not_made_up():
    """Octets too few give fewer septets."""
    assert unpack(b"\x7f", 5) == b"\x7f\x00"[:2]
    assert unpack(b"", 3) == b""
