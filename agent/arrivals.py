"""What intake tells: a step for each message that came, and what the module says of itself."""

from __future__ import annotations

import pdu
from agent.at.error import CommandRefused
from agent.journal.rows import Kept, Outcome
from agent.modem.stored import StoredMessage
from agent.story import Step, Tell, Weight

_CARD = ("+CPIN", "+QUSIM")
_WORDS = {
    Outcome.NEW: "received",
    Outcome.DOUBLE: "double",
    Outcome.KNOWN: "known",
    Outcome.EXPIRED: "expired",
    Outcome.PART: "part",
    Outcome.STRAY: "stray",
    Outcome.REPORT: "report",
}


class Arrivals:
    """Says what came. `run_first`: whether what the module holds at a first start is carried out."""

    def __init__(self, tell: Tell, *, run_first: bool) -> None:
        self._tell = tell
        self._run_first = run_first

    def told(self, kept: Kept) -> None:
        """What became of a message."""
        detail = kept.detail
        if kept.outcome is Outcome.DOUBLE and kept.command is not None:
            detail = f"delivery {kept.deliveries}, not run again"
        self._tell(
            Step(
                _WORDS[kept.outcome],
                detail,
                command=kept.command,
                sid=kept.sid,
                reply=kept.reply,
                content=kept.content,
                weight=Weight.DETAIL if kept.outcome is Outcome.KNOWN else Weight.NORMAL,
            )
        )

    def found(self, messages: list[StoredMessage]) -> None:
        """A journal without memory begins: what the module holds may be old, or run long ago."""
        times = sorted(
            stamp.time
            for message in messages
            if isinstance(message.message, pdu.Deliver)
            and (stamp := message.message.service_centre_timestamp).time is not None
        )
        count = f"{len(messages)} message{'' if len(messages) == 1 else 's'}"
        if not messages:
            return
        sent = f", sent from {times[0].isoformat()} to {times[-1].isoformat()}" if times else ""
        does = (
            "Commands are carried out" if self._run_first else "Commands are kept as expired, not carried out"
        )
        text = f"a new journal; the module holds {count}{sent}; {does}"
        self._tell(Step("first start", text, weight=Weight.WARNING))

    def restarted(self, line: str) -> None:
        """By what it shows: a SIM that comes or goes asks for the same as a new start."""
        if line.startswith(_CARD):
            self._tell(Step("module", f"its SIM has changed its state ({line})", weight=Weight.WARNING))
        else:
            self._tell(Step("module restarted", line, weight=Weight.WARNING))

    def refused(self, error: CommandRefused) -> None:
        """A look into the module did not come about."""
        self._tell(Step("refused", f"{error}; looking again within a minute", weight=Weight.WARNING))
