"""Which of the Commands that wait is next for each handler."""

from agent.lanes import Lanes

LED, PUMP, ON, OFF = ("led", "led"), ("pump", "pump"), ("/h/x.py", "x.py:on"), ("/h/x.py", "x.py:off")


def test_the_first_of_each_oldest_first():
    """Whatever the order of the handlers; one behind another is not shown."""
    lanes = Lanes()
    for number, place in enumerate((PUMP, LED, PUMP, ON, LED, OFF), 1):
        lanes.put(place, number)
    assert lanes.first() == [(PUMP, 1), (LED, 2), (ON, 4), (OFF, 6)]


def test_the_next_comes_up():
    """Taking the first shows the second; an empty row is not shown."""
    lanes = Lanes()
    for number in (1, 3):
        lanes.put(LED, number)
    lanes.put(PUMP, 2)
    lanes.pop(LED)
    assert lanes.first() == [(PUMP, 2), (LED, 3)]
    lanes.pop(PUMP)
    lanes.pop(LED)
    assert lanes.first() == []


def test_what_is_to_be_tried_again_is_first():
    """In front of those that came after it, also where nobody waits any more."""
    lanes = Lanes()
    for number in (1, 2):
        lanes.put(LED, number)
    lanes.pop(LED)
    lanes.put_back(LED, 1)
    lanes.put_back(PUMP, 3)
    assert lanes.first() == [(LED, 1), (PUMP, 3)]
    lanes.pop(LED)
    assert lanes.first() == [(LED, 2), (PUMP, 3)]


def test_nothing_waits_at_first():
    """And what is looked at next is the first Command of all."""
    assert Lanes().first() == []
    assert Lanes().newest == 0
