"""What is written down of the past does not grow for ever."""

from hardware.sim.latest import KEPT, Latest


def test_the_latest_are_kept():
    """At least so many, less than twice as many, in their order; else it is a list like any other."""
    record = Latest()
    assert record == []
    for number in range(10 * KEPT):
        record.append(number)
        assert len(record) < 2 * KEPT
        assert record[-KEPT:] == list(range(max(0, number + 1 - KEPT), number + 1))[-KEPT:]
