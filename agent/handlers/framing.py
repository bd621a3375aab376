"""What agent, keeper and workers say to each other: frames of named octet strings, with a bound.

Pure. A frame is its length (4 octets, big-endian), then name, value, name, value ... each with its own length
in front. JSON would read better, but its import costs each handler process a megabyte, and `marshal` or
`pickle` would trust what user code may have written into the pipe.
"""

from __future__ import annotations

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Frame = dict[str, bytes]

MAX_FRAME_BYTES = 1 << 20
"""Octets. The largest honest frame is the output of an executable (128 KiB, see keeper)."""


class FrameError(ValueError):
    """The other side did not write frames."""


def encode_frame(frame: Frame) -> bytes:
    """One frame as octets."""
    parts: list[bytes] = []
    for name, value in frame.items():
        for part in (name.encode(), value):
            parts += (len(part).to_bytes(4), part)
    body = b"".join(parts)
    return len(body).to_bytes(4) + body


class FrameDecoder:
    """Cuts frames out of a stream of octets."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Add octets and give the frames that are whole now. Raises FrameError, after which nothing helps."""
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
        raise FrameError("a frame with a name that is no text") from error


def join_nul(parts: Iterable[bytes]) -> bytes:
    """Several octet strings without NUL as one value, each closed by a NUL."""
    return b"".join(part + b"\0" for part in parts)


def split_nul(value: bytes) -> list[bytes]:
    """The octet strings of `join`."""
    return value.split(b"\0")[:-1]
