"""The queue of unsolicited events: ordered, deduplicated, bounded; payloads are never dropped."""

import asyncio

import pytest

from agent.at.errors import ModemLost
from agent.at.events import EchoReturned, PortContention, RescanNeeded, Unsolicited
from agent.at.urc_queue import MAX_HINTS, UrcQueue


def make_queue():
    return UrcQueue(lambda event: event)


def make_hint(text):
    return Unsolicited(text)


def drain(queue):
    found = []
    while (event := queue.try_get()) is not None:
        found.append(event)
    return found


def test_events_are_read_in_order():
    """The oldest event is read first."""
    queue = make_queue()
    for text in ("a", "b", "c"):
        queue.put(make_hint(text))
    assert drain(queue) == [make_hint("a"), make_hint("b"), make_hint("c")]


def test_equal_hints_are_queued_once():
    """An unread hint is not queued again; after it was read it is."""
    queue = make_queue()
    queue.put(make_hint("a"))
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]


def test_payloads_are_never_dropped():
    """An event with a payload is the message itself: two equal ones are two."""
    queue = make_queue()
    for _ in range(3):
        queue.put(Unsolicited("+CMT: ,17", "0791"))
    for number in range(MAX_HINTS + 1):
        queue.put(make_hint(str(number)))
    assert drain(queue) == [*[Unsolicited("+CMT: ,17", "0791")] * 3, RescanNeeded()]


def test_too_many_hints_become_one_rescan():
    """More hints than the queue holds are replaced by one RescanNeeded."""
    queue = make_queue()
    for number in range(MAX_HINTS * 3 + 1):
        queue.put(make_hint(str(number)))
    found = drain(queue)
    assert found[0] == RescanNeeded()
    assert len(found) <= MAX_HINTS + 1


def test_reader_waits_for_the_next_event(run_virtual):
    """A waiting reader gets the next event; ModemLost comes after the last one."""

    async def scenario():
        queue = make_queue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.put(make_hint("a"))
        assert await waiting == make_hint("a")
        queue.put(make_hint("b"))
        queue.close(ModemLost("gone"))
        assert await queue.get() == make_hint("b")
        with pytest.raises(ModemLost, match="gone"):
            await queue.get()

    run_virtual(scenario())


def test_cancelled_reader_loses_no_event(run_virtual):
    """An event that comes while a reader is cancelled stays queued."""

    async def scenario():
        queue = make_queue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.put(make_hint("a"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await queue.get() == make_hint("a")

    run_virtual(scenario())


def test_each_event_is_interpreted_once():
    """The queue holds what the interpreter returns; events for which it returns None are dropped."""
    interpreted = []

    def interpret(event):
        interpreted.append(event)
        return {"a": "message", "b": "message"}.get(getattr(event, "text", ""))

    queue = UrcQueue(interpret)
    events = [make_hint("a"), make_hint("b"), make_hint("ignored"), EchoReturned(), PortContention("a sign")]
    for event in events:
        queue.put(event)
    assert drain(queue) == ["message"]
    assert interpreted == events


def test_overflow_is_interpreted_as_rescan():
    """The reader of interpreted events learns of dropped hints in its own terms."""
    queue = UrcQueue(lambda event: "rescan" if event == RescanNeeded() else event)
    for number in range(MAX_HINTS + 1):
        queue.put(make_hint(str(number)))
    assert drain(queue) == ["rescan"]


def test_interpreted_items_are_queued_as_they_are():
    """An item that is no event is not interpreted."""
    queue = UrcQueue(lambda event: None)
    queue.put_interpreted("settings lost")
    queue.put_interpreted("settings lost")
    assert drain(queue) == ["settings lost"]
