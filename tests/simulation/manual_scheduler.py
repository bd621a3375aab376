"""A scheduler for the simulated devices whose time passes only in `advance`."""

from __future__ import annotations

import heapq


class ManualScheduler:
    """Implements `time` and `call_later` without an event loop. Times are in seconds."""

    def __init__(self, now: float = 0.0):
        self.now = now
        self._calls = []
        self._count = 0

    def time(self):
        return self.now

    def call_later(self, delay, callback, *args):
        self._count += 1
        call = ScheduledCall(callback, args)
        heapq.heappush(self._calls, (self.now + delay, self._count, call))
        return call

    def advance(self, seconds):
        """Let time pass and run the calls that become due, in order."""
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.now, _, call = heapq.heappop(self._calls)
            if not call.cancelled:
                callback, call.callback = call.callback, None  # as the sandbox's clock: no cycle is left
                callback(*call.args)
        self.now = end

    @property
    def pending(self):
        """The number of calls that are neither run nor cancelled."""
        return sum(not call.cancelled for _, _, call in self._calls)


class ScheduledCall:
    def __init__(self, callback, args):
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self):
        self.cancelled = True
        self.callback = None
