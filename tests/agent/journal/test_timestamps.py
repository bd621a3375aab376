"""Which time stamps are believed, by the device's clock and by most of them."""

import pytest

from agent.journal.timestamps import DAY_S, MAX_CLOCK_SKEW_S, MAX_TIMESTAMP_SPREAD_S, median, newest_plausible

NOW = 20_000 * DAY_S


@pytest.mark.parametrize(
    ("stamps", "most"), [([], NOW), ([5.0], 5.0), ([9.0, 1.0], 1.0), ([7.0, 1.0, 3.0], 3.0)]
)
def test_what_most_of_them_say(stamps, most):
    """The lower of two, so that one wrong stamp beside an honest one is not believed; none: the clock."""
    assert median(iter(stamps), NOW) == most


@pytest.mark.parametrize(
    ("stamps", "believed"),
    [
        ([], 0.0),
        ([NOW - DAY_S, NOW - 5], NOW - 5),
        ([NOW - 5, NOW + MAX_CLOCK_SKEW_S], NOW + MAX_CLOCK_SKEW_S),
        ([NOW - 5, NOW + MAX_CLOCK_SKEW_S + 1], NOW - 5),
    ],
)
def test_none_after_the_present_of_the_device(stamps, believed):
    """Clocks that are both right differ by a day at the most."""
    assert newest_plausible(iter(stamps), NOW) == believed


def test_where_most_are_ahead_the_clock_is_behind():
    """Then the others tell what the present is; one that is far ahead of them too is wrong."""
    ahead = [NOW + 900 * DAY_S, NOW + 901 * DAY_S, NOW + 902 * DAY_S]
    assert newest_plausible(ahead, NOW) == ahead[-1]
    assert (
        newest_plausible([*ahead, ahead[1] + MAX_TIMESTAMP_SPREAD_S], NOW)
        == ahead[1] + MAX_TIMESTAMP_SPREAD_S
    )
    assert newest_plausible([*ahead, ahead[1] + MAX_TIMESTAMP_SPREAD_S + 1], NOW) == ahead[-1]
