"""The cap looked back upon, against counting at every moment."""

from hypothesis import given
from hypothesis import strategies as st

from agent.journal.caps import DAY_S, was_daily_cap_reached

HOURS = st.integers(-60, 30)


@given(st.lists(HOURS, max_size=12), st.integers(1, 4), HOURS)
def test_it_was_reached_or_not(hours, per_day, since):
    """At some moment from then on so many had left within the day before it."""
    left = sorted(hours)
    moments = [hour for hour in (*left, since) if hour >= since]
    counted = any(sum(moment - 24 < each <= moment for each in left) >= per_day for moment in moments)
    assert was_daily_cap_reached([hour * DAY_S / 24 for hour in left], per_day, since * DAY_S / 24) is counted


def test_to_the_second():
    """What left exactly a day ago counts no more, neither now nor for those that left after it."""
    assert not was_daily_cap_reached([0.0, 5.0, DAY_S], 3, 0.0)
    assert was_daily_cap_reached([0.0, 5.0, DAY_S - 0.5], 3, 0.0)
    assert not was_daily_cap_reached([0.0, 0.0, 0.0], 3, DAY_S)
    assert was_daily_cap_reached([0.0, 0.0, 0.0], 3, DAY_S - 0.5)
