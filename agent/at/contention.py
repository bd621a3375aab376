"""Whether somebody else is on our line: what it says that nobody asked, and what of it is missing. Pure.

Another program that talks to the module (ModemManager probes new ports) leaves answers to its own commands.
One that only reads takes octets away: then answers come in pieces. Either is suspected after more than one
sign, for modules repeat a result, tell of strange things and lose octets at times; a suspicion costs a line
in the log, once a session, and nothing else.
"""

from __future__ import annotations

import re
from collections import deque

from agent.at.events import AtEvent, Noise, NoiseKind, StaleResult, Unsolicited

EVIDENCE_WINDOW_S = 60.0
"""Signs that lie further apart do not add up."""
MIN_EVIDENCE = 2
"""So many signs of another program are enough; an answer to what was never asked counts for two."""
MIN_INCOMPLETE_ANSWERS = 2
"""So many answers that came in pieces are enough."""
INCOMPLETE_WINDOW_S = 240.0
REPEATED_RESULT_GRACE_S = 1.0
"""Some modules follow an ERROR by an OK; so long after a command its module has nothing more to say of it."""
STALE_ANSWER_GRACE_S = 300.0
"""So long after a command was given up its answer may come."""
BOOT_IGNORE_S = 60.0
"""A module that starts says anything."""

_ANSWER_PREFIX = re.compile(
    r"(\+(?:CGMI|CGMM|CGMR|CGSN|CIMI|CSCS|CMGF|CMEE|CNMI|CPMS|CSMS|CSCA|CMGL|CMGR|CNUM|COPS)):"
    r"|(\+(?:GCAP|GMI|GMM|GMR|GSN|CLAC|CPAS|CPBS|CPOL|CGDCONT|WS46)):"
)
"""Names that begin answers only, no module tells them by itself; the second ones are never asked for here."""


class ContentionDetector:
    """The signs of one session. Times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._sent_commands: set[str] = set()
        self._evidence: deque[tuple[float, str]] = deque(maxlen=4 * MIN_EVIDENCE)
        self._incomplete_answers: deque[float] = deque(maxlen=MIN_INCOMPLETE_ANSWERS)
        # Whoever had the port before us, perhaps we ourselves, may have asked what is answered now.
        self._finished_at = self._abandoned_at = now
        self._booted_at = now - BOOT_IGNORE_S
        self._command_pending = False
        self._is_reported = False

    def on_command_sent(self, name: str) -> None:
        """Record that a command with this name was written."""
        self._command_pending = True
        self._sent_commands.add(name)

    def on_command_finished(self, now: float) -> None:
        """It has its result."""
        self._command_pending, self._finished_at = False, now

    def on_incomplete_answer(self, now: float) -> str:
        """A command was given up, or answered without what it asked for, although something came.

        Returns what is suspected, empty for nothing.
        """
        self._abandoned_at = now
        if now - self._booted_at < BOOT_IGNORE_S:
            return ""
        self._incomplete_answers.append(now)
        while now - self._incomplete_answers[0] > INCOMPLETE_WINDOW_S:
            self._incomplete_answers.popleft()
        if len(self._incomplete_answers) < MIN_INCOMPLETE_ANSWERS:
            return ""
        return self._report_once("octets of its answers are missing")

    def on_boot(self, now: float) -> None:
        """The module says that it has just started."""
        self._booted_at = now

    def on_event(self, event: AtEvent, now: float) -> str:
        """What came; returns what is suspected, empty for nothing."""
        sign, weight = self._weigh_event(event, now)
        if not sign or now - self._booted_at < BOOT_IGNORE_S:
            return ""
        self._evidence.extend([(now, sign)] * weight)
        while now - self._evidence[0][0] > EVIDENCE_WINDOW_S:
            self._evidence.popleft()
        if len(self._evidence) < MIN_EVIDENCE:
            return ""
        said = ", ".join(dict.fromkeys(sign for _, sign in self._evidence))
        return self._report_once(f"it says what nobody asked for ({said})")

    def _weigh_event(self, event: AtEvent, now: float) -> tuple[str, int]:
        """A word for it and how much it says."""
        clear = now - self._abandoned_at > STALE_ANSWER_GRACE_S
        idle = clear and not self._command_pending and now - self._finished_at > REPEATED_RESULT_GRACE_S
        match event:
            case Unsolicited(text) if found := _ANSWER_PREFIX.match(text):
                name = found[0].rstrip(":")
                if name not in self._sent_commands and (clear or found[2]):
                    return name, 2
                return (name, 1) if idle else ("", 0)
            case StaleResult(final=final) if final is not None and idle:
                return final.text, 1
            case Noise(kind=NoiseKind.FOREIGN_COMMAND) if idle:
                return "a command line", 1
        return "", 0

    def _report_once(self, finding: str) -> str:
        if self._is_reported:
            return ""
        self._is_reported = True
        return finding
