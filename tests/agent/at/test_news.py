"""The news queue: in order, without doubles, bounded, and never deaf to a payload."""

import asyncio

import pytest

from agent.at.error import ModemLost
from agent.at.event import Unsolicited
from agent.at.news import HINTS, OVERFLOW, NewsQueue


def hint(text):
    return Unsolicited(text)


def drain(queue):
    found = []
    while (news := queue.take()) is not None:
        found.append(news)
    return found


def test_news_comes_in_order():
    """What came first is told first."""
    queue = NewsQueue()
    for text in ("a", "b", "c"):
        queue.put(hint(text))
    assert drain(queue) == [hint("a"), hint("b"), hint("c")]


def test_equal_hints_are_one():
    """A hint that nobody has taken yet says the same again; a taken one may come again."""
    queue = NewsQueue()
    queue.put(hint("a"))
    queue.put(hint("a"))
    assert drain(queue) == [hint("a")]
    queue.put(hint("a"))
    assert drain(queue) == [hint("a")]


def test_payloads_are_never_dropped():
    """A message that was delivered directly is the thing itself: two equal ones are two."""
    queue = NewsQueue()
    for _ in range(3):
        queue.put(Unsolicited("+CMT: ,17", "0791"))
    for number in range(HINTS + 1):
        queue.put(hint(str(number)))
    assert drain(queue) == [*[Unsolicited("+CMT: ,17", "0791")] * 3, OVERFLOW]


def test_too_many_hints_are_one():
    """More than the queue holds means: look at everything."""
    queue = NewsQueue()
    for number in range(HINTS * 3 + 1):
        queue.put(hint(str(number)))
    found = drain(queue)
    assert found[0] == OVERFLOW
    assert len(found) <= HINTS + 1


def test_the_reader_waits_and_is_woken(run):
    """Whoever waits gets what comes; the end is told after the last piece."""

    async def story():
        queue = NewsQueue()
        waiting = asyncio.create_task(queue.next())
        await asyncio.sleep(1)
        queue.put(hint("a"))
        assert await waiting == hint("a")
        queue.put(hint("b"))
        queue.close(ModemLost("gone"))
        assert await queue.next() == hint("b")
        with pytest.raises(ModemLost, match="gone"):
            await queue.next()

    run(story())


def test_a_cancelled_reader_loses_nothing(run):
    """News that comes while a reader is being cancelled is there for the next one."""

    async def story():
        queue = NewsQueue()
        waiting = asyncio.create_task(queue.next())
        await asyncio.sleep(1)
        queue.put(hint("a"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await queue.next() == hint("a")

    run(story())
