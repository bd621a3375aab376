import asyncio
import errno
import stat
from itertools import pairwise

import pytest

from agent.daemon.control_socket import ControlError, ControlServer, ControlUnusable, send_request


async def _status(request):
    return {"state": "well", "of": request.get("of")}


async def _refuse(_request):
    raise ControlError("not today")


async def _send(path, request):
    return await asyncio.to_thread(send_request, path, request, 5)


@pytest.fixture
async def path(tmp_path):
    server = ControlServer(tmp_path / "control.sock", {"status": _status, "send": _refuse})
    await server.start()
    yield tmp_path / "control.sock"
    await server.stop()


async def test_a_request_is_answered(path):
    """What is asked for comes back, without the wrapping."""
    assert await _send(path, {"do": "status", "of": "x"}) == {"state": "well", "of": "x"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"do": "send"}, "not today"),
        ({"do": "dance"}, "unknown request 'dance'; there are status, send"),
        ([1], "the request is no JSON object"),
    ],
)
async def test_a_refusal_is_a_sentence(path, request_, sentence):
    """Whatever is asked, the answer is JSON and says why."""
    with pytest.raises(ControlError, match=sentence):
        await _send(path, request_)


async def test_rubbish_stops_nobody(path):
    """A line without end is hung up on; the next one is served."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * 200_000)
    assert await reader.read() == b""
    writer.close()
    assert (await _send(path, {"do": "status"}))["state"] == "well"


@pytest.mark.parametrize("line", [b'{"d\xff": 1}', b'{"do": ' + b"[" * 60_000])
async def test_what_no_decoder_takes_is_answered(path, line):
    """Octets that are no UTF-8, and brackets within brackets: a sentence, and the next request is served."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(line + b'\n{"do": "status"}\n')
    assert b"the request is no JSON object" in await reader.readline()
    assert b"well" in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_socket_left_behind_is_replaced(path, tmp_path):
    """After kill -9 the file still stands; the next agent takes its place."""
    left = tmp_path / "left.sock"
    first = ControlServer(left, {"status": _status})
    await first.start()
    first._accept_task.cancel()
    first._listener.close()
    second = ControlServer(left, {"status": _status})
    await second.start()
    assert (await _send(left, {"do": "status"}))["state"] == "well"
    await second.stop()
    assert not left.exists()


async def test_a_socket_that_answers_is_left_to_its_agent(path):
    """A second agent with another journal must not take it over silently."""
    with pytest.raises(ControlUnusable, match="another agent answers there; stop that one"):
        await ControlServer(path, {}).start()
    assert (await _send(path, {"do": "status"}))["state"] == "well"


async def test_without_a_file_for_them_clients_wait(tmp_path, monkeypatch):
    """The kernel is asked ever more seldom; it is said once; when there is one again they are answered."""
    steps, asked, full = [], [], [True]
    loop = asyncio.get_running_loop()
    really = loop.sock_accept

    async def accept(line):
        asked.append(loop.time())
        if full[0]:
            raise OSError(errno.EMFILE, "Too many open files")
        return await really(line)

    monkeypatch.setattr(loop, "sock_accept", accept)
    monkeypatch.setattr("agent.daemon.control_socket.ACCEPT_RETRY_INITIAL_S", 0.02)
    server = ControlServer(tmp_path / "control.sock", {"status": _status}, steps.append)
    await server.start()
    try:
        client = asyncio.create_task(_send(tmp_path / "control.sock", {"do": "status"}))
        async with asyncio.timeout(5):
            while len(asked) < 4:  # noqa: ASYNC110  (the kernel sends no event)
                await asyncio.sleep(0.01)
        waits = [later - earlier for earlier, later in pairwise(asked)]
        assert all(wait > 0.019 * 2**number for number, wait in enumerate(waits))
        assert [str(step) for step in steps] == [
            "control socket: nobody can be let in: Too many open files; those who ask wait"
        ]
        full[0] = False
        assert (await client)["state"] == "well"
    finally:
        await server.stop()


async def test_clients_are_hung_up_on_in_the_order_of_their_coming(tmp_path):
    """So that the same run is the same each time."""
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
        while len(server._client_tasks) <= number:  # noqa: ASYNC110  (nothing tells of it)
            await asyncio.sleep(0)
    await asyncio.sleep(0.05)
    await server.stop()
    assert ended == list(range(9))
    for reader, writer in clients:
        assert await reader.read() == b""
        writer.close()


async def test_what_is_no_socket_is_left_alone(tmp_path):
    """A file of somebody else's at that path is named, not removed."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ControlUnusable, match=r"precious cannot be made: Address already in use"):
        await ControlServer(path, {}).start()
    assert path.read_text() == "data"


def test_nobody_there_is_a_sentence(tmp_path):
    """Without an agent the sentence names the socket."""
    with pytest.raises(ControlError, match=r"no modem-agent answers at .*control\.sock"):
        send_request(tmp_path / "control.sock", {"do": "status"})
