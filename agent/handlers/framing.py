"""Frames between the agent, the handler manager and the workers: named octet strings with a size limit.

No I/O. A frame is its length (4 octets, big-endian), then name, value, name, value and so on, each with its
own length in front. JSON would be more readable, but importing it costs each handler process a megabyte, and
text and binary would need two encodings. `marshal` and `pickle` must not read data from user code.
"""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Frame = dict[str, bytes]

MAX_FRAME_BYTES = 1 << 20
"""Limit of a frame in octets. The largest regular frame has the output of an executable (128 KiB)."""


class FrameError(ValueError):
    """The stream does not consist of frames."""


def encode_frame(frame: Frame) -> bytes:
    """Return the octets of one frame."""
    parts: list[bytes] = []
    for name, value in frame.items():
        for part in (name.encode(), value):
            parts += (len(part).to_bytes(4), part)
    body = b"".join(parts)
    return len(body).to_bytes(4) + body


class FrameDecoder:
    """Splits a stream of octets into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add octets and yield each complete frame.

        Raises FrameError if they are not frames; the decoder cannot be used after that.
        """
        self._buffer += data
        while len(self._buffer) >= 4:
            length = int.from_bytes(self._buffer[:4])
            if length > MAX_FRAME_BYTES:
                raise FrameError(f"a frame of {length} octets")
            if len(self._buffer) < 4 + length:
                return
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield _decode_body(body)


def _decode_body(body: bytes) -> Frame:
    parts: list[bytes] = []
    position = 0
    while position < len(body):
        start = position + 4
        position = start + int.from_bytes(body[position:start])
        parts.append(body[start:position])
    if position != len(body) or len(parts) % 2:
        raise FrameError("a frame whose lengths do not add up")
    try:
        return {name.decode(): value for name, value in zip(parts[::2], parts[1::2], strict=True)}
    except UnicodeDecodeError as error:
        raise FrameError("a frame with a name that is not UTF-8 text") from error


def join_nul(parts: Iterable[bytes]) -> bytes:
    """Join octet strings that contain no NUL into one value; a NUL ends each of them."""
    return b"".join(part + b"\0" for part in parts)


def split_nul(value: bytes) -> list[bytes]:
    """Return the octet strings that `join_nul` joined."""
    return value.split(b"\0")[:-1]
