"""Exponential backoff with jitter. Pure: randomness is passed in."""

from __future__ import annotations

from random import Random

from pdu.record import Record


class Backoff(Record):
    """Delays that grow by a factor up to a maximum, with jitter: many devices do not retry together."""

    initial_s: float
    max_s: float
    factor: float = 1.8
    jitter: float = 0.25
    """Largest deviation from the delay, as a fraction of it."""

    def delay(self, failures: int, random: Random) -> float:
        """Return the seconds to wait after this many failures in a row (1 or more)."""
        delay = self.initial_s
        for _ in range(failures - 1):
            delay *= self.factor
            if delay >= self.max_s:
                delay = self.max_s
                break
        return delay * (1 + self.jitter * (2 * random.random() - 1))
