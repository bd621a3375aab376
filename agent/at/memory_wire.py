"""A wire in memory: two ends, for tests and for a simulated module in the same process.

Octets arrive in a later turn of the event loop, in order, as from a real wire.
"""

from __future__ import annotations

import asyncio

from agent.at.wire import Wire, WireReader


class MemoryWire:
    """One end. It is a wire once somebody reads it; `open` is its `Opener`."""

    def __init__(self) -> None:
        self.other: MemoryWire | None = None
        self._reader: WireReader | None = None
        self._unread: list[bytes] = []
        self._closed = False

    async def open(self, reader: WireReader) -> Wire:
        """Read this end from now on, beginning with what came before."""
        self._reader = reader
        unread, self._unread = self._unread, []
        for data in unread:
            self.deliver(data)
        return self

    def write(self, data: bytes) -> None:
        """Octets to the other end."""
        if not self._closed and self.other is not None:
            asyncio.get_running_loop().call_soon(self.other.deliver, bytes(data))

    def close(self) -> None:
        """Close; the other end sees the wire hang up."""
        if not self._closed and self.other is not None:
            self._closed = True
            asyncio.get_running_loop().call_soon(self.other.hang_up)

    async def closed(self) -> None:
        """It is closed at once."""

    def deliver(self, data: bytes) -> None:
        """Octets from the other end."""
        if self._closed:
            return
        if self._reader is None:
            self._unread.append(data)
        else:
            self._reader.received(data)

    def hang_up(self) -> None:
        """The other end was closed."""
        if not self._closed:
            self._closed = True
            if self._reader is not None:
                self._reader.hung_up("the other end was closed")


def memory_pair() -> tuple[MemoryWire, MemoryWire]:
    """Two ends of one wire."""
    near, far = MemoryWire(), MemoryWire()
    near.other, far.other = far, near
    return near, far
