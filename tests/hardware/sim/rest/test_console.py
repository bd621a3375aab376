"""The console over HTTP: the page, its files, the stream of messages, and the decoder."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import AsyncExitStack

import aiohttp
import pytest

from hardware.sim.module.ports import LineDirection

DELIVER = "0791447700090000" + "04038100F00000" + "62119241338000" + "09EC3219749697CB6E"


async def test_page_uses_nothing_from_elsewhere(http):
    """Its policy forbids it, and each file that it names is served with a fitting type."""
    status, page = await http.get("/")
    assert (status, http.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = http.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    files = re.findall(r'(?:href|src)="(/console/[^"]+)"', page)
    assert {name.rsplit(".")[-1] for name in files} == {"svg", "css", "js"}
    for name in files:
        assert (await http.get(name))[0] == 200
        assert http.headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"(?:href|src)=.https?:|<script>|style=|\son\w+=", page)


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fview.py", ".html"])
async def test_other_files_are_not_served(http, name):
    status, body = await http.get(f"/console/{name}")
    assert (status, body["code"]) == (404, 20404)


class StreamReader:
    """Reads server-sent events."""

    def __init__(self, answer):
        self._answer = answer
        self.last_id = ""

    async def next_message(self):
        data = None
        async with asyncio.timeout(10):
            while (line := (await self._answer.content.readline()).decode().rstrip("\n")) or data is None:
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last_id = value
                elif name == "data":
                    data = json.loads(value)
        return data

    async def until(self, key):
        while key not in (message := await self.next_message()):
            pass
        return message[key]


@pytest.fixture
async def open_stream(server):
    """Return a function that opens a stream."""
    async with aiohttp.ClientSession(read_bufsize=2**22) as session, AsyncExitStack() as stack:

        async def open_stream(**how):
            answer = await session.get(f"{server.url}/console/events", **how)
            stack.callback(answer.close)
            assert answer.content_type == "text/event-stream"
            return StreamReader(answer)

        yield open_stream


@pytest.mark.parametrize("how", ["headers", "params"])
async def test_stream_goes_on_after_the_last_event_id(http, open_stream, how):
    """By the header that a browser sends, or in the query."""
    stream = await open_stream()
    assert (await stream.next_message())["reset"] is True
    await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="one")
    while (await stream.until("commands"))[0]["status"] != "delivered":
        pass
    name = {"headers": "Last-Event-ID", "params": "after"}[how]
    again = await open_stream(**{how: {name: stream.last_id}})
    await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="two")
    message = await again.next_message()
    assert "reset" not in message
    assert {row["body"] for row in message["commands"]} == {"two"}


async def test_slow_reader_delays_nobody(http, server, open_stream):
    """One reads nothing while megabytes pass; another one sees everything, and the sandbox stops at once."""
    await open_stream()
    stream = await open_stream()
    for _ in range(10):
        for _ in range(1000):  # in all more than the buffers of a socket hold
            server.sandbox.records.record_bytes("super-sim", LineDirection.FROM_MODULE, b"x" * 1000)
        await stream.until("port")
    await http.post("/supersim/v1/SmsCommands", Sim="super-sim", Payload="ping")
    assert (await stream.until("commands"))[0]["body"] == "ping"


@pytest.mark.parametrize("direction", ["mt", "mo"])
async def test_pdu_is_decoded_in_the_direction_that_fits(http, direction):
    """The fields are those of `modem-agent pdu decode --json`."""
    status, body = await http.get("/console/pdu", hex=DELIVER, direction=direction)
    assert (status, body["kind"], body["error"]) == (200, "SMS-DELIVER", None)
    assert body["fields"][-1]["meaning"] == "'led green'"
    assert body["fields"][4] | {"at": 0} == {
        "at": 0,
        "octets": "04",
        "bits": ".... ..00",
        "abbreviation": "TP-MTI",
        "name": "message_type",
        "meaning": "SMS-DELIVER",
    }


@pytest.mark.parametrize(
    "query", [{}, {"hex": ""}, {"hex": "00", "direction": "up"}, {"hex": "0" * 1001}, {"hex": "zz"}]
)
async def test_what_is_no_pdu_is_refused_or_explained(http, query):
    """By a sentence; never an internal error."""
    status, body = await http.get("/console/pdu", **query)
    assert status == 400 or (status, bool(body["error"])) == (200, True)
