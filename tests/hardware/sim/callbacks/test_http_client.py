"""The HTTP client with receivers that answer well, too much, too late, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from hardware.sim.callbacks.http_client import MAX_ANSWER_OCTETS, CallbackHttpClient
from hardware.sim.callbacks.record import CallbackFailed
from hardware.sim.callbacks.requests import CallbackRequest


@pytest.fixture
async def client():
    client = CallbackHttpClient()
    yield client
    await client.close()


def request(url, *, method="POST", body=b"a=b", read=5.0, **fields):
    fields = {"headers": {}, "connect_timeout_s": 1.0, **fields}
    return CallbackRequest(method=method, url=url, body=body, read_timeout_s=read, **fields)


@asynccontextmanager
async def raw_server(talk):
    """A TCP server; `talk(reader, writer)` is what it does after a request has arrived."""
    handlers = set()

    async def serve(reader, writer):
        handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await reader.read(1000)
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        await asyncio.wait(handlers)


def answering(*answers, hold=False):
    """A server that writes the octets of `answers` and then closes, or waits for the other side to close."""

    async def talk(reader, writer):
        for answer in answers:
            writer.write(answer)
            await writer.drain()
        if hold:
            await reader.read()

    return raw_server(talk)


async def test_request_and_answer(client, receiver):
    """Method, path, headers and body arrive as they are; the answer's beginning comes back."""
    receiver.answers = [web.Response(status=202, text="x" * 5000)]
    url = f"{receiver.url}/%2F/../b?x=%20&y=[1]"
    answer = await client.send(request(url, headers={"X-Test": "1"}))
    assert (answer.status, answer.body) == (202, b"x" * MAX_ANSWER_OCTETS)
    (seen,) = receiver.requests
    assert (seen["method"], seen["path"], seen["body"]) == ("POST", "/hook/%2F/../b?x=%20&y=[1]", b"a=b")
    assert seen["headers"]["X-Test"] == "1"


@pytest.mark.parametrize("host", ["localhost", "hook.localhost", "LOCALHOST"])
async def test_localhost_is_resolved_without_a_name_server(client, receiver, host):
    """Also names below it, which not every system knows."""
    url = f"http://{host}:{receiver.port}/hook"
    assert (await client.send(request(url, method="GET", body=b""))).status == 204


async def test_redirects_are_not_followed(client, receiver):
    """Neither to this machine nor elsewhere."""
    for place in (receiver.url, "http://example.com/"):
        receiver.answers = [web.Response(status=307, headers={"Location": place})]
        assert (await client.send(request(receiver.url))).status == 307
    assert len(receiver.requests) == 2


async def test_proxies_of_the_environment_are_not_used(client, receiver, monkeypatch):
    """The request goes to the receiver itself."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    assert (await client.send(request(receiver.url))).status == 204


async def test_no_cookies(client, receiver):
    """What a receiver sets is not sent to it later."""
    receiver.answers = [web.Response(headers={"Set-Cookie": "a=b"})]
    await client.send(request(receiver.url))
    await client.send(request(receiver.url))
    assert "Cookie" not in receiver.requests[1]["headers"]


async def test_endless_answer_is_not_read(client):
    """Only the beginning is read, then the connection is closed."""
    chunk = b"x" * 65536
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", *[chunk] * 1000) as url:
        assert (await client.send(request(url))).body == b"x" * MAX_ANSWER_OCTETS


async def test_compressed_answer_is_not_unpacked(client):
    """A megabyte in a kilobyte stays a kilobyte."""
    packed = gzip.compress(b"\0" * 10**6)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    async with answering(head, packed) as url:
        assert (await client.send(request(url))).body == packed[:MAX_ANSWER_OCTETS]


@pytest.mark.parametrize(
    ("answers", "cause"),
    [
        ([b""], "ct"),
        ([b"garbage\r\n\r\n"], "rt"),
        ([b"HTTP/1.1 999999 x\r\n\r\n"], "rt"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"], "rt"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"], "rt"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], "rt"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"], "rt"),
        ([b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000 + b"\r\n"], "rt"),
    ],
)
async def test_answers_that_are_no_http(client, answers, cause):
    """One sentence for each, and no traceback."""
    async with answering(*answers) as url:
        with pytest.raises(CallbackFailed) as caught:
            await client.send(request(url))
    assert caught.value.cause == cause
    assert str(caught.value)


@pytest.mark.parametrize(
    "answers", [[], [b"HTTP/1.1 200 OK\r\n"], [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"]]
)
async def test_receiver_that_does_not_finish(client, answers):
    """It is left after the read timeout."""
    async with answering(*answers, hold=True) as url:
        with pytest.raises(CallbackFailed, match=r"no complete answer within 0\.1 s") as caught:
            await client.send(request(url, read=0.1))
    assert caught.value.cause == "rt"


async def test_receiver_that_trickles(client):
    """The time limit is for the whole answer, not only for each octet."""

    async def trickle(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with raw_server(trickle) as url:
        with pytest.raises(CallbackFailed, match="no complete answer"):
            await client.send(request(url, read=0.1, connect_timeout_s=0.1))


async def test_nobody_listens(client, receiver):
    """The cause is the connection; when the receiver is back, it is reached."""
    await receiver.stop()
    with pytest.raises(CallbackFailed, match=r"^no connection: Connection refused$") as caught:
        await client.send(request(receiver.url))
    assert caught.value.cause == "ct"
    await receiver.start(receiver.port)
    assert (await client.send(request(receiver.url))).status == 204


async def test_tls_to_a_plain_receiver(client, receiver):
    """An https URL of a receiver that speaks plain HTTP is a failed connection."""
    with pytest.raises(CallbackFailed, match="no connection") as caught:
        await client.send(request(receiver.url.replace("http:", "https:")))
    assert caught.value.cause == "ct"
