"""How old a Command is, by a device's clock that may be wrong. Pure: both clocks are handed in.

A small device has no battery for its clock: it wakes up in the past, and jumps when it hears of the right
time, or of a wrong one. What the network stamps on messages is what it can be measured by.
"""

from __future__ import annotations

AGREES_S = 600.0
"""A message that is stamped so shortly ago says that the clock is right; messages seldom need longer."""


class TrustedClock:
    """The device's clock, as far as it is to be believed."""

    def __init__(self) -> None:
        self._agreed: tuple[float, float] | None = None
        """Both clocks when a message last agreed with them."""

    def age(self, stamped: float, newest: float, wall: float, monotonic: float) -> float | None:
        """Seconds since a service centre time stamp; None where the clock cannot tell.

        `newest` is the newest stamp ever seen: a clock behind it is wrong, unless a message agrees with it;
        then that stamp was. One that once agreed with the network and is ahead now by more than the time that
        has passed has jumped: age is the smaller of both.
        """
        if 0 <= wall - stamped <= AGREES_S:
            self._agreed = (wall, monotonic)
        if wall < newest and self._agreed is None:
            return None
        if self._agreed is not None:
            then, at = self._agreed
            wall = min(wall, then + monotonic - at)
        return max(0.0, wall - stamped)
