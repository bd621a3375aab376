"""What intake tells: a step for each message that came, and what the module says of itself."""

from __future__ import annotations

import pdu
from agent.at.errors import CommandRefused
from agent.common.events import Condition, Event, EventSink, Severity
from agent.journal.models import StoreOutcome, StoreResult
from agent.modem.stored_message import StoredMessage

_SIM_URC_PREFIXES = ("+CPIN", "+QUSIM")
_EVENT_KINDS = {
    StoreOutcome.NEW: "received",
    StoreOutcome.DUPLICATE: "double",
    StoreOutcome.ALREADY_STORED: "known",
    StoreOutcome.EXPIRED: "expired",
    StoreOutcome.PART: "part",
    StoreOutcome.IGNORED: "stray",
    StoreOutcome.REPORT: "report",
}


class ReceiverLog:
    """Says what came. `run_first`: whether what the module holds at a first start is carried out."""

    def __init__(self, emit: EventSink, *, run_on_first_start: bool) -> None:
        self._emit = emit
        self._run_on_first_start = run_on_first_start

    def log_stored(self, result: StoreResult) -> None:
        """What became of a message."""
        detail = result.detail
        if result.outcome is StoreOutcome.DUPLICATE and result.command_id is not None:
            detail = f"delivery {result.deliveries}, not run again"
        self._emit(
            Event(
                _EVENT_KINDS[result.outcome],
                detail,
                command_id=result.command_id,
                sid=result.sid,
                reply_id=result.reply_id,
                content=result.content,
                severity=Severity.DEBUG if result.outcome is StoreOutcome.ALREADY_STORED else Severity.INFO,
            )
        )

    def log_first_start(self, messages: list[StoredMessage]) -> None:
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
            "Commands are carried out"
            if self._run_on_first_start
            else "Commands are kept as expired, not carried out"
        )
        text = f"a new journal; the module holds {count}{sent}; {does}"
        self._emit(Event("first start", text, severity=Severity.WARNING))

    def log_settings_lost(self, reason: str) -> None:
        """By what it shows: a SIM that comes or goes asks for the same as a new start."""
        if reason.startswith(_SIM_URC_PREFIXES):
            self._emit(
                Event("module", f"its SIM has changed its state ({reason})", severity=Severity.WARNING)
            )
        else:
            self._emit(
                Event("module restarted", reason, severity=Severity.WARNING, condition=Condition.CONNECTION)
            )

    def log_read_refused(self, error: CommandRefused) -> None:
        """A look into the module did not come about."""
        self._emit(Event("refused", f"{error}; looking again within a minute", severity=Severity.WARNING))
