"""A list that drops its oldest items."""

from hardware.sim.module.context import MIN_LOG_ITEMS, BoundedList


def test_latest_items_are_kept():
    """It keeps at least MIN_LOG_ITEMS, less than twice as many, in their order."""
    record = BoundedList()
    assert record == []
    for number in range(10 * MIN_LOG_ITEMS):
        record.append(number)
        assert len(record) < 2 * MIN_LOG_ITEMS
        assert (
            record[-MIN_LOG_ITEMS:]
            == list(range(max(0, number + 1 - MIN_LOG_ITEMS), number + 1))[-MIN_LOG_ITEMS:]
        )
