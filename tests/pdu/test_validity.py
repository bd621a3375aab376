"""Validity periods in the relative and the enhanced format."""

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
def test_relative_period_round_trips(octet, period):
    """The limits of the four ranges convert both ways."""
    assert RelativeValidity(octet).duration == period
    assert RelativeValidity.of(period) == RelativeValidity(octet)


def test_relative_periods_increase():
    """So the first octet with a sufficient period is the shortest period."""
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
def test_period_is_rounded_up(period, octet):
    """The period is never shorter than requested."""
    assert RelativeValidity.of(period).octet == octet


def test_period_above_63_weeks_raises():
    """No octet has such a period."""
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
def test_enhanced_period_follows_its_indicator(digits, period, single_shot):
    """It may be absent, relative, in seconds, or in hours and minutes, after extension octets."""
    validity = EnhancedValidity(bytes.fromhex(digits))
    assert (validity.duration, validity.single_shot) == (period, single_shot)
