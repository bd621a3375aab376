"""Whether somebody else is on our line: what it says that nobody asked, and what of it is missing. Pure.

Another program that talks to the module (ModemManager probes new ports) leaves answers to its own commands.
One that only reads takes octets away: then answers come in pieces. Either is suspected after more than one
sign, for modules repeat a result, tell of strange things and lose octets at times; a suspicion costs a line
in the log, once a session, and nothing else.
"""

from __future__ import annotations

import re
from collections import deque

from agent.at.event import Event, LateResult, Noise, Unsolicited

TOGETHER_S = 60.0
"""Signs that lie further apart do not add up."""
SIGNS = 2
"""So many signs of another program are enough; an answer to what was never asked counts for two."""
PIECES = 2
"""So many answers that came in pieces are enough."""
PIECES_S = 240.0
RESULT_S = 1.0
"""Some modules follow an ERROR by an OK; so long after a command its module has nothing more to say of it."""
LATE_S = 300.0
"""So long after a command was given up its answer may come."""
BOOT_S = 60.0
"""A module that starts says anything."""

_ANSWER = re.compile(
    r"(\+(?:CGMI|CGMM|CGMR|CGSN|CIMI|CSCS|CMGF|CMEE|CNMI|CPMS|CSMS|CSCA|CMGL|CMGR|CNUM|COPS)):"
    r"|(\+(?:GCAP|GMI|GMM|GMR|GSN|CLAC|CPAS|CPBS|CPOL|CGDCONT|WS46)):"
)
"""Names that begin answers only, no module tells them by itself; the second ones are never asked for here."""


class Surplus:
    """The signs of one session. Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._asked: set[str] = set()
        self._signs: deque[tuple[float, str]] = deque(maxlen=4 * SIGNS)
        self._pieces: deque[float] = deque(maxlen=PIECES)
        # Whoever had the port before us, perhaps we ourselves, may have asked what is answered now.
        self._ended_at = self._given_up_at = now
        self._booted_at = now - BOOT_S
        self._pending = False
        self._told = False

    def asked(self, line: str) -> None:
        """A command line is written."""
        self._pending = True
        self._asked.add(line[2:].partition("=")[0].partition("?")[0])

    def ended(self, now: float) -> None:
        """It has its result."""
        self._pending, self._ended_at = False, now

    def incomplete(self, now: float) -> str:
        """A command was given up, or answered without what it asked for, although something came.

        Returns what is suspected, empty for nothing.
        """
        self._given_up_at = now
        if now - self._booted_at < BOOT_S:
            return ""
        self._pieces.append(now)
        while now - self._pieces[0] > PIECES_S:
            self._pieces.popleft()
        if len(self._pieces) < PIECES:
            return ""
        return self._once("octets of its answers are missing")

    def booted(self, now: float) -> None:
        """The module says that it has just started."""
        self._booted_at = now

    def heard(self, event: Event, now: float) -> str:
        """What came; returns what is suspected, empty for nothing."""
        sign, weight = self._sign(event, now)
        if not sign or now - self._booted_at < BOOT_S:
            return ""
        self._signs.extend([(now, sign)] * weight)
        while now - self._signs[0][0] > TOGETHER_S:
            self._signs.popleft()
        if len(self._signs) < SIGNS:
            return ""
        said = ", ".join(dict.fromkeys(sign for _, sign in self._signs))
        return self._once(f"it says what nobody asked for ({said})")

    def _sign(self, event: Event, now: float) -> tuple[str, int]:
        """A word for it and how much it says."""
        clear = now - self._given_up_at > LATE_S
        idle = clear and not self._pending and now - self._ended_at > RESULT_S
        match event:
            case Unsolicited(text) if found := _ANSWER.match(text):
                name = found[0].rstrip(":")
                if name not in self._asked and (clear or found[2]):
                    return name, 2
                return (name, 1) if idle else ("", 0)
            case LateResult(final=final) if final is not None and idle:
                return final.text, 1
            case Noise(reason) if idle and "not ours" in reason:
                return "a command line", 1
        return "", 0

    def _once(self, said: str) -> str:
        if self._told:
            return ""
        self._told = True
        return said
