"""Estimates the age of a Command by a device clock that may be wrong. No I/O: both clocks are arguments.

A small device has no battery-backed clock. It starts with a time in the past, and its clock jumps when NTP or
the network sets it, perhaps to a wrong time. The service centre timestamps of messages are the reference.
"""

from __future__ import annotations

CLOCK_AGREEMENT_S = 600.0
"""A service centre timestamp of at most this age confirms the clock. Most messages arrive sooner."""


class CommandAgeEstimator:
    """Compares the device clock with service centre timestamps, and estimates the age of Commands."""

    def __init__(self) -> None:
        self._last_agreement: tuple[float, float] | None = None
        """Wall clock and monotonic clock when a message last confirmed the wall clock."""

    def estimate_age_s(
        self, timestamp: float, newest_timestamp: float, wall_now: float, monotonic_now: float
    ) -> float | None:
        """Return the seconds since a service centre timestamp, None if the clock cannot be trusted.

        `newest_timestamp` is the newest one ever received. A wall clock behind it is wrong, unless a message
        has confirmed the clock; then that timestamp was wrong. A wall clock that was once confirmed and has
        since advanced more than the monotonic clock has jumped; then the smaller age counts.
        """
        if 0 <= wall_now - timestamp <= CLOCK_AGREEMENT_S:
            self._last_agreement = (wall_now, monotonic_now)
        if wall_now < newest_timestamp and self._last_agreement is None:
            return None
        if self._last_agreement is not None:
            agreed_wall, agreed_monotonic = self._last_agreement
            wall_now = min(wall_now, agreed_wall + monotonic_now - agreed_monotonic)
        return max(0.0, wall_now - timestamp)
