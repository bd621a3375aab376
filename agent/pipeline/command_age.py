"""How old a Command is, by a device's clock that may be wrong. Pure: both clocks are handed in.

A small device has no battery for its clock: it wakes up in the past, and jumps when it hears of the right
time, or of a wrong one. What the network stamps on messages is what it can be measured by.
"""

from __future__ import annotations

CLOCK_AGREEMENT_S = 600.0
"""A message that is stamped so shortly ago says that the clock is right; messages seldom need longer."""


class CommandAgeEstimator:
    """The device's clock, as far as it is to be believed."""

    def __init__(self) -> None:
        self._last_agreement: tuple[float, float] | None = None
        """Both clocks when a message last agreed with them."""

    def estimate_age_s(
        self, timestamp: float, newest_timestamp: float, wall_now: float, monotonic_now: float
    ) -> float | None:
        """Seconds since a service centre time stamp; None where the clock cannot tell.

        `newest` is the newest stamp ever seen: a clock behind it is wrong, unless a message agrees with it;
        then that stamp was. One that once agreed with the network and is ahead now by more than the time that
        has passed has jumped: age is the smaller of both.
        """
        if 0 <= wall_now - timestamp <= CLOCK_AGREEMENT_S:
            self._last_agreement = (wall_now, monotonic_now)
        if wall_now < newest_timestamp and self._last_agreement is None:
            return None
        if self._last_agreement is not None:
            then, at = self._last_agreement
            wall_now = min(wall_now, then + monotonic_now - at)
        return max(0.0, wall_now - timestamp)
