"""A TCP or Unix socket as a port of a simulated module: bytes in both directions and nothing else.

Several clients may connect; they share the line like programs that have opened the same serial port. Output
for a client that does not read is dropped beyond a limit and counted.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hardware.sim.module.port_access import PortAccess, PortNotOffered

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UNREAD_BYTES = 65536
"""Bytes kept for a client that does not read, in addition to the kernel's buffers."""

ABSTRACT_PREFIX = "abstract:"
"""Precedes a name in the abstract namespace of Unix sockets (unix(7)), as in ModemManager's virtual ports."""


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Host and port; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_tcp_address(text: str) -> TcpAddress:
    """Parse `HOST:PORT`, with brackets around an IPv6 address. Raises ValueError."""
    found = re.fullmatch(r"(?:\[([^\[\]]+)\]|([^\[\]:]+)):([0-9]{1,5})", text)
    if found is None or int(found[3]) > 65535:
        raise ValueError(f"{text} is not HOST:PORT, for example 127.0.0.1:7000")
    return TcpAddress(found[1] or found[2], int(found[3]))


class SocketPort:
    """One listening socket: at a `TcpAddress`, or at a path or `abstract:NAME`."""

    def __init__(self, address: TcpAddress | str, access: PortAccess | None = None) -> None:
        self.address = address
        self.overrun_bytes = 0
        """Bytes dropped because a client did not read them."""
        self._access = access or PortAccess()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()
        self._receive: Callable[[bytes], None] = lambda _: None
        self._is_plugged = True
        self._is_paused = False

    async def start(self, receive: Callable[[bytes], None]) -> None:
        """Listen, and pass bytes from clients to `receive`. Raises PortNotOffered."""
        self._receive = receive
        try:
            self._server = await self._listen()
        except PortNotOffered:
            raise
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
            option = "--tcp HOST:PORT" if isinstance(self.address, TcpAddress) else "--unix PATH"
            raise PortNotOffered(
                f"Cannot listen on {self.address}: {reason}; choose another {option}."
            ) from error
        if isinstance(self.address, TcpAddress):
            self.address = TcpAddress(self.address.host, self._server.sockets[0].getsockname()[1])
        elif not self._is_abstract:
            self._access.apply(self.address)

    async def _listen(self) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if isinstance(self.address, TcpAddress):
            return await loop.create_server(lambda: _Connection(self), self.address.host, self.address.port)
        path = self.address
        if self._is_abstract:
            path = "\0" + path.removeprefix(ABSTRACT_PREFIX)
        else:
            _check_path(path)
        return await loop.create_unix_server(lambda: _Connection(self), path)

    @property
    def _is_abstract(self) -> bool:
        return isinstance(self.address, str) and self.address.startswith(ABSTRACT_PREFIX)

    @property
    def is_open(self) -> bool:
        """True while a client is connected."""
        return bool(self._connections)

    def write(self, data: bytes) -> None:
        """Write bytes to all clients; never blocks."""
        for connection in self._connections:
            self.overrun_bytes += connection.write(data)

    def close(self) -> None:
        """Stop listening for good, and end the connections."""
        self.unplug()
        if self._server is None:
            return
        self._server.close()
        self._server = None
        if isinstance(self.address, str) and not self._is_abstract:
            Path(self.address).unlink(missing_ok=True)

    def pause(self) -> None:
        """Stop reading from the clients."""
        self._is_paused = True
        for connection in self._connections:
            connection.transport.pause_reading()

    def resume(self) -> None:
        """Read from the clients again."""
        self._is_paused = False
        for connection in self._connections:
            connection.transport.resume_reading()

    def unplug(self) -> None:
        """End the connections, and end further ones at once."""
        self._is_plugged = False
        for connection in list(self._connections):
            connection.transport.abort()

    def plug(self) -> None:
        """Keep connections again."""
        self._is_plugged = True

    def add(self, connection: _Connection) -> None:
        """Share the line with a new connection."""
        if not self._is_plugged:
            connection.transport.abort()
            return
        self._connections.add(connection)
        if self._is_paused:
            connection.transport.pause_reading()

    def remove(self, connection: _Connection) -> None:
        """Forget a connection that has ended."""
        self._connections.discard(connection)

    def receive(self, data: bytes) -> None:
        """Pass bytes of any client to the module."""
        self._receive(data)


class _Connection(asyncio.Protocol):
    """One client."""

    transport: asyncio.Transport

    def __init__(self, port: SocketPort) -> None:
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  (for the type checker)
        self.transport = transport
        self._port.add(self)

    def data_received(self, data: bytes) -> None:
        self._port.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.remove(self)

    def write(self, data: bytes) -> int:
        """Write bytes; returns how many were dropped because the client does not read."""
        free = MAX_UNREAD_BYTES - self.transport.get_write_buffer_size()
        self.transport.write(data[: max(0, free)])
        return max(0, len(data) - max(0, free))


def _check_path(path: str) -> None:
    """Raise PortNotOffered if this path is used; a socket left behind is not, and asyncio removes it."""
    if Path(path).exists() and not Path(path).is_socket():
        raise PortNotOffered(f"{path} exists and is no socket; choose another --unix PATH.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return
    raise PortNotOffered(f"Another program listens on {path}; choose another --unix PATH.")
