"""Determines which service centre time stamps are plausible. No I/O.

A service centre with a wrong clock may stamp a message with a year in the future. Such a stamp must not make
all Commands before it count as old, or the device's clock count as wrong, for decades.
"""

from __future__ import annotations

from collections.abc import Iterable

DAY_S = 86400.0
MAX_CLOCK_SKEW_S = DAY_S
"""Largest difference between the clocks of the device and of the network if both are right."""
MAX_TIMESTAMP_SPREAD_S = 62 * DAY_S
"""Largest distance of correct stamps in one journal: twice the default retention of deduplication entries."""


def median(timestamps: Iterable[float], now: float) -> float:
    """Return the lower median of the stamps, or `now`, by the device's clock, if there are none."""
    ordered = sorted(timestamps)
    return ordered[(len(ordered) - 1) // 2] if ordered else now


def newest_plausible(timestamps: Iterable[float], now: float) -> float:
    """Return the newest stamp that is not in the future, 0 if there is none.

    `now` is the time of the device's clock. If most stamps are later than it, that clock is behind, and the
    median of the stamps is used instead.
    """
    stamps = list(timestamps)
    middle = median(stamps, now)
    latest = now + MAX_CLOCK_SKEW_S if middle <= now + MAX_CLOCK_SKEW_S else middle + MAX_TIMESTAMP_SPREAD_S
    return max((stamp for stamp in stamps if stamp <= latest), default=0.0)
