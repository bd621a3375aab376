"""Packs septets into octets and back (23.038 6.1.2.1).

All septets of a message form one big integer, least significant first. Packed septets are 7 bits apart,
spread septets 8 bits, which is one per byte. A few steps convert all septets at once. Unpacking halves
blocks: the upper half of every block of 32, 16, ... 2 septets moves up by as many bits as the lower half has
septets, by a mask and a multiplication (``x + upper * (2**n - 1)`` is ``lower + upper * 2**n``). Packing
doubles blocks: the lower half moves up to the upper half, and at the end everything moves down. Blocks of 32
septets are whole octets in both forms (28 and 32), so longer messages are cut into and joined from such
blocks.
"""

from __future__ import annotations

from struct import Struct

TYPE_CHECKING = False  # see record
if TYPE_CHECKING:
    from collections.abc import Callable

    Splitter = Callable[[bytes], tuple[bytes, ...]]

_MAX_SEPTETS = 256  # septets at a time


def _mask(half: int, start: int) -> int:
    """Return the mask of one half of all blocks, ``half`` septets of 7 bits from bit ``start``."""
    bits = ((1 << 7 * half) - 1) << start
    return sum(bits << 16 * half * block for block in range(_MAX_SEPTETS // 2 // half))


_UPPER_1, _UPPER_2, _UPPER_4, _UPPER_8, _UPPER_16 = [_mask(half, 7 * half) for half in (1, 2, 4, 8, 16)]
_LOWER_1, _LOWER_2, _LOWER_4, _LOWER_8, _LOWER_16 = [_mask(half, half - 1) for half in (1, 2, 4, 8, 16)]


class _PackedLayouts(dict[int, "tuple[Splitter, int]"]):
    """Maps a number of packed octets to the function that cuts them into blocks, and their septets."""

    def __missing__(self, size: int) -> tuple[Splitter, int]:
        cut = Struct("28s" * (size // 28) + f"{size % 28}s").unpack
        self[size] = cut, (8 * size + 6) // 7
        return self[size]


class _SpreadLayouts(dict[int, "tuple[Splitter, int, int]"]):
    """Maps a number of septets to the function that cuts their spread blocks, and both sizes in octets."""

    def __missing__(self, count: int) -> tuple[Splitter, int, int]:
        blocks = (count + 31) // 32
        self[count] = Struct("28s4x" * blocks).unpack, 32 * blocks, (7 * count + 7) // 8
        return self[count]


_packed_layouts = _PackedLayouts()
_spread_layouts = _SpreadLayouts()
_join_spread_blocks = b"\0\0\0\0".join
_join_packed_blocks = b"".join
_int_from_bytes = int.from_bytes


def unpack(octets: bytes, count: int) -> bytes:
    """Return the first ``count`` septets (at most 256) of packed octets, one per byte, or all there are."""
    cut, whole = _packed_layouts[len(octets)]
    x = _int_from_bytes(octets if whole <= 32 else _join_spread_blocks(cut(octets)), "little")
    x += (x & _UPPER_16) * 0xFFFF
    x += (x & _UPPER_8) * 0xFF
    x += (x & _UPPER_4) * 0xF
    x += (x & _UPPER_2) * 0x3
    x += x & _UPPER_1
    return x.to_bytes(whole, "little")[:count]


def pack(septets: bytes) -> bytes:
    """Return septets, one per byte (at most 256), packed into octets; spare bits at the end are 0."""
    x = _int_from_bytes(septets, "little")
    x += x & _LOWER_1
    x += (x & _LOWER_2) * 0x3
    x += (x & _LOWER_4) * 0xF
    x += (x & _LOWER_8) * 0xFF
    x += (x & _LOWER_16) * 0xFFFF
    x >>= 31
    cut, whole, size = _spread_layouts[len(septets)]
    if whole == 32:
        return x.to_bytes(size, "little")
    return _join_packed_blocks(cut(x.to_bytes(whole, "little")))[:size]
