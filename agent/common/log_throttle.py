"""Throttles the log: an event that repeats is logged at first, then at growing intervals.

An event about one Command or one message is always logged. An event about the module, the line, the journal
or the network may repeat every minute for days, and would fill a small disk. Equal lines are therefore logged
at first, then again after a minute, two, four and so on up to six hours; in between their severity is lowered
to DEBUG. That is at most 13 lines in the first day and 4 on each further day. The event that resolves a
condition is logged whenever the condition itself was, so the last line in the log shows the present state.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from agent.common.events import Condition, Event, EventSink, Severity

INITIAL_INTERVAL_S = 60.0
MAX_INTERVAL_S = 6 * 3600.0
FORGET_AFTER_S = 2 * 3600.0
"""An event that did not occur for this long (or for its interval, if longer) counts as new."""
MAX_TRACKED_LINES = 200
"""Most lines that are remembered; beyond it the one that was seen longest ago is forgotten."""
MAX_NAMED_SLOTS = 8
"""Slots whose lines count as different. Those of all other slots count as equal."""
_DIGITS = re.compile(r"\d+")


class _ThrottleState:
    def __init__(self, now: float, interval_s: float = INITIAL_INTERVAL_S) -> None:
        self.last_logged_at = now
        self.last_seen_at = now
        self.interval_s = interval_s
        self.suppressed_count = 0
        """Events since the last one that was logged."""


class LogThrottle:
    """An `EventSink` that passes every event on to another one, some of them with severity DEBUG."""

    def __init__(self, emit: EventSink, clock: Callable[[], float]) -> None:
        """`clock` returns monotonic seconds."""
        self._emit = emit
        self._clock = clock
        self._lines: dict[str, _ThrottleState] = {}
        """By slot, kind, and message with the digits masked; the line that was seen last is last."""
        self._named_slots: set[str] = set()
        self._logged_conditions: set[Condition] = set()
        """Conditions whose start was logged and whose end was not."""

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if not _may_repeat(event):
            self._emit(event)
            return
        now = self._clock()
        if len(self._named_slots) < MAX_NAMED_SLOTS:
            self._named_slots.add(event.slot)
        slot = event.slot if event.slot in self._named_slots else "?"
        key = f"{slot} " + _DIGITS.sub("#", f"{event.kind}: {event.message}")
        state = self._lines.pop(key, None)
        is_new = state is None or now - state.last_seen_at >= max(FORGET_AFTER_S, state.interval_s)
        if state is None or is_new or event.resolves in self._logged_conditions:
            state = _ThrottleState(now)
        elif now - state.last_logged_at >= state.interval_s and event.resolves is None:
            if state.suppressed_count:
                event = event.replace(
                    message=f"{event.message} (repeated {state.suppressed_count} times since last logged)",
                )
            state = _ThrottleState(now, min(2 * state.interval_s, MAX_INTERVAL_S))
        else:
            state.last_seen_at, state.suppressed_count = now, state.suppressed_count + 1
            event = event.replace(severity=Severity.DEBUG)
        if event.severity > Severity.DEBUG:
            if event.resolves is not None:
                self._logged_conditions.discard(event.resolves)
            if event.condition is not None:
                self._logged_conditions.add(event.condition)
        self._lines[key] = state
        if len(self._lines) > MAX_TRACKED_LINES:
            del self._lines[next(iter(self._lines))]
        self._emit(event)


def _may_repeat(event: Event) -> bool:
    """Return True if the same event may occur again and again while its cause lasts.

    That holds for warnings that belong to no Command and no message, and for changes of a condition, which
    can alternate for days.
    """
    if event.command_id is not None or event.reply_id is not None:
        return False
    if event.condition is not None or event.resolves is not None:
        return event.severity > Severity.DEBUG
    return event.severity >= Severity.WARNING
