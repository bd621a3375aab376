"""A serial line in memory between a simulated module and its agent. It has no baud rate and no faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.at.transport.base import Transport, TransportReader


class ModuleLine:
    """The line; `open` is its `TransportOpener`. Octets arrive in order, later in the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: LineTransport | None = None
        self._receive: Callable[[bytes], None] = lambda data: None

    def connect_module(self, receive: Callable[[bytes], None]) -> None:
        """Pass what the agent writes to the module."""
        self._receive = receive

    async def open(self, reader: TransportReader) -> Transport:
        """Pass what the module writes to `reader`, until the transport is closed."""
        self._transport = LineTransport(self, reader)
        return self._transport

    def write_to_agent(self, data: bytes) -> None:
        """Write from the module; the octets are lost while the agent has the line closed."""
        if self._transport is not None:
            self._loop.call_soon(self._transport.deliver, data)

    def write_to_module(self, data: bytes) -> None:
        """Write from the agent."""
        self._loop.call_soon(self._receive, data)


class LineTransport:
    """The agent's end of the line, from one `open` to its `close`."""

    def __init__(self, line: ModuleLine, reader: TransportReader) -> None:
        self._line = line
        self._reader: TransportReader | None = reader

    def write(self, data: bytes) -> None:
        """Write to the module; does nothing after `close`."""
        if self._reader is not None:
            self._line.write_to_module(bytes(data))

    def close(self) -> None:
        """Close this end: what is on the way is lost."""
        self._reader = None

    async def wait_closed(self) -> None:
        """Return at once."""

    def deliver(self, data: bytes) -> None:
        """Pass octets of the module to the reader."""
        if self._reader is not None:
            self._reader.data_received(data)
