"""A module behind TCP."""

import asyncio

import pytest

from agent.at.transport import base as wire_room
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


async def test_octets_both_ways(server, make_reader):
    """What is written arrives, what arrives is read."""
    reader = make_reader()
    wire = await open_tcp("127.0.0.1", server.port, reader)
    far_reader, far_writer = await server.connections.get()
    wire.write(b"AT\r")
    assert await far_reader.readexactly(3) == b"AT\r"
    far_writer.write(b"OK")
    await reader.until(lambda: reader.data == b"OK")
    wire.close()
    await wire.wait_closed()
    wire.write(b"nobody hears this")
    assert reader.reasons == []
    far_writer.close()


async def test_the_other_end_closes(server, make_reader):
    """A server that goes away is told once."""
    reader = make_reader()
    wire = await open_tcp("127.0.0.1", server.port, reader)
    _, far_writer = await server.connections.get()
    far_writer.close()
    await reader.until(lambda: reader.reasons)
    assert reader.reasons == [f"socket://127.0.0.1:{server.port} was closed by the other end"]
    await wire.wait_closed()


async def test_nobody_listens(server, make_reader):
    """One sentence names the address."""
    server.close()
    await server.wait_closed()
    with pytest.raises(
        PortUnavailable, match=rf"cannot connect to socket://127.0.0.1:{server.port}"
    ) as caught:
        await open_tcp("127.0.0.1", server.port, make_reader())
    assert caught.value.kind == "absent"


async def test_an_end_that_stops_reading(server, monkeypatch, make_reader):
    """What cannot be written in time ends the wire; writing itself never waits."""
    monkeypatch.setattr(wire_room, "WRITE_TIMEOUT_S", 0.05)
    reader = make_reader()
    wire = await open_tcp("127.0.0.1", server.port, reader)
    _, far_writer = await server.connections.get()
    for _ in range(200):
        wire.write(b"x" * 65536)
    await reader.until(lambda: reader.reasons)
    assert "stopped reading" in reader.reasons[0]
    assert len(reader.reasons) == 1
    far_writer.transport.abort()
