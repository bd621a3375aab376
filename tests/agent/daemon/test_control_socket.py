"""Requests and responses on the control socket."""

import asyncio
import errno
import json
import stat
from itertools import pairwise

import pytest

from agent.daemon.control_client import ControlError, send_request
from agent.daemon.control_socket import ControlServer, ControlUnusable


async def _status(request):
    return {"state": "well", "of": request.get("of")}


async def _refuse(_request):
    raise ControlError("not today")


async def _send(path, request):
    return await asyncio.to_thread(send_request, path, request, 5)


async def _count():
    for number in range(3):
        yield {"number": number}
    await asyncio.Event().wait()


@pytest.fixture
async def path(tmp_path):
    server = ControlServer(tmp_path / "control.sock", {"status": _status, "send": _refuse})
    server.add_stream("numbers", _count)
    await server.start()
    yield tmp_path / "control.sock"
    await server.stop()


async def test_request_is_answered(path):
    """The results come back without `ok`; the socket has mode 0660."""
    assert await _send(path, {"do": "status", "of": "x"}) == {"state": "well", "of": "x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"do": "send"}, "not today"),
        ({"do": "dance"}, "unknown request 'dance'; the requests are status, send, numbers"),
        ([1], "the request is not a JSON object"),
    ],
)
async def test_failed_request_raises_control_error(path, request_, sentence):
    """The response has the reason in one sentence."""
    with pytest.raises(ControlError, match=sentence):
        await _send(path, request_)


async def test_stream_follows_its_response(path):
    """Until the client disconnects; other requests of the same client are answered before it."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"do": "status"}\n{"do": "numbers"}\n')
    lines = [json.loads(await reader.readline()) for _ in range(5)]
    assert lines == [
        {"ok": True, "state": "well", "of": None},
        {"ok": True},
        *({"number": n} for n in range(3)),
    ]
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()


async def test_overlong_line_disconnects_only_its_client(path):
    """A client that sends a line without end is disconnected; the next client is served."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * 200_000)
    assert await reader.read() == b""
    writer.close()
    assert (await _send(path, {"do": "status"}))["state"] == "well"


@pytest.mark.parametrize("line", [b'{"d\xff": 1}', b'{"do": ' + b"[" * 60_000])
async def test_request_that_cannot_be_decoded_is_answered(path, line):
    """Invalid UTF-8 and deep nesting give an error, and the next request of the client is served."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line + b'\n{"do": "status"}\n')
    assert b"the request is not a JSON object" in await reader.readline()
    assert b"well" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_socket_of_a_killed_agent_is_replaced(path, tmp_path):
    """After kill -9 the socket file still exists; the next agent replaces it."""
    left = tmp_path / "left.sock"
    killed = ControlServer(left, {"status": _status})
    await killed.start()
    killed._accept_task.cancel()
    killed._listener.close()
    server = ControlServer(left, {"status": _status})
    await server.start()
    assert (await _send(left, {"do": "status"}))["state"] == "well"
    await server.stop()
    assert not left.exists()


async def test_socket_of_a_running_agent_is_not_replaced(path):
    """A second agent with another journal does not take over the socket silently."""
    with pytest.raises(ControlUnusable, match="is in use by another agent; stop that agent"):
        await ControlServer(path, {}).start()
    assert (await _send(path, {"do": "status"}))["state"] == "well"


async def test_clients_wait_while_no_file_descriptor_is_free(tmp_path, monkeypatch):
    """Accepting is retried with growing delays and logged once. The clients are answered afterwards."""
    events, attempts, no_descriptors = [], [], [True]
    loop = asyncio.get_running_loop()
    sock_accept = loop.sock_accept

    async def accept(listener):
        attempts.append(loop.time())
        if no_descriptors[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return await sock_accept(listener)

    # A patch: a process without file descriptors could not run this test any further.
    monkeypatch.setattr(loop, "sock_accept", accept)
    server = ControlServer(tmp_path / "control.sock", {"status": _status}, events.append, accept_retry_s=0.02)
    await server.start()
    try:
        client = asyncio.create_task(_send(tmp_path / "control.sock", {"do": "status"}))
        async with asyncio.timeout(5):
            while len(attempts) < 4:  # noqa: ASYNC110  (the kernel sends no event)
                await asyncio.sleep(0.01)
        waits = [later - earlier for earlier, later in pairwise(attempts)]
        assert all(wait > 0.019 * 2**number for number, wait in enumerate(waits))
        assert [str(event) for event in events] == [
            "control socket: clients cannot be accepted: Too many open files; their requests wait"
        ]
        no_descriptors[0] = False
        assert (await client)["state"] == "well"
    finally:
        await server.stop()


async def test_clients_are_disconnected_in_the_order_of_connecting(tmp_path):
    """Stopping is deterministic, which simulations rely on."""
    ended = []

    async def hang(request):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append(request["of"])

    server = ControlServer(tmp_path / "control.sock", {"hang": hang})
    await server.start()
    clients = []
    for number in range(9):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(b'{"do": "hang", "of": %d}\n' % number)
        clients.append((reader, writer))
        while len(server._client_tasks) <= number:  # noqa: ASYNC110  (no event for it)
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await server.stop()
    assert ended == list(range(9))
    for reader, writer in clients:
        assert await reader.read() == b""
        writer.close()


async def test_other_file_at_the_path_is_not_removed(tmp_path):
    """A file that is not a socket is named in the error and kept."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ControlUnusable, match=r"precious cannot be created: Address already in use"):
        await ControlServer(path, {}).start()
    assert path.read_text() == "data"


def test_missing_agent_is_a_control_error(tmp_path):
    """The error contains the path of the socket."""
    with pytest.raises(ControlError, match=r"no modem-agent answers at .*control\.sock"):
        send_request(tmp_path / "control.sock", {"do": "status"})
