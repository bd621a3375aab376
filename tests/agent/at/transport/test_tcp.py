"""A module behind TCP."""

import asyncio

import pytest

from agent.at.transport.base import PortUnavailable
from agent.at.transport.tcp import open_tcp


@pytest.fixture
async def server():
    """A server on a free port, and the connections it got."""
    connections = asyncio.Queue()
    listening = await asyncio.start_server(
        lambda reader, writer: connections.put_nowait((reader, writer)), "127.0.0.1", 0
    )
    listening.connections = connections
    listening.port = listening.sockets[0].getsockname()[1]
    yield listening
    listening.close()
    while not connections.empty():
        connections.get_nowait()[1].close()


async def test_bytes_both_ways(server, make_reader):
    """Data is written and read unchanged."""
    reader = make_reader()
    transport = await open_tcp("127.0.0.1", server.port, reader)
    far_reader, far_writer = await server.connections.get()
    transport.write(b"AT\r")
    assert await far_reader.readexactly(3) == b"AT\r"
    far_writer.write(b"OK")
    await reader.until(lambda: reader.data == b"OK")
    transport.close()
    await transport.wait_closed()
    transport.write(b"written after the close")
    assert reader.reasons == []
    far_writer.close()


async def test_close_by_the_other_end(server, make_reader):
    """The loss is reported once."""
    reader = make_reader()
    transport = await open_tcp("127.0.0.1", server.port, reader)
    _, far_writer = await server.connections.get()
    far_writer.close()
    await reader.until(lambda: reader.reasons)
    assert reader.reasons == [f"socket://127.0.0.1:{server.port} was closed by the other end"]
    await transport.wait_closed()


async def test_refused_connection(server, make_reader):
    """One sentence names the address."""
    server.close()
    await server.wait_closed()
    with pytest.raises(
        PortUnavailable, match=rf"cannot connect to socket://127.0.0.1:{server.port}"
    ) as caught:
        await open_tcp("127.0.0.1", server.port, make_reader())
    assert caught.value.kind == "absent"


async def test_write_timeout(server, make_reader):
    """Bytes that cannot be written in time end the transport; writing itself never blocks."""
    reader = make_reader()
    transport = await open_tcp("127.0.0.1", server.port, reader, write_timeout_s=0.05)
    _, far_writer = await server.connections.get()
    for _ in range(200):
        transport.write(b"x" * 65536)
    await reader.until(lambda: reader.reasons)
    assert "stopped reading" in reader.reasons[0]
    assert len(reader.reasons) == 1
    far_writer.transport.abort()
