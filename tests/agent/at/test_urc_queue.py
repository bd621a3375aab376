"""The news queue: in order, without doubles, bounded, and never deaf to a payload."""

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
    while (news := queue.try_get()) is not None:
        found.append(news)
    return found


def test_news_comes_in_order():
    """What came first is told first."""
    queue = make_queue()
    for text in ("a", "b", "c"):
        queue.put(make_hint(text))
    assert drain(queue) == [make_hint("a"), make_hint("b"), make_hint("c")]


def test_equal_hints_are_one():
    """A hint that nobody has taken yet says the same again; a taken one may come again."""
    queue = make_queue()
    queue.put(make_hint("a"))
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]


def test_payloads_are_never_dropped():
    """A message that was delivered directly is the thing itself: two equal ones are two."""
    queue = make_queue()
    for _ in range(3):
        queue.put(Unsolicited("+CMT: ,17", "0791"))
    for number in range(MAX_HINTS + 1):
        queue.put(make_hint(str(number)))
    assert drain(queue) == [*[Unsolicited("+CMT: ,17", "0791")] * 3, RescanNeeded()]


def test_too_many_hints_are_one():
    """More than the queue holds means: look at everything."""
    queue = make_queue()
    for number in range(MAX_HINTS * 3 + 1):
        queue.put(make_hint(str(number)))
    found = drain(queue)
    assert found[0] == RescanNeeded()
    assert len(found) <= MAX_HINTS + 1


def test_the_reader_waits_and_is_woken(run_virtual):
    """Whoever waits gets what comes; the end is told after the last piece."""

    async def story():
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

    run_virtual(story())


def test_a_cancelled_reader_loses_nothing(run_virtual):
    """News that comes while a reader is being cancelled is there for the next one."""

    async def story():
        queue = make_queue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.put(make_hint("a"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await queue.get() == make_hint("a")

    run_virtual(story())


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
    """An item that no event stands for is not interpreted."""
    queue = UrcQueue(lambda event: None)
    queue.put_interpreted("settings lost")
    queue.put_interpreted("settings lost")
    assert drain(queue) == ["settings lost"]
