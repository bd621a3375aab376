"""Frames between agent, keeper and workers."""

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
def test_frames_come_out_as_they_went_in(frames, cuts):
    """However the octets are cut."""
    octets = b"".join(encode_frame(frame) for frame in frames)
    reader, heard, place = FrameDecoder(), [], 0
    while place < len(octets):
        size = cuts[place % len(cuts)]
        heard += reader.feed(octets[place : place + size])
        place += size
    assert heard == frames


@given(st.binary(max_size=200))
def test_any_octets_are_frames_or_a_frame_error(octets):
    """Nothing else is raised, whatever user code writes into the pipe."""
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
def test_rubbish_is_refused(octets):
    """Too long, or lengths that do not add up: no memory is reserved for what was announced."""
    with pytest.raises(FrameError):
        list(FrameDecoder().feed(octets))


@given(st.lists(st.binary(max_size=5).filter(lambda part: b"\0" not in part), max_size=5))
def test_several_values_in_one(parts):
    """None, one empty one and several are told apart."""
    assert split_nul(join_nul(parts)) == parts
