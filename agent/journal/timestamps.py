"""Which service centre time stamps are to be believed. Pure.

A service centre with a wrong clock stamps a message with a year to come. What follows from such a stamp must
not hold for decades: neither that all Commands before it are old, nor that the device's clock is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable

DAY_S = 86400.0
MAX_CLOCK_SKEW_S = DAY_S
"""By so much the clocks of a device and of the network may differ, where both are right."""
MAX_TIMESTAMP_SPREAD_S = 62 * DAY_S
"""Twice the usual memory for doubles: honest stamps of one journal lie hardly further apart."""


def median(timestamps: Iterable[float], now: float) -> float:
    """What most of the stamps say that it was when they came; without any, what the device's clock says."""
    known = sorted(timestamps)
    return known[(len(known) - 1) // 2] if known else now


def newest_plausible(timestamps: Iterable[float], now: float) -> float:
    """The newest that is to be believed, 0 for none: not after the present.

    The device's clock tells it, unless most stamps are ahead of it: then it is behind, and they tell.
    """
    known = list(timestamps)
    most = median(known, now)
    present = now + MAX_CLOCK_SKEW_S if most <= now + MAX_CLOCK_SKEW_S else most + MAX_TIMESTAMP_SPREAD_S
    return max((each for each in known if each <= present), default=0.0)
