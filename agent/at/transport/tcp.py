"""A wire over TCP: a serial device server, or a simulated module."""

from __future__ import annotations

import asyncio
import socket

from agent.at.transport.base import (
    WRITE_TIMEOUT_REASON,
    PortUnavailable,
    Transport,
    TransportReader,
    WriteWatchdog,
)

CONNECT_TIMEOUT_S = 10.0
"""A host that is up answers at once; one that is down takes the kernel two minutes to give up."""


async def open_tcp(host: str, port: int, reader: TransportReader) -> Transport:
    """Connect. Raises PortUnavailable."""
    where = f"socket://{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: TcpTransport(reader, where), host, port
            )
    except TimeoutError:
        raise PortUnavailable("absent", f"{where} does not answer within {CONNECT_TIMEOUT_S:.0f} s") from None
    except OSError as error:
        why = error.strerror or str(error)
        raise PortUnavailable("absent", f"nobody listens at {where}: {why}") from None
    return wire


class TcpTransport(asyncio.Protocol):
    """asyncio's transport as a wire."""

    def __init__(self, reader: TransportReader, url: str) -> None:
        self._reader = reader
        self._url = url
        self._write_watchdog = WriteWatchdog(self._on_write_timeout)
        self._transport: asyncio.Transport | None = None
        self._closed_event = asyncio.Event()

    # Wire

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        transport, self._transport = self._transport, None
        self._write_watchdog.stop()
        if transport is not None:
            transport.abort()

    async def wait_closed(self) -> None:
        await self._closed_event.wait()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (what create_connection gives)
        self._transport = transport
        transport.set_write_buffer_limits(high=0)
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a host that vanished is noticed at last

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._reader.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed_event.set()
        why = f": {error}" if error is not None else " by the other end"
        self._on_hangup(f"{self._url} was closed{why}")

    def pause_writing(self) -> None:
        self._write_watchdog.start()

    def resume_writing(self) -> None:
        self._write_watchdog.stop()

    def _on_write_timeout(self) -> None:
        self._on_hangup(f"{self._url}: {WRITE_TIMEOUT_REASON}")

    def _on_hangup(self, reason: str) -> None:
        if self._transport is not None:
            self.close()
            self._reader.connection_lost(reason)
