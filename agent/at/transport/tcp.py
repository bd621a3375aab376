"""A transport over TCP, for a serial device server or a simulated module."""

from __future__ import annotations

import asyncio
import socket

from agent.at.transport.base import (
    WRITE_TIMEOUT_S,
    PortErrorKind,
    PortUnavailable,
    Transport,
    TransportReader,
    WriteWatchdog,
)

CONNECT_TIMEOUT_S = 10.0
"""A host that is up answers at once. For one that is down the kernel would wait two minutes."""


async def open_tcp(
    host: str, port: int, reader: TransportReader, write_timeout_s: float = WRITE_TIMEOUT_S
) -> Transport:
    """Connect. Raises PortUnavailable.

    The transport is lost when bytes stay unwritten for `write_timeout_s`.
    """
    url = f"socket://{host}:{port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, transport = await asyncio.get_running_loop().create_connection(
                lambda: TcpTransport(reader, url, write_timeout_s), host, port
            )
    except TimeoutError:
        raise PortUnavailable(
            PortErrorKind.ABSENT, f"{url} does not answer within {CONNECT_TIMEOUT_S:.0f} s"
        ) from None
    except OSError as error:
        raise PortUnavailable(
            PortErrorKind.ABSENT, f"cannot connect to {url}: {error.strerror or error}"
        ) from None
    return transport


class TcpTransport(asyncio.Protocol):
    """An asyncio transport as a `Transport`."""

    def __init__(self, reader: TransportReader, url: str, write_timeout_s: float) -> None:
        self._reader = reader
        self._url = url
        self._write_watchdog = WriteWatchdog(self._on_write_timeout, write_timeout_s)
        self._transport: asyncio.Transport | None = None
        self._closed_event = asyncio.Event()

    # Transport

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
        connected_socket = transport.get_extra_info("socket")
        connected_socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # detects a host that vanished

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._reader.data_received(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._closed_event.set()
        cause = f": {error}" if error is not None else " by the other end"
        self._on_hangup(f"{self._url} was closed{cause}")

    def pause_writing(self) -> None:
        self._write_watchdog.start()

    def resume_writing(self) -> None:
        self._write_watchdog.stop()

    def _on_write_timeout(self, reason: str) -> None:
        self._on_hangup(f"{self._url}: {reason}")

    def _on_hangup(self, reason: str) -> None:
        if self._transport is not None:
            self.close()
            self._reader.connection_lost(reason)
