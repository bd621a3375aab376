"""Detect another program on the port: by answers to commands that were not sent, and by missing octets.

Another program that talks to the module (ModemManager probes new ports) leaves the answers to its commands
on our port. One that only reads takes octets away, so that our answers come in pieces. Either is reported
only after more than one sign, because modules repeat a result, send unknown URCs and lose octets at times. A
report is one log line per session and has no other effect.
"""

from __future__ import annotations

import re
from collections import deque

from agent.at.events import AtEvent, Noise, NoiseKind, StaleResult, Unsolicited

EVIDENCE_WINDOW_S = 60.0
"""Signs that are further apart are not added up."""
MIN_EVIDENCE = 2
"""The weight of signs that is reported; the answer to a command that was never sent counts for two."""
MIN_INCOMPLETE_ANSWERS = 2
"""The number of incomplete answers that is reported."""
INCOMPLETE_WINDOW_S = 240.0
"""Incomplete answers that are further apart are not counted together."""
REPEATED_RESULT_GRACE_S = 1.0
"""Some modules send an OK after an ERROR. After this time no further result of a command is expected."""
STALE_ANSWER_GRACE_S = 300.0
"""Time for which the answer to an abandoned command may still arrive."""
BOOT_IGNORE_S = 60.0
"""Time after a boot URC in which no event counts as a sign."""

_ANSWER_PREFIX = re.compile(
    r"(\+(?:CGMI|CGMM|CGMR|CGSN|CIMI|CSCS|CMGF|CMEE|CNMI|CPMS|CSMS|CSCA|CMGL|CMGR|CNUM|COPS)):"
    r"|(\+(?:GCAP|GMI|GMM|GMR|GSN|CLAC|CPAS|CPBS|CPOL|CGDCONT|WS46)):"
)
"""Names that are never URCs, only answers. The agent never sends the commands of the second group."""


class ContentionDetector:
    """Collects the signs of one session. All times are seconds of one clock."""

    def __init__(self, now: float) -> None:
        self._sent_commands: set[str] = set()
        self._evidence: deque[tuple[float, str]] = deque(maxlen=4 * MIN_EVIDENCE)
        self._incomplete_answers: deque[float] = deque(maxlen=MIN_INCOMPLETE_ANSWERS)
        # The user of the port before us, perhaps this agent, may have sent the command that is answered now.
        self._finished_at = self._abandoned_at = now
        self._booted_at = now - BOOT_IGNORE_S
        self._command_pending = False
        self._is_reported = False

    def on_command_sent(self, name: str) -> None:
        """Record that a command with this name was written."""
        self._command_pending = True
        self._sent_commands.add(name)

    def on_command_finished(self, now: float) -> None:
        """Record that the pending command has ended."""
        self._command_pending, self._finished_at = False, now

    def on_incomplete_answer(self, now: float) -> str:
        """Record a command without a final result code although something was received.

        Returns the evidence to report as a clause, empty for nothing.
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
        """Record a boot URC."""
        self._booted_at = now

    def on_event(self, event: AtEvent, now: float) -> str:
        """Record a received event. Returns the evidence to report as a clause, empty for nothing."""
        sign, weight = self._weigh_event(event, now)
        if not sign or now - self._booted_at < BOOT_IGNORE_S:
            return ""
        self._evidence.extend([(now, sign)] * weight)
        while now - self._evidence[0][0] > EVIDENCE_WINDOW_S:
            self._evidence.popleft()
        if len(self._evidence) < MIN_EVIDENCE:
            return ""
        signs = ", ".join(dict.fromkeys(sign for _, sign in self._evidence))
        return self._report_once(f"the module sends what this agent did not ask for ({signs})")

    def _weigh_event(self, event: AtEvent, now: float) -> tuple[str, int]:
        """Return a word for the sign and its weight; an empty word if the event is not a sign."""
        no_stale_answers = now - self._abandoned_at > STALE_ANSWER_GRACE_S
        idle = (
            no_stale_answers
            and not self._command_pending
            and now - self._finished_at > REPEATED_RESULT_GRACE_S
        )
        match event:
            case Unsolicited(text) if found := _ANSWER_PREFIX.match(text):
                name = found[0].rstrip(":")
                if name not in self._sent_commands and (no_stale_answers or found[2]):
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
