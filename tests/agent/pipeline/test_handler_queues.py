"""Queues of pending Commands by handler."""

import pytest

from agent.pipeline.handler_queues import HandlerKey, HandlerQueues

LED, PUMP = HandlerKey("led", "led"), HandlerKey("pump", "pump")
ON, OFF = HandlerKey("/h/x.py", "x.py:on"), HandlerKey("/h/x.py", "x.py:off")


@pytest.fixture
def queues():
    return HandlerQueues()


def test_heads_are_the_first_of_each_queue_oldest_first(queues):
    """The order of handlers does not matter, and a Command behind another one is not a head."""
    for command_id, key in enumerate((PUMP, LED, PUMP, ON, LED, OFF), 1):
        queues.append(key, command_id)
    assert queues.heads() == [(PUMP, 1), (LED, 2), (ON, 4), (OFF, 6)]


def test_pop_shows_the_next_command(queues):
    """An empty queue has no head."""
    for command_id in (1, 3):
        queues.append(LED, command_id)
    queues.append(PUMP, 2)
    queues.pop(LED)
    assert queues.heads() == [(PUMP, 2), (LED, 3)]
    queues.pop(PUMP)
    queues.pop(LED)
    assert queues.heads() == []


def test_requeued_command_is_first_in_its_queue(queues):
    """It precedes the Commands that arrived after it, also if its queue is empty."""
    for command_id in (1, 2):
        queues.append(LED, command_id)
    queues.newest_id = 3
    queues.pop(LED)
    queues.prepend(LED, 1)
    queues.prepend(PUMP, 3)
    assert queues.heads() == [(LED, 1), (PUMP, 3)]
    queues.pop(LED)
    assert queues.heads() == [(LED, 2), (PUMP, 3)]


def test_new_queues_are_empty(queues):
    """The first Command to be read is the first one of the journal."""
    assert queues.heads() == []
    assert queues.newest_id == 0
