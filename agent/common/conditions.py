"""Remembers the conditions that the log has reported and that have not ended, for `status`."""

from __future__ import annotations

from collections.abc import Callable

from agent.common.events import Condition, Event, EventSink
from pdu.record import Record


class OngoingCondition(Record):
    """A condition that has begun and has not ended."""

    since: float
    """When it was first reported, in seconds since 1970."""
    last_at: float
    """When it was last reported."""
    message: str
    """The message of the last event that reported it."""


class ConditionMemory:
    """An `EventSink` that passes every event on and remembers the conditions."""

    def __init__(self, emit: EventSink, wall_clock: Callable[[], float]) -> None:
        self._emit = emit
        self._wall_clock = wall_clock
        self._ongoing: dict[Condition, OngoingCondition] = {}

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if event.resolves is not None:
            self._ongoing.pop(event.resolves, None)
        if event.condition is not None:
            now = self._wall_clock()
            begun = self._ongoing.get(event.condition, OngoingCondition(now, now, ""))
            self._ongoing[event.condition] = begun.replace(last_at=now, message=event.message)
        self._emit(event)

    def get(self, condition: Condition) -> OngoingCondition | None:
        """Return the condition as it was last reported; None if it has ended or never begun."""
        return self._ongoing.get(condition)
