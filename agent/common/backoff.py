"""How long to wait before trying again. Pure: the spread comes from the random source handed in."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow by a factor to a cap, each spread so that many devices do not come back at once."""

    initial_s: float
    max_s: float
    factor: float = 1.8
    jitter: float = 0.25

    def delay(self, failures: int, random: Random) -> float:
        """Seconds to wait after that many failures in a row (1 or more)."""
        grown = self.initial_s
        for _ in range(failures - 1):
            grown *= self.factor
            if grown >= self.max_s:
                grown = self.max_s
                break
        return grown * (1 + self.jitter * (2 * random.random() - 1))
