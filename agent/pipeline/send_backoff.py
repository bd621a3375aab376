"""Backoff of messages that have to wait before the next attempt, by destination. No I/O: time is an argument.

It outlives sessions, so that a reconnect does not shorten a backoff. It is not stored: after a
restart of the process the attempts in the journal show that a message failed before.
"""

from __future__ import annotations

from math import inf

from agent.at.errors import ErrorClass
from agent.common.backoff import Backoff

RETRY_BACKOFF = Backoff(initial_s=5, max_s=3600)
NETWORK_FAILURE_BACKOFF = Backoff(initial_s=60, max_s=3600)
"""Backoff after a failure of the network or the SIM: frequent attempts do not help."""
QUOTA_BACKOFF = Backoff(initial_s=3600, max_s=4 * 3600)
"""Backoff after the network reported that the quota is used up; all attempts span more than a day."""


def refusal_backoff(error_class: ErrorClass) -> tuple[Backoff, bool]:
    """Return the backoff after a refusal that is not final, and True if all destinations have to wait."""
    match error_class:
        case ErrorClass.BARRED:
            return QUOTA_BACKOFF, True
        case ErrorClass.NOT_READY:
            return NETWORK_FAILURE_BACKOFF, True
        case ErrorClass.RETRY_LATER:
            return NETWORK_FAILURE_BACKOFF, False
        case _:
            return RETRY_BACKOFF, False


class DestinationBackoff:
    """Times until which destinations wait, in seconds of one monotonic clock.

    All messages to a destination wait together, so that none overtakes another.
    """

    def __init__(self) -> None:
        self._held_until: dict[str, tuple[float, str]] = {}
        self._all_held_until = -inf
        self._all_held_reason = ""

    def hold(self, destination: str, until: float, reason: str) -> None:
        """Make the messages to one destination wait."""
        self._held_until[destination] = (until, reason)

    def hold_all(self, until: float, reason: str) -> None:
        """Make all messages wait."""
        self._all_held_until, self._all_held_reason = until, reason

    def release(self, destination: str) -> None:
        """End the wait of a destination: the message that failed is settled."""
        self._held_until.pop(destination, None)

    def end_waits(self) -> None:
        """Let every destination try again at once: the module was restarted."""
        self._all_held_until = -inf
        self._held_until = {name: (-inf, reason) for name, (_, reason) in self._held_until.items()}

    def has_failed(self, destination: str) -> bool:
        """Return True if a message to it has failed in this process and is not settled."""
        return destination in self._held_until

    def all_remaining_s(self, now: float) -> float:
        """Return the seconds for which nothing may be sent, 0 if sending is allowed."""
        return max(0.0, self._all_held_until - now)

    def held_destinations(self, now: float) -> dict[str, float]:
        """Return the destinations that have to wait, and the remaining seconds of each."""
        return {name: until - now for name, (until, _) in self._held_until.items() if until > now}

    def describe(self, now: float) -> str:
        """Return a readable text with the waiting destinations, reasons and delays; empty if none waits."""
        if delay := self.all_remaining_s(now):
            return f"{self._all_held_reason}; next attempt in {delay:.0f} s"
        return ", ".join(
            f"{name}: {self._held_until[name][1]}; next attempt in {delay:.0f} s"
            for name, delay in self.held_destinations(now).items()
        )
