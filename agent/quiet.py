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

from agent.story import Step, Tell, Weight

FIRST_S = 60.0
CAP_S = 6 * 3600.0
FORGET_S = 2 * 3600.0
"""A trouble that did not come for so long, or not for as long as it was silent, is a new one."""
KNOWN = 200
"""Conditions that are remembered; beyond them the oldest is forgotten."""
_CHANGES = frozenset({"registration", "session", "journal commits again"})
"""Words of conditions that are no trouble, but may change to and fro for days."""
_LINE = frozenset({"session ended", "session failed", "module", "module restarted", "port"})
"""Words of troubles that a new session ends."""
_DIGITS = re.compile(r"\d+")


@dataclass(slots=True)
class _Condition:
    said: float
    seen: float
    wait_s: float = FIRST_S
    times: int = 0
    """How often it came since it was said."""


class Quiet:
    """A `Tell` in front of another."""

    def __init__(self, tell: Tell, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._tell = tell
        self._clock = clock
        self._known: dict[str, _Condition] = {}
        self._owed: set[str] = set()
        """Which ends are to be said, as the trouble before them was."""

    def __call__(self, step: Step) -> None:
        """Tell it, or tell it as a detail."""
        event = step.command is not None or step.reply is not None
        if event or (step.weight < Weight.WARNING and step.what not in _CHANGES):
            self._tell(step)
            return
        now = self._clock()
        key = _DIGITS.sub("#", f"{step.what}: {step.detail}")
        known = self._known.pop(key, None)
        ended = _ended_by(step)
        if known is None or now - known.seen >= max(FORGET_S, known.wait_s) or ended in self._owed:
            known = _Condition(now, now)
        elif now - known.said >= known.wait_s and not ended:
            if known.times:
                step = replace(step, detail=f"{step.detail} ({known.times} times more since it was said)")
            known = _Condition(now, now, min(2 * known.wait_s, CAP_S))
        else:
            known.seen, known.times = now, known.times + 1
            step = replace(step, weight=Weight.DETAIL)
        if step.weight > Weight.DETAIL:
            self._owed.discard(ended)
            self._owed |= {_begun_by(step)} - {""}
        self._known[key] = known
        if len(self._known) > KNOWN:
            del self._known[next(iter(self._known))]
        self._tell(step)


def _begun_by(step: Step) -> str:
    """Which trouble this begins or goes on with, empty for one that has no end of its own."""
    if step.what in _LINE:
        return "line"
    if step.what == "journal cannot commit":
        return "journal"
    return "network" if step.what == "registration" and not _ended_by(step) else ""


def _ended_by(step: Step) -> str:
    """Which trouble this ends, empty for none."""
    if step.what == "session":
        return "line"
    if step.what == "journal commits again":
        return "journal"
    return "network" if step.what == "registration" and step.detail.startswith("registered") else ""
