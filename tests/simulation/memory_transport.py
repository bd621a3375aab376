"""A transport in memory with two ends, for tests and for a simulated module in the same process.

Bytes arrive in a later turn of the event loop, in order, as from a real port.
"""

from __future__ import annotations

import asyncio

from agent.at.transport.base import Transport, TransportReader


class MemoryTransport:
    """One end. `open` is its `TransportOpener`."""

    def __init__(self) -> None:
        self.peer: MemoryTransport | None = None
        self._reader: TransportReader | None = None
        self._unread: list[bytes] = []
        self._is_closed = False

    async def open(self, reader: TransportReader) -> Transport:
        """Pass received bytes to `reader` from now on, beginning with those received before."""
        self._reader = reader
        unread, self._unread = self._unread, []
        for data in unread:
            self.feed_data(data)
        return self

    def write(self, data: bytes) -> None:
        """Write to the other end."""
        if not self._is_closed and self.peer is not None:
            asyncio.get_running_loop().call_soon(self.peer.feed_data, bytes(data))

    def close(self) -> None:
        """Close this end; the other end loses its transport."""
        if not self._is_closed and self.peer is not None:
            self._is_closed = True
            asyncio.get_running_loop().call_soon(self.peer.on_peer_closed)

    async def wait_closed(self) -> None:
        """Return at once."""

    def feed_data(self, data: bytes) -> None:
        """Process bytes from the other end."""
        if self._is_closed:
            return
        if self._reader is None:
            self._unread.append(data)
        else:
            self._reader.data_received(data)

    def on_peer_closed(self) -> None:
        """Process the close of the other end."""
        if not self._is_closed:
            self._is_closed = True
            if self._reader is not None:
                self._reader.connection_lost("the other end was closed")


def memory_transport_pair() -> tuple[MemoryTransport, MemoryTransport]:
    """Return two connected ends."""
    near, far = MemoryTransport(), MemoryTransport()
    near.peer, far.peer = far, near
    return near, far
