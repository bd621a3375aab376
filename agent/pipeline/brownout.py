"""Pauses sending while each message makes the module lose power. No I/O: time and randomness are arguments.

A module draws up to 2 A while it transmits. With a weak supply it browns out and restarts, and the next
message would only repeat that. Receiving goes on during the pause.
"""

from __future__ import annotations

from math import inf
from random import Random

from agent.common.backoff import Backoff

BROWNOUT_WINDOW_S = 10.0
"""A module that is lost this soon after a message body left was most likely reset by its own transmitter."""
BROWNOUT_BACKOFF = Backoff(initial_s=300, max_s=4 * 3600, factor=2.0)


class BrownoutGuard:
    """Counts sessions that are lost right after a message, and pauses sending from the second in a row on."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._last_sent_at: float | None = None
        self._consecutive_losses = 0
        self._paused_until = -inf

    def on_message_sending(self, now: float) -> None:
        """Record that a message body is about to leave."""
        if self._last_sent_at is not None and now - self._last_sent_at > BROWNOUT_WINDOW_S:
            # The session survived the previous message: `on_session_lost` would have cleared its time.
            self._consecutive_losses = 0
        self._last_sent_at = now

    def on_session_lost(self, now: float) -> float | None:
        """Record that the session was lost. Return the seconds of the pause that begins now, or None."""
        if self._last_sent_at is None:
            return None
        is_brownout = now - self._last_sent_at <= BROWNOUT_WINDOW_S
        self._consecutive_losses = self._consecutive_losses + 1 if is_brownout else 0
        self._last_sent_at = None
        if self._consecutive_losses < 2:
            return None
        pause = BROWNOUT_BACKOFF.delay(self._consecutive_losses - 1, self._random)
        self._paused_until = now + pause
        return pause

    def remaining_s(self, now: float) -> float:
        """Return the seconds for which nothing may be sent, 0 if sending is allowed."""
        return max(0.0, self._paused_until - now)
