"""The news queue: in order, without doubles, bounded, and never deaf to a payload."""

import asyncio

import pytest

from agent.at.errors import ModemLost
from agent.at.events import Unsolicited
from agent.at.urc_queue import MAX_HINTS, URCS_DROPPED, UrcQueue


def make_hint(text):
    return Unsolicited(text)


def drain(queue):
    found = []
    while (news := queue.try_get()) is not None:
        found.append(news)
    return found


def test_news_comes_in_order():
    """What came first is told first."""
    queue = UrcQueue()
    for text in ("a", "b", "c"):
        queue.put(make_hint(text))
    assert drain(queue) == [make_hint("a"), make_hint("b"), make_hint("c")]


def test_equal_hints_are_one():
    """A hint that nobody has taken yet says the same again; a taken one may come again."""
    queue = UrcQueue()
    queue.put(make_hint("a"))
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]
    queue.put(make_hint("a"))
    assert drain(queue) == [make_hint("a")]


def test_payloads_are_never_dropped():
    """A message that was delivered directly is the thing itself: two equal ones are two."""
    queue = UrcQueue()
    for _ in range(3):
        queue.put(Unsolicited("+CMT: ,17", "0791"))
    for number in range(MAX_HINTS + 1):
        queue.put(make_hint(str(number)))
    assert drain(queue) == [*[Unsolicited("+CMT: ,17", "0791")] * 3, URCS_DROPPED]


def test_too_many_hints_are_one():
    """More than the queue holds means: look at everything."""
    queue = UrcQueue()
    for number in range(MAX_HINTS * 3 + 1):
        queue.put(make_hint(str(number)))
    found = drain(queue)
    assert found[0] == URCS_DROPPED
    assert len(found) <= MAX_HINTS + 1


def test_the_reader_waits_and_is_woken(run_virtual):
    """Whoever waits gets what comes; the end is told after the last piece."""

    async def story():
        queue = UrcQueue()
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
        queue = UrcQueue()
        waiting = asyncio.create_task(queue.get())
        await asyncio.sleep(1)
        queue.put(make_hint("a"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await queue.get() == make_hint("a")

    run_virtual(story())
