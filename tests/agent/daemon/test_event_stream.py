"""The event stream: what clients of the control socket see of the log events."""

from __future__ import annotations

import asyncio

from agent.common.events import Event, EventKind, Severity
from agent.daemon.event_stream import MAX_WAITING, EventStream

RUNNING = Event(EventKind.RUNNING, "handler led", command_id=7, sid="HC1")


def make_stream():
    emitted = []
    return EventStream(emitted.append, lambda: 1.5), emitted


async def follow(stream):
    """Return the items of a client that follows from now on."""
    items = stream.follow()
    first = asyncio.ensure_future(anext(items))
    await asyncio.sleep(0)
    return items, first


async def test_events_are_passed_on_and_copied_to_each_client():
    """Every event is passed on; clients get those from their beginning on, without debug events."""
    stream, emitted = make_stream()
    stream(RUNNING)
    clients = [await follow(stream) for _ in range(2)]
    sent = Event(EventKind.SENDING, "to 000", reply_id=3, content=b"\x01\xff")
    for event in (Event("x", severity=Severity.DEBUG), sent):
        stream(event)
    expected = {
        "at": 1.5,
        "kind": "sending",
        "message": "to 000",
        "severity": "info",
        "reply": 3,
        "hex": "01ff",
    }
    assert [await first for _, first in clients] == [expected] * 2
    assert len(emitted) == 3
    for items, _ in clients:
        await items.aclose()


async def test_client_that_does_not_read_costs_bounded_memory():
    """The oldest events are displaced."""
    stream, _ = make_stream()
    items, first = await follow(stream)
    for number in range(2 * MAX_WAITING):
        stream(Event(EventKind.DONE, str(number), command_id=number))
    assert (await first)["command"] == MAX_WAITING
    assert (await anext(items))["command"] == MAX_WAITING + 1
    await items.aclose()
