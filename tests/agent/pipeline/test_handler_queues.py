"""Which of the Commands that wait is next for each handler."""

from agent.pipeline.handler_queues import HandlerQueues

LED, PUMP, ON, OFF = ("led", "led"), ("pump", "pump"), ("/h/x.py", "x.py:on"), ("/h/x.py", "x.py:off")


def test_the_first_of_each_oldest_first():
    """Whatever the order of the handlers; one behind another is not shown."""
    lanes = HandlerQueues()
    for number, place in enumerate((PUMP, LED, PUMP, ON, LED, OFF), 1):
        lanes.append(place, number)
    assert lanes.heads() == [(PUMP, 1), (LED, 2), (ON, 4), (OFF, 6)]


def test_the_next_comes_up():
    """Taking the first shows the second; an empty row is not shown."""
    lanes = HandlerQueues()
    for number in (1, 3):
        lanes.append(LED, number)
    lanes.append(PUMP, 2)
    lanes.pop(LED)
    assert lanes.heads() == [(PUMP, 2), (LED, 3)]
    lanes.pop(PUMP)
    lanes.pop(LED)
    assert lanes.heads() == []


def test_what_is_to_be_tried_again_is_first():
    """In front of those that came after it, also where nobody waits any more."""
    lanes = HandlerQueues()
    for number in (1, 2):
        lanes.append(LED, number)
    lanes.pop(LED)
    lanes.prepend(LED, 1)
    lanes.prepend(PUMP, 3)
    assert lanes.heads() == [(LED, 1), (PUMP, 3)]
    lanes.pop(LED)
    assert lanes.heads() == [(LED, 2), (PUMP, 3)]


def test_nothing_waits_at_first():
    """And what is looked at next is the first Command of all."""
    assert HandlerQueues().heads() == []
    assert HandlerQueues().newest_id == 0
