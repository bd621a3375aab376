"""The sender: order, limits, retries under virtual time, refused hosts. The HTTP client is a fake."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest
from manual_scheduler import ManualScheduler

from hardware.sim.callbacks.record import CallbackAnswer, CallbackFailed
from hardware.sim.callbacks.sender import MAX_TRIES_AT_ONCE, CallbackRules, CallbackSender
from hardware.sim.service.callback_url import Webhook, parse_callback_url

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
URL = "http://127.0.0.1:8000/hook"


class FakeClient:
    """Answers with the next of `results`, then with 200; waits for `gate` first if there is one."""

    def __init__(self):
        self.requests = []
        self.results = []
        self.gates = {}
        self.closed = False

    async def send(self, request):
        self.requests.append(request)
        gate = self.gates.get(request.url)
        if gate is not None:
            await gate.wait()
        result = self.results.pop(0) if self.results else 200
        if isinstance(result, CallbackFailed):
            raise result
        return CallbackAnswer(status=result, body=b"thanks \xff")

    async def close(self):
        self.closed = True


class Bench:
    """A sender under virtual time."""

    def __init__(self, rules=None):
        self.time = ManualScheduler()
        self.client = FakeClient()
        self.observed = []
        self.sender = CallbackSender(
            client=self.client,
            scheduler=self.time,
            wall_clock=lambda: START + timedelta(seconds=self.time.now),
            rng=random.Random(1),
            secret="secret",
            observe=lambda callback: self.observed.append((callback.sid, callback.state.value)),
            rules=rules,
        )

    async def send(self, url=URL, status="sent", sid="HC1", method="POST"):
        webhook = Webhook(url=parse_callback_url(url), method=method)
        self.sender.send("status", webhook, (("Status", status),), sid=sid, imsi="00101")
        await self.settle()
        return self.sender.records[-1]

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)

    async def advance(self, seconds):
        self.time.advance(seconds)
        await self.settle()

    @property
    def bodies(self):
        return [request.body.decode() for request in self.client.requests]


@pytest.fixture
async def make_bench():
    benches = []

    def make(**how):
        benches.append(Bench(**how))
        return benches[-1]

    yield make
    for bench in benches:
        await bench.sender.close()
        assert bench.client.closed


async def test_accepted_callback(make_bench):
    """One try; the record shows what was sent and what came back."""
    bench = make_bench()
    callback = await bench.send()
    assert callback.to_json() == {
        "callback": 1,
        "kind": "status",
        "sid": "HC1",
        "method": "POST",
        "url": URL,
        "parameters": {"Status": "sent"},
        "at": "2026-11-22T12:00:00+00:00",
        "state": "accepted",
        "note": "",
        "tries": [
            {
                "at": "2026-11-22T12:00:00+00:00",
                "seconds": 0.0,
                "status": 200,
                "body": "thanks \ufffd",
                "error": "",
            }
        ],
    }
    assert bench.observed == [("HC1", "waiting"), ("HC1", "accepted")]
    await bench.advance(1000)
    assert len(bench.client.requests) == 1


async def test_failures_are_tried_again_under_virtual_time(make_bench):
    """After 1, 5 and 30 s, with the same contents and the same idempotency token; then it is given up."""
    bench = make_bench()
    bench.client.results = [
        503,
        CallbackFailed("ct", "no connection"),
        CallbackFailed("rt", "no answer"),
        500,
    ]
    callback = await bench.send()
    for wait, tries in ((0.9, 1), (0.2, 2), (4.9, 2), (0.2, 3), (30, 4), (1000, 4)):
        await bench.advance(wait)
        assert len(callback.tries) == tries
    assert callback.state == "failed"
    assert [each.outcome for each in callback.tries] == [
        "answered 503",
        "no connection",
        "no answer",
        "answered 500",
    ]
    assert len({request.headers["kore-idempotency-token"] for request in bench.client.requests}) == 1
    assert bench.bodies == ["Status=sent"] * 4
    assert bench.observed == [("HC1", "waiting")] * 4 + [("HC1", "failed")]


async def test_success_after_a_failure(make_bench):
    """No try follows an accepted one."""
    bench = make_bench()
    bench.client.results = [500, 204]
    callback = await bench.send()
    await bench.advance(1000)
    assert (callback.state, [each.status for each in callback.tries]) == ("accepted", [500, 204])


@pytest.mark.parametrize("status", [301, 302, 400, 404, 410])
async def test_refusals_are_not_tried_again(make_bench, status):
    """A redirect and a refusal would come again."""
    bench = make_bench()
    bench.client.results = [status]
    callback = await bench.send()
    await bench.advance(1000)
    assert (callback.state, len(callback.tries)) == ("failed", 1)


@pytest.mark.parametrize(
    ("fragment", "results", "tries"),
    [
        ("rc=0", [500], 1),
        ("rc=5", [500] * 6, 6),
        ("rc=2&rp=4xx", [404] * 3, 3),
        ("rp=ct", [500], 1),
        ("rp=all", [404, CallbackFailed("rt", "x"), 200], 3),
        ("tt=5000", [500] * 4, 2),
    ],
)
async def test_overrides_of_the_url(make_bench, fragment, results, tries):
    """Count, causes and total time of the fragment replace the rules."""
    bench = make_bench()
    bench.client.results = results
    callback = await bench.send(f"{URL}#{fragment}")
    for _ in range(400):
        await bench.advance(0.5)
    assert len(callback.tries) == tries
    assert {request.url for request in bench.client.requests} == {URL}


async def test_timeouts_of_the_url(make_bench):
    """In place of those of the rules."""
    bench = make_bench()
    await bench.send(f"{URL}#ct=100&rt=200")
    await bench.send(sid="HC2")
    times = [(request.connect_timeout_s, request.read_timeout_s) for request in bench.client.requests]
    assert times == [(0.1, 0.2), (5.0, 15.0)]


async def test_credentials_of_the_url(make_bench):
    """They are a header, and not part of the URL that is signed and requested."""
    bench = make_bench()
    await bench.send("http://me:p%40%C3%BC@127.0.0.1:8000/hook")
    (request,) = bench.client.requests
    assert request.url == URL
    assert request.headers["Authorization"] == "Basic bWU6cEDDvA=="


async def test_strangers_are_not_called(make_bench):
    """The record and the observer say which option allows the host."""
    bench = make_bench(rules=CallbackRules(allowed_hosts=frozenset({"hooks.example.com"})))
    callback = await bench.send("http://blahblah.com/go")
    assert (callback.state, callback.tries) == ("not sent", [])
    assert callback.note == "blahblah.com is not this machine; --allow-callback blahblah.com allows it"
    assert bench.observed == [("HC1", "not sent")]
    assert bench.client.requests == []
    assert (await bench.send("https://Hooks.example.com/x", sid="HC2")).state == "accepted"
    assert (await bench.send("https://a.hooks.example.com/x", sid="HC3")).state == "not sent"


async def test_a_slow_receiver_delays_only_its_own_callbacks(make_bench):
    """Those for another port go on; of one receiver only some tries run at once."""
    bench = make_bench()
    bench.client.gates[URL] = gate = asyncio.Event()
    for number in range(MAX_TRIES_AT_ONCE + 5):
        await bench.send(sid=f"HC{number}")
    assert len(bench.client.requests) == MAX_TRIES_AT_ONCE
    other = await bench.send("http://127.0.0.1:8001/", sid="HC99")
    assert other.state == "accepted"
    gate.set()
    await bench.settle()
    await bench.settle()
    assert len(bench.client.requests) == MAX_TRIES_AT_ONCE + 6


async def test_order_of_the_statuses_of_one_command(make_bench):
    """`delivered` waits for the try of `sent`, other Commands do not, and neither waits for retries."""
    bench = make_bench()
    bench.client.gates[URL] = gate = asyncio.Event()
    bench.client.results = [500]
    first = await bench.send()
    await bench.send(status="delivered")
    await bench.send(sid="HC2")
    assert bench.bodies == ["Status=sent", "Status=sent"]
    gate.set()
    await bench.settle()
    assert bench.bodies[2] == "Status=delivered"
    await bench.advance(1)
    assert len(first.tries) == 2


async def test_waiting_callbacks_are_bounded(make_bench):
    """What cannot wait is not sent, and places become free again."""
    bench = make_bench(rules=CallbackRules(max_waiting=2))
    bench.client.gates[URL] = gate = asyncio.Event()
    for number in range(3):
        last = await bench.send(sid=f"HC{number}")
    assert (last.state, last.note) == ("not sent", "2 callbacks to this receiver wait already")
    assert (await bench.send("http://127.0.0.1:8001/", sid="HC8")).state == "accepted"
    gate.set()
    await bench.settle()
    assert (await bench.send(sid="HC9")).state == "accepted"


async def test_close_ends_tries_and_retries(make_bench):
    """Nothing is called afterwards."""
    bench = make_bench()
    bench.client.results = [500]
    await bench.send()
    bench.client.gates[URL] = asyncio.Event()
    await bench.send(sid="HC2")
    await bench.sender.close()
    await bench.advance(1000)
    await bench.send(sid="HC3")
    assert len(bench.client.requests) == 2
    assert bench.time.pending == 0
