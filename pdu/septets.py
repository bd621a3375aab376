"""Packing septets into octets and back (23.038 6.1.2.1).

All septets of a message form one big integer, least significant first: packed they stand 7 bits apart, spread
8 bits apart, which is one a byte. Between the two lie eight steps. Each step of the spreading halves the
blocks: the upper half of every block of 256, 128, ... 2 septets moves up by as many bits as it has septets
below it, all blocks at once, by one mask and one multiplication (``x + upper * (2**n - 1)`` is ``lower +
upper * 2**n``). Packing goes the same way back.
"""

from __future__ import annotations


def _masks(offset: int) -> tuple[int, ...]:
    """Return for blocks of 2, 4, ... 256 septets the mask of their upper halves; 2048 bits each."""
    masks = []
    for step in range(8):
        half = 1 << step
        upper = ((1 << 7 * half) - 1) << offset * half
        masks.append(sum(upper << 16 * half * block for block in range(128 // half)))
    return tuple(masks)


_P1, _P2, _P4, _P8, _P16, _P32, _P64, _P128 = _masks(7)  # upper halves where they stand when packed
_S1, _S2, _S4, _S8, _S16, _S32, _S64, _S128 = _masks(8)  # and when spread


def unpack(octets: bytes, count: int, skip: int = 0) -> bytes:
    """Return ``count`` septets, one a byte, from packed octets, the first ``skip`` bits left out.

    At most 256; the octets must hold them. Whatever stands behind them is ignored.
    """
    x = int.from_bytes(octets, "little")
    if skip:
        x >>= skip
    x &= (1 << 7 * count) - 1
    if count > 8:
        if count > 32:
            if count > 128:
                upper = x & _P128
                x += (upper << 128) - upper
            if count > 64:
                upper = x & _P64
                x += (upper << 64) - upper
            upper = x & _P32
            x += (upper << 32) - upper
        x += (x & _P16) * 0xFFFF
        x += (x & _P8) * 0xFF
    x += (x & _P4) * 0xF
    x += (x & _P2) * 0x3
    x += x & _P1
    return x.to_bytes(count, "little")


def pack(septets: bytes, skip: int = 0) -> bytes:
    """Return septets (one a byte, at most 256) packed into octets, after ``skip`` zero bits."""
    count = len(septets)
    x = int.from_bytes(septets, "little")
    x -= (x & _S1) >> 1
    x -= ((x & _S2) >> 2) * 0x3
    x -= ((x & _S4) >> 4) * 0xF
    if count > 8:
        x -= ((x & _S8) >> 8) * 0xFF
        x -= ((x & _S16) >> 16) * 0xFFFF
        if count > 32:
            upper = x & _S32
            x += (upper >> 32) - upper
            if count > 64:
                upper = x & _S64
                x += (upper >> 64) - upper
            if count > 128:
                upper = x & _S128
                x += (upper >> 128) - upper
    if skip:
        x <<= skip
    return x.to_bytes((7 * count + skip + 7) // 8, "little")
