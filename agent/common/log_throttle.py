"""Keeps a trouble that lasts from filling the log: said when it begins, then ever more seldom.

What is told of one Command or one message is an event and is always said. What is told of the module, the
line, the journal or the network is a condition: it comes again with each look, for days if need be, and fills
a small disk. So it is said at first, and again after a minute, two, four and so on, up to six hours; in
between it is a detail. That is at most 13 lines in the first day and 4 in each further one. When the end of a
trouble that was said comes, it is said as well: whoever reads the log sees how things stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from agent.common.events import Event, EventSink, Severity

INITIAL_INTERVAL_S = 60.0
MAX_INTERVAL_S = 6 * 3600.0
FORGET_AFTER_S = 2 * 3600.0
"""A trouble that did not come for so long, or not for as long as it was silent, is a new one."""
MAX_CONDITIONS = 200
"""Conditions that are remembered; beyond them the oldest is forgotten."""
_STATE_CHANGE_KINDS = frozenset({"registration", "session", "journal commits again"})
"""Words of conditions that are no trouble, but may change to and fro for days."""
_CONNECTION_FAILURE_KINDS = frozenset(
    {"session ended", "session failed", "module", "module restarted", "port"}
)
"""Words of troubles that a new session ends."""
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True)
class _ThrottleState:
    last_logged_at: float
    last_seen_at: float
    interval_s: float = INITIAL_INTERVAL_S
    suppressed_count: int = 0
    """How often it came since it was said."""


class LogThrottle:
    """A `Tell` in front of another."""

    def __init__(self, emit: EventSink, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._emit = emit
        self._clock = clock
        self._conditions: dict[str, _ThrottleState] = {}
        self._pending_resolutions: set[str] = set()
        """Which ends are to be said, as the trouble before them was."""

    def __call__(self, step: Event) -> None:
        """Tell it, or tell it as a detail."""
        event = step.command is not None or step.reply is not None
        if event or (step.severity < Severity.WARNING and step.kind not in _STATE_CHANGE_KINDS):
            self._emit(step)
            return
        now = self._clock()
        key = _DIGITS.sub("#", f"{step.kind}: {step.message}")
        known = self._conditions.pop(key, None)
        ended = _resolved_condition(step)
        if (
            known is None
            or now - known.last_seen_at >= max(FORGET_AFTER_S, known.interval_s)
            or ended in self._pending_resolutions
        ):
            known = _ThrottleState(now, now)
        elif now - known.last_logged_at >= known.interval_s and not ended:
            if known.suppressed_count:
                step = replace(
                    step, message=f"{step.message} ({known.suppressed_count} times more since it was said)"
                )
            known = _ThrottleState(now, now, min(2 * known.interval_s, MAX_INTERVAL_S))
        else:
            known.last_seen_at, known.suppressed_count = now, known.suppressed_count + 1
            step = replace(step, severity=Severity.DEBUG)
        if step.severity > Severity.DEBUG:
            self._pending_resolutions.discard(ended)
            self._pending_resolutions |= {_raised_condition(step)} - {""}
        self._conditions[key] = known
        if len(self._conditions) > MAX_CONDITIONS:
            del self._conditions[next(iter(self._conditions))]
        self._emit(step)


def _raised_condition(event: Event) -> str:
    """Which trouble this begins or goes on with, empty for one that has no end of its own."""
    if event.kind in _CONNECTION_FAILURE_KINDS:
        return "line"
    if event.kind == "journal cannot commit":
        return "journal"
    return "network" if event.kind == "registration" and not _resolved_condition(event) else ""


def _resolved_condition(event: Event) -> str:
    """Which trouble this ends, empty for none."""
    if event.kind == "session":
        return "line"
    if event.kind == "journal commits again":
        return "journal"
    return "network" if event.kind == "registration" and event.message.startswith("registered") else ""
