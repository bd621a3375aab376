"""Any octets from a handler's process, in any pieces: whole frames, or FrameError."""

from agent.handlers.frames import MAX_FRAME, FrameError, Reader, join, pack, split

FRAMES = ({}, {"do": b"run", "text": b"on"}, {"out": b"x" * 300, "status": b"0"}, {"": b"", "é": b"\xff"})
SEEDS = (
    *(pack(frame) for frame in FRAMES),
    b"".join(map(pack, FRAMES)),
    pack({"a": b"b"})[:-1],
    (MAX_FRAME + 1).to_bytes(4) + b"x",
)


def run(data):
    """Whole and octet by octet the same; what was read is written again as it was."""
    assert _read(data, 1) == _read(data, 1 << 20)
    assert split(join(data.split(b"\0"))) == data.split(b"\0")


def _read(data, size):
    reader, frames = Reader(), []
    try:
        for at in range(0, len(data), size):
            frames += reader.feed(data[at : at + size])
    except FrameError:
        frames.append(None)
    for frame in frames:
        assert frame is None or list(Reader().feed(pack(frame))) == [frame]
    return frames
