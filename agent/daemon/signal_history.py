"""The signal strength of the last hours, for `modem-agent status`; kept in memory only."""

from __future__ import annotations

from collections import deque

INTERVAL_S = 300.0
"""Time that one value stands for: the session queries the signal as often while nothing changes."""
MAX_VALUES = 144
"""12 hours."""


class SignalHistory:
    """One value for each interval. It outlives sessions with the module."""

    def __init__(self) -> None:
        self._values: deque[int | None] = deque(maxlen=MAX_VALUES)
        self._newest_interval = 0

    def record(self, dbm: int | None, now: float) -> None:
        """Add a value, at a time by the clock of the event loop; the last one of an interval counts."""
        self._advance(now)
        self._values[-1] = dbm

    def get_values(self, now: float) -> list[int | None]:
        """Return the values in dBm, oldest first; None for an interval without a known signal.

        The interval that has just begun is left out until it has a value.
        """
        if not self._values:
            return []
        self._advance(now)
        values = list(self._values)
        return values[:-1] if values[-1] is None and len(values) > 1 else values

    def _advance(self, now: float) -> None:
        interval = int(now // INTERVAL_S)
        missing = interval - self._newest_interval if self._values else 1
        self._values.extend([None] * min(missing, MAX_VALUES))
        self._newest_interval = interval
