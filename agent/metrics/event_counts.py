"""Counts log events, and measures how long each Command takes, since the start of the agent."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable

from agent.common.events import Event, EventKind, EventSink

DURATION_BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Upper bounds of the buckets. A Command takes some milliseconds, and as long as its handler."""
MAX_TRACKED_COMMANDS = 1000
"""Commands whose end is awaited at the same time; those that arrive beyond are not measured."""
_END_KINDS = {EventKind.DONE, EventKind.FAILED, EventKind.EXPIRED}


class EventCounts:
    """An `EventSink` that passes every event on and counts it."""

    def __init__(self, emit: EventSink, clock: Callable[[], float], on_event: Callable[[], None]) -> None:
        """`clock` returns monotonic seconds. `on_event` is called after each event was counted."""
        self._emit = emit
        self._clock = clock
        self._on_event = on_event
        self._received_at: dict[int, float] = {}
        self.commands: Counter[str] = Counter()
        """Events about Commands and received messages, by kind."""
        self.messages: Counter[str] = Counter()
        """Events about outgoing messages, by kind."""
        self.others: Counter[str] = Counter()
        """All other events, by kind."""
        self.durations = [0] * (len(DURATION_BUCKETS_S) + 1)
        """Commands by the bucket of the time from their commit to their end; the last one has no bound."""
        self.duration_sum_s = 0.0

    def __call__(self, event: Event) -> None:
        """Count an event and pass it on."""
        if event.reply_id is not None:
            self.messages[event.kind] += 1
        elif event.command_id is not None:
            self.commands[event.kind] += 1
            self._measure(event.kind, event.command_id)
        else:
            self.others[event.kind] += 1
        self._emit(event)
        self._on_event()

    def _measure(self, kind: str, command_id: int) -> None:
        """Note when a Command was stored, and how long it took when it ends."""
        if kind == EventKind.RECEIVED and len(self._received_at) < MAX_TRACKED_COMMANDS:
            self._received_at[command_id] = self._clock()
        elif kind in _END_KINDS and (began := self._received_at.pop(command_id, None)) is not None:
            duration_s = self._clock() - began
            self.durations[bisect_left(DURATION_BUCKETS_S, duration_s)] += 1
            self.duration_sum_s += duration_s
