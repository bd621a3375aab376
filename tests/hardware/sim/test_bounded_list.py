"""A list that drops its oldest items."""

from hardware.sim.bounded_list import MIN_ITEMS, BoundedList


def test_latest_items_are_kept():
    """At least MIN_ITEMS, less than twice as many, in their order; otherwise it is a list like any other."""
    record = BoundedList()
    assert record == []
    for number in range(10 * MIN_ITEMS):
        record.append(number)
        assert len(record) < 2 * MIN_ITEMS
        assert record[-MIN_ITEMS:] == list(range(max(0, number + 1 - MIN_ITEMS), number + 1))[-MIN_ITEMS:]
