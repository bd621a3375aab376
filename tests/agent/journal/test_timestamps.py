"""Plausible time stamps, by the device's clock and by the median of the stamps."""

import pytest

from agent.journal.timestamps import DAY_S, MAX_CLOCK_SKEW_S, MAX_TIMESTAMP_SPREAD_S, median, newest_plausible

NOW = 20_000 * DAY_S


@pytest.mark.parametrize(
    ("stamps", "expected"), [([], NOW), ([5.0], 5.0), ([9.0, 1.0], 1.0), ([7.0, 1.0, 3.0], 3.0)]
)
def test_median(stamps, expected):
    """The lower of two: a wrong stamp beside a correct one has no effect. Without stamps, the clock."""
    assert median(iter(stamps), NOW) == expected


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        ([], 0.0),
        ([NOW - DAY_S, NOW - 5], NOW - 5),
        ([NOW - 5, NOW + MAX_CLOCK_SKEW_S], NOW + MAX_CLOCK_SKEW_S),
        ([NOW - 5, NOW + MAX_CLOCK_SKEW_S + 1], NOW - 5),
    ],
)
def test_future_timestamp_is_not_plausible(stamps, expected):
    """Two correct clocks differ by a day at most."""
    assert newest_plausible(iter(stamps), NOW) == expected


def test_timestamps_replace_a_clock_that_is_behind():
    """If most are ahead of the clock, their median counts; one that is far ahead of them is wrong."""
    ahead = [NOW + 900 * DAY_S, NOW + 901 * DAY_S, NOW + 902 * DAY_S]
    assert newest_plausible(ahead, NOW) == ahead[-1]
    assert (
        newest_plausible([*ahead, ahead[1] + MAX_TIMESTAMP_SPREAD_S], NOW)
        == ahead[1] + MAX_TIMESTAMP_SPREAD_S
    )
    assert newest_plausible([*ahead, ahead[1] + MAX_TIMESTAMP_SPREAD_S + 1], NOW) == ahead[-1]
