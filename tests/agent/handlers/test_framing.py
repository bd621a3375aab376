"""Frames between the agent, the handler manager and the workers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.handlers.framing import (
    MAX_FRAME_BYTES,
    FrameDecoder,
    FrameError,
    encode_frame,
    join_nul,
    split_nul,
)

frames = st.lists(st.dictionaries(st.text(max_size=5), st.binary(max_size=40), max_size=4), max_size=4)


@given(frames, st.lists(st.integers(1, 20), min_size=1))
def test_frames_survive_any_chunking(frames, cuts):
    """The decoded frames are the encoded ones, however the octets are cut."""
    octets = b"".join(encode_frame(frame) for frame in frames)
    decoder, decoded, offset = FrameDecoder(), [], 0
    while offset < len(octets):
        size = cuts[offset % len(cuts)]
        decoded += decoder.feed(octets[offset : offset + size])
        offset += size
    assert decoded == frames


@given(st.binary(max_size=200))
def test_any_octets_decode_or_raise_frame_error(octets):
    """No other exception is raised, whatever user code writes into the pipe."""
    try:
        for frame in FrameDecoder().feed(octets):
            assert isinstance(frame, dict)
    except FrameError:
        pass


@pytest.mark.parametrize(
    "octets",
    [
        (MAX_FRAME_BYTES + 1).to_bytes(4),
        b"\0\0\0\5\0\0\0\2a",
        b"\0\0\0\5\0\0\0\1a",
        b"\0\0\0\3\0\0\0",
        b"\0\0\0\x09\0\0\0\1\xff\0\0\0\0",
        encode_frame({"a": b"b"})[:3] + b"\x0b" + encode_frame({"a": b"b"})[4:] + b"x",
    ],
)
def test_invalid_frame_raises(octets):
    """A frame is invalid if it is too long or its lengths do not add up; no memory is reserved for it."""
    with pytest.raises(FrameError):
        list(FrameDecoder().feed(octets))


@given(st.lists(st.binary(max_size=5).filter(lambda part: b"\0" not in part), max_size=5))
def test_joined_values_are_split_again(parts):
    """No value, one empty value and several values are different."""
    assert split_nul(join_nul(parts)) == parts
