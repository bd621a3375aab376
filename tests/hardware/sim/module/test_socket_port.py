"""A module's port by TCP and by a Unix socket, beside its pseudo-terminal."""

from __future__ import annotations

import asyncio
import os
import socket
import stat

import pytest

from hardware.sim.module.port_access import PortAccess, PortNotOffered
from hardware.sim.module.ports import LineDirection, ModulePorts
from hardware.sim.module.pty import Pty
from hardware.sim.module.socket_port import MAX_UNREAD_BYTES, SocketPort, TcpAddress, parse_tcp_address


class Line:
    """The ports of a module that answers OK to everything."""

    def __init__(self, folder, *addresses):
        self.bytes = []
        self.ports = ModulePorts(
            Pty(folder / "modem"),
            [SocketPort(address, PortAccess(mode=0o600)) for address in addresses],
            lambda direction, data: self.bytes.append((direction, data)),
        )

    async def __aenter__(self):
        await self.ports.start(lambda _: self.ports.write(b"OK"))
        return self

    async def __aexit__(self, *_):
        self.ports.close()

    async def connect(self):
        """Connect to the first socket."""
        address = self.ports.sockets[0].address
        if isinstance(address, TcpAddress):
            return await asyncio.open_connection(address.host, address.port)
        return await asyncio.open_unix_connection(address.replace("abstract:", "\0"))


async def ask(reader, writer):
    writer.write(b"AT\r")
    return await reader.readexactly(2)


@pytest.mark.parametrize("kind", ["tcp", "path", "abstract"])
async def test_client_of_a_socket_talks_to_the_module(tmp_path, kind):
    """Again after it has closed and connected at once; each client hears the answers to the others."""
    address = {
        "tcp": TcpAddress("127.0.0.1", 0),
        "path": str(tmp_path / "port"),
        "abstract": f"abstract:test-{os.getpid()}",
    }[kind]
    async with Line(tmp_path, address) as line, asyncio.timeout(10):
        for _ in range(3):
            reader, writer = await line.connect()
            assert await ask(reader, writer) == b"OK"
            writer.close()
        reader, writer = await line.connect()
        other_reader, other_writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        assert await other_reader.readexactly(2) == b"OK"
        writer.close()
        other_writer.close()
    assert line.bytes[:2] == [(LineDirection.TO_MODULE, b"AT\r"), (LineDirection.FROM_MODULE, b"OK")]


async def test_pseudo_terminal_and_socket_are_one_line(tmp_path):
    """A program on the terminal hears what the module answers to the socket's client."""
    async with Line(tmp_path, TcpAddress("127.0.0.1", 0)) as line, asyncio.timeout(10):
        terminal = os.open(line.ports.pty.link, os.O_RDWR | os.O_NOCTTY)
        reader, writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        assert os.read(terminal, 10) == b"OK"
        os.close(terminal)
        writer.close()


async def test_output_without_client_is_seen_as_unheard(tmp_path):
    """An observer can tell it from output that a client could read."""
    async with Line(tmp_path, TcpAddress("127.0.0.1", 0)) as line:
        line.ports.write(b"RDY")
    assert line.bytes == [(LineDirection.UNHEARD, b"RDY")]


async def test_unplugged_socket_ends_connections(tmp_path):
    """Those that exist and those that are made meanwhile; afterwards it works again."""
    async with Line(tmp_path, TcpAddress("127.0.0.1", 0)) as line, asyncio.timeout(10):
        reader, writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        line.ports.unplug()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        reader, writer = await line.connect()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        line.ports.plug()
        reader, writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        writer.close()


async def test_client_that_does_not_read_blocks_nothing(tmp_path):
    """What exceeds the buffer is dropped and counted."""
    async with Line(tmp_path, TcpAddress("127.0.0.1", 0)) as line, asyncio.timeout(10):
        reader, writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        (port,) = line.ports.sockets
        for _ in range(3000):
            port.write(bytes(4096))
        assert port.overrun_bytes > 0
        (connection,) = port._connections
        assert connection.transport.get_write_buffer_size() <= MAX_UNREAD_BYTES
        writer.transport.abort()


async def test_file_of_a_unix_socket(tmp_path):
    """It gets the mode, replaces one that nobody listens on, and is removed at the end."""
    path = tmp_path / "port"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with Line(tmp_path, str(path)) as line:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with pytest.raises(PortNotOffered, match=f"Another program listens on {path}; choose another --unix"):
            await SocketPort(str(path)).start(lambda _: None)
        reader, writer = await line.connect()
        assert await ask(reader, writer) == b"OK"
        writer.close()
    assert not path.exists()


async def test_used_tcp_port_is_reported(tmp_path):
    """The sentence names address, reason and option."""
    async with Line(tmp_path, TcpAddress("127.0.0.1", 0)) as line:
        address = line.ports.sockets[0].address
        with pytest.raises(PortNotOffered, match=f"{address}: Address already in use; choose another --tcp"):
            await SocketPort(address).start(lambda _: None)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:7000", "127.0.0.1", 7000), ("[::1]:0", "::1", 0), ("pi:1", "pi", 1)],
)
def test_address_is_parsed(text, host, port):
    assert parse_tcp_address(text) == TcpAddress(host, port)
    assert str(parse_tcp_address(text)) == text
