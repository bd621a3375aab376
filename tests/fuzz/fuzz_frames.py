"""Any octets from a handler process, in any chunks: complete frames, or FrameError."""

from agent.handlers.framing import (
    MAX_FRAME_BYTES,
    FrameDecoder,
    FrameError,
    encode_frame,
    join_nul,
    split_nul,
)

FRAMES = ({}, {"do": b"run", "text": b"on"}, {"out": b"x" * 300, "status": b"0"}, {"": b"", "é": b"\xff"})
SEEDS = (
    *(encode_frame(frame) for frame in FRAMES),
    b"".join(map(encode_frame, FRAMES)),
    encode_frame({"a": b"b"})[:-1],
    (MAX_FRAME_BYTES + 1).to_bytes(4) + b"x",
)


def run(data):
    """The frames do not depend on the chunks, and each decoded frame encodes to one that decodes to it."""
    assert _read(data, 1) == _read(data, 1 << 20)
    assert split_nul(join_nul(data.split(b"\0"))) == data.split(b"\0")


def _read(data, size):
    decoder, frames = FrameDecoder(), []
    try:
        for offset in range(0, len(data), size):
            frames += decoder.feed(data[offset : offset + size])
    except FrameError:
        frames.append(None)
    for frame in frames:
        assert frame is None or list(FrameDecoder().feed(encode_frame(frame))) == [frame]
    return frames
