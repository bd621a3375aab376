from __future__ import annotations

from datetime import timedelta

import pytest

from pdu import EnhancedValidity, PduError, RelativeValidity


@pytest.mark.parametrize(
    ("octet", "period"),
    [
        (0, timedelta(minutes=5)),
        (143, timedelta(hours=12)),
        (144, timedelta(hours=12, minutes=30)),
        (167, timedelta(hours=24)),
        (168, timedelta(days=2)),
        (196, timedelta(days=30)),
        (197, timedelta(weeks=5)),
        (255, timedelta(weeks=63)),
    ],
)
def test_a_relative_period_is_an_octet(octet, period):
    """The corners of the four ranges, both ways."""
    assert RelativeValidity(octet).duration == period
    assert RelativeValidity.of(period) == RelativeValidity(octet)


def test_longer_octets_are_longer_periods():
    """So the first octet that is long enough is the shortest period that is."""
    periods = [RelativeValidity(octet).duration for octet in range(256)]
    assert periods == sorted(set(periods))


@pytest.mark.parametrize(
    ("period", "octet"),
    [
        (timedelta(seconds=1), 0),
        (timedelta(0), 0),
        (timedelta(minutes=5, seconds=1), 1),
        (timedelta(hours=24, seconds=1), 168),
        (timedelta(days=31), 197),
    ],
)
def test_a_period_between_two_is_rounded_up(period, octet):
    """Never shorter than asked for."""
    assert RelativeValidity.of(period).octet == octet


def test_more_than_63_weeks_are_refused():
    """There is no octet for them."""
    with pytest.raises(PduError, match="63 weeks"):
        RelativeValidity.of(timedelta(weeks=63, seconds=1))


@pytest.mark.parametrize(
    ("digits", "period", "single_shot"),
    [
        ("00000000000000", None, False),
        ("40000000000000", None, True),
        ("01A70000000000", timedelta(hours=24), False),
        ("02FF0000000000", timedelta(seconds=255), False),
        ("43325476000000", timedelta(hours=23, minutes=45, seconds=67), True),
        ("8100A700000000", timedelta(hours=24), False),
        ("82808080808080", None, False),
        ("83000021435600", timedelta(minutes=12, seconds=34), False),
    ],
)
def test_an_enhanced_period_is_what_its_indicator_says(digits, period, single_shot):
    """None, relative, seconds, hours and minutes; behind the octets that extend the indicator."""
    validity = EnhancedValidity(bytes.fromhex(digits))
    assert (validity.duration, validity.single_shot) == (period, single_shot)
