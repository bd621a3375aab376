"""Malformed requests, many at once and on raw sockets: no 5xx, no traceback, no call to a stranger's host."""

from __future__ import annotations

import asyncio
import gzip
import json
import random

import pytest

from hardware.sim.callbacks.record import CallbackState
from hardware.sim.rest.server import SandboxServer
from hardware.sim.sandbox import Sandbox
from hardware.sim.sandbox_clock import SandboxClock

AT_ONCE = 50
METHODS = (
    *("GET", "POST", "POST", "POST", "DELETE", "PUT", "HEAD", "OPTIONS", "TRACE", "CONNECT", "get"),
    *("G E T", "", "\x00", "POST" * 3000, "PRI"),
)
PATHS = (
    *("/supersim/v1/SmsCommands", "/wireless/v1/Commands", "/supersim/v1/Commands", "/v1/SmsCommands"),
    *("/v1/Commands", "/supersim/v1/Sims", "/supersim/v1/Fleets", "/wireless/v1/Sims/programmable-wireless"),
    *("/supersim/v1/Fleets/default", "/api-services/v1/auth/token", "/sandbox", "/sandbox/events"),
    *("/sandbox/callbacks/1", "/sandbox/sims/super-sim/faults", "/sandbox/sims/super-sim/messages"),
    *("/sandbox/sims/super-sim/lose", "/sandbox/sims/super-sim/attach", "/sandbox/commands/HC1/redeliver"),
    *("/sandbox/rules", "/sandbox/commands/HC1/fail", "/sandbox/services/faults", "/sandbox/clock", "/"),
    *("", "*", "//", "/%", "/%ff/%00", "/\xe9", "/a/../b", "http://blahblah.com/go", "blahblah.com:443"),
    *("/supersim/v1/SmsCommands/" + "x" * 9000, "/\x00", "/[", "http://[::/"),
)
NAMES = (
    *("Sim", "Payload", "Command", "CommandMode", "IncludeSid", "DeliveryReceiptRequested", "CallbackUrl"),
    *("CallbackMethod", "Status", "Direction", "Transport", "PageSize", "Page", "PageToken", "UniqueName"),
    *("Fleet", "Iccid", "SmsCommandsUrl", "CommandsCallbackUrl", "NetworkAccessProfile", "DataLimit"),
    *("after", "", "x", "grant_type"),
)
VALUES = (
    *(
        "super-sim",
        "programmable-wireless",
        "super-sim-beta",
        "x",
        "",
        "x" * 161,
        "☃" * 80,
        "\x00",
        "%",
        "-1",
    ),
    *(
        "9" * 5000,
        "1000000000000001",
        "true",
        "binary",
        "start",
        "GET",
        "sent",
        "nan",
        "SGVsbG8=",
        "=",
        "\r\n",
    ),
    *(
        "http://blahblah.com/go",
        "http://www.example.com",
        "http://127.0.0.1:1/",
        "http://127.1/",
        "http://[::",
    ),
    *(
        "https://user:pw@example.com:99999/",
        "javascript:alert(1)",
        "\U0001f600",
        "' or 1=1 --",
        "PA" + "0" * 32,
    ),
)
URLS = (
    "http://blahblah.com/go",
    "http://www.example.com",
    "http://127.0.0.1:1/",
    "http://localhost:1/x",
    "x",
)
CREATES = (
    ("super-sim", "/supersim/v1/SmsCommands", "Payload"),
    ("super-sim", "/v1/SmsCommands", "Payload"),
    ("programmable-wireless", "/wireless/v1/Commands", "Command"),
    ("super-sim-beta", "/supersim/v1/Commands", "Command"),
)
JSON_BODIES = (
    *("[]", "{", "null", '"x"', "[" * 2000, '{"fault": "mute:for=nan"}', '{"fault": 1}', '{"count": 1e9}'),
    *('{"count": true}', '{"from": "\\ud800", "text": "x"}', '{"from": "1", "hex": "f"}', '{"text": {}}'),
    *('{"from": "' + "1" * 30 + '", "text": "x"}', '{"a": NaN}', '{"code": -1}', '{"long-text": []}'),
    '{"status": "\\u0000"}',
)
HEADERS = (
    *("Content-Encoding: gzip", "Content-Encoding: deflate", "Content-Encoding: br", "Content-Encoding: x"),
    *("Content-Length: -1", "Content-Length: 5", "Content-Length: 99999999999", "Content-Length: x"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip", "Expect: 100-continue", "Expect: 200-ok"),
    *(
        "Content-Type: application/json",
        "Content-Type: multipart/form-data",
        "Content-Type: \xff",
        "Host: h\xe9",
    ),
    *("Host: ", "Host: blahblah.com", "Host: [::", "Host: a b", "Authorization: Basic \xff", "Connection: x"),
    *("Authorization: Bearer " + "x" * 7000, "Upgrade: websocket", "Connection: Upgrade", "Origin: null"),
    *("Cookie: " + "a=b;" * 100, "Range: bytes=0-", "X: \x00", ": x", "no colon", " folded: x", "X:" * 5000),
    *("Accept: text/html", "Accept-Encoding: gzip", "If-None-Match: *", "Sec-Fetch-Site: cross-site"),
)


def make_request(rng):
    """Return the octets of a request; most are not even HTTP, the others have impossible parameters."""
    if rng.random() < 0.4:
        sim, path, body = rng.choice(CREATES)
        form = f"Sim={sim}&{body}=x&CallbackUrl={rng.choice(URLS)}&{rng.choice(NAMES)}={rng.choice(VALUES)}"
        octets = form.encode("utf-8", "replace")
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            f"Content-Length: {len(octets)}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n"
        )
        return head.encode() + octets
    return make_broken_request(rng)


def make_broken_request(rng):
    """Return the octets of a request with one or more mistakes; some end in the middle."""
    query = "&".join(
        f"{rng.choice(NAMES)}={rng.choice(VALUES)}"[: rng.choice((20, 200, 9000))]
        for _ in range(rng.randrange(4))
    )
    form = "&".join(f"{rng.choice(NAMES)}={rng.choice(VALUES)}" for _ in range(rng.randrange(6)))
    body = rng.choice(
        (
            *(form, form, form, rng.choice(JSON_BODIES), rng.randbytes(50).decode("latin-1")),
            *("5\r\nhello\r\n0\r\n\r\n", "ZZ\r\n", gzip.compress(b"Sim=super-sim").decode("latin-1")[:-3]),
        )
    )
    body = body.encode("utf-8" if rng.random() < 0.8 else "latin-1", "replace")
    path = rng.choice(PATHS) + (f"?{query}" if query and rng.random() < 0.5 else "")
    headers = ["Host: 127.0.0.1", "Connection: close"] if rng.random() < 0.8 else []
    headers += rng.sample(HEADERS, rng.randrange(4))
    if rng.random() < 0.7:
        headers.append(f"Content-Length: {len(body)}")
    if rng.random() < 0.7:
        headers.append("Content-Type: application/x-www-form-urlencoded")
    version = rng.choice(("HTTP/1.1",) * 8 + ("HTTP/1.0", "HTTP/9.9", "http/1.1", "HTTP", ""))
    end = rng.choice(("\r\n",) * 8 + ("\n", "\r"))
    head = end.join((f"{rng.choice(METHODS)} {path} {version}", *headers, "", ""))
    octets = head.encode("latin-1", "replace") + body
    if rng.random() < 0.1:
        octets = octets[: rng.randrange(len(octets))]
    if rng.random() < 0.1:
        place = rng.randrange(len(octets) + 1)
        octets = octets[:place] + rng.randbytes(3) + octets[place:]
    return octets


async def exchange(address, octets, *, hang_up):
    """Send octets; return what came back before the server closed or waited for more."""
    reader, writer = await asyncio.open_connection(*address)
    answer = bytearray()
    try:
        writer.write(octets)
        await writer.drain()
        # A server that waits for the rest of a request says nothing.
        async with asyncio.timeout(0 if hang_up else 0.3):
            while chunk := await reader.read(65536):
                answer += chunk
    except (TimeoutError, ConnectionError):
        pass
    writer.close()
    return bytes(answer)


def check_answer(octets, answer):
    """An error has the documented body; HEAD has none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    assert status < 500, (octets, answer)
    if status >= 400 and not octets.startswith(b"HEAD"):
        assert b"application/json" in head, (octets, answer)
        found, _ = json.JSONDecoder().raw_decode(body.decode())
        assert "error" in found or "message" in found, (octets, answer)


@pytest.mark.parametrize(
    "count",
    [300, pytest.param(3000, marks=pytest.mark.long)],  # a longer run of the same
)
async def test_malformed_requests_do_no_harm(tmp_path, caplog, wall_clock, count):
    """At a concurrency of 50; the sandbox goes on serving, and its log stays empty."""
    rng = random.Random(count)
    trouble = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: trouble.append(context))
    sandbox = Sandbox(link_dir=tmp_path, clock=SandboxClock(wall_clock), rng=rng)
    server = SandboxServer(sandbox, ("127.0.0.1", 0))
    await server.start()
    host, port = server.url.removeprefix("http://").split(":")
    places = asyncio.Semaphore(AT_ONCE)
    answered = 0

    async def run(octets, hang_up):
        nonlocal answered
        async with places:
            answer = await exchange((host, int(port)), octets, hang_up=hang_up)
        if answer:
            check_answer(octets, answer)
            answered += 1

    await asyncio.gather(*(run(make_request(rng), rng.random() < 0.1) for _ in range(count)))
    assert answered > count / 2
    strangers = [each for each in sandbox.callbacks.records if not each.url.is_loopback]
    assert strangers
    assert all(each.state is CallbackState.NOT_SENT and not each.tries for each in strangers)
    last = await exchange((host, int(port)), b"GET /sandbox HTTP/1.0\r\n\r\n", hang_up=False)
    assert last.startswith(b"HTTP/1.0 200")
    await server.stop()
    assert [record for record in caplog.records if record.name != "asyncio"] == []
    assert trouble == []
