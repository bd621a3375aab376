"""The feed: numbered records in bounded memory, for readers that keep their place themselves."""

from __future__ import annotations

import asyncio

from hardware.sim.console.feed import ConsoleFeed, RecordKind

PATH, PORT = RecordKind.PATH, RecordKind.PORT


def make_feed(**limits):
    return ConsoleFeed({PATH: limits.get("path", 10), PORT: limits.get("port", 10), RecordKind.CALLBACK: 10})


def test_records_of_all_kinds_are_read_in_order():
    """In the order in which they were added, from any number on, at most as many as wanted."""
    feed = make_feed()
    for item in "abcd":
        feed.append(PORT if item in "bc" else PATH, item)
    assert feed.read(0, None) == list(enumerate("abcd", 1))
    assert [item for _, item in feed.read(1, 2)] == ["b", "c"]
    assert feed.read(4, None) == []


def test_busy_port_displaces_no_command():
    """Each kind has its own limit, so memory is bounded and records of other kinds stay."""
    feed = make_feed(port=3)
    feed.append(PATH, "created")
    for number in range(100):
        feed.append(PORT, number)
    assert [item for _, item in feed.read(0, None)] == ["created", 97, 98, 99]


def test_reader_learns_that_a_record_is_gone():
    """A number from which nothing is missing yet is good, also that of the newest record."""
    feed = make_feed(path=2)
    for item in "abc":
        feed.append(PATH, item)
    assert [feed.has_all_after(number) for number in range(5)] == [False, True, True, True, False]


async def test_readers_wait_for_the_next_record():
    """All of them are woken by one record, or by the end."""
    feed = make_feed()
    readers = [asyncio.create_task(feed.wait(0)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(reader.done() for reader in readers)
    feed.append(PATH, "created")
    await asyncio.wait_for(asyncio.gather(*readers), 1)
    last = asyncio.create_task(feed.wait(1))
    await asyncio.sleep(0)
    feed.close()
    await asyncio.wait_for(last, 1)
