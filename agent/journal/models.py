"""Rows as small frozen values: what the journal hands out, and what it is given to send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

import pdu


class StoreOutcome(Enum):
    """What became of a message that was shown to the journal. All of them may be deleted from the module."""

    NEW = "new"
    DUPLICATE = "double"
    """A further delivery of a Command, or of a part, that is known."""
    ALREADY_STORED = "known"
    """The very message that was committed before and not yet deleted."""
    EXPIRED = "expired"
    """Not newer than what the memory for doubles has forgotten: it may have been run long ago."""
    PART = "part"
    IGNORED = "stray"
    REPORT = "report"


@dataclass(frozen=True, slots=True)
class StoreResult:
    """The outcome and what the log line about it needs."""

    outcome: StoreOutcome
    command_id: int | None = None
    sid: str | None = None
    detail: str = ""
    content: str | bytes | None = None
    deliveries: int = 1
    """How often this Command has been delivered by now."""
    reply_id: int | None = None
    """The reply that a status report was matched with."""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A Command to be run; the columns of ``commands``."""

    id: int
    sid: str | None
    sender: str
    body: str | bytes
    timestamp: datetime | None
    answerable: bool
    attempts: int
    """Runs begun so far."""
    handler: str | None
    repeatable: bool
    state: str

    @property
    def mode(self) -> str:
        """``text`` or ``binary``."""
        return "text" if isinstance(self.body, str) else "binary"


COMMAND_COLUMNS = (
    "commands.id, commands.sid, sender, body, timestamp, answerable, commands.attempts, commands.handler,"
    " repeatable, commands.state"
)


def command_from_row(row: tuple[object, ...]) -> CommandRow:
    """A row of `COMMAND_COLUMNS`."""
    number, sid, sender, body, timestamp, answerable, attempt, handler, repeatable, state = row
    return CommandRow(
        int(str(number)),
        None if sid is None else str(sid),
        str(sender),
        body if isinstance(body, (str, bytes)) else str(body),
        None if timestamp is None else datetime.fromisoformat(str(timestamp)),
        bool(answerable),
        int(str(attempt)),
        None if handler is None else str(handler),
        bool(repeatable),
        str(state),
    )


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to queue."""

    destination: str
    user_data: pdu.UserData
    part: int
    parts: int
    error_answer: bool = False


@dataclass(frozen=True, slots=True)
class ReplyRow:
    """A message to send; the columns of ``replies``."""

    id: int
    command_id: int | None
    sid: str | None
    destination: str
    user_data: pdu.UserData
    part: int
    parts: int
    attempts: int
    reason: str | None = None
    """What the last attempt ended with."""


@dataclass(frozen=True, slots=True)
class ActionRow:
    """Something a handler asked to be done after its answer; the columns of ``actions``."""

    id: int
    command: CommandRow
    handler: str
    action: str
    reply_settled: bool
    """Whether every message of the answer has been sent, refused or is unknown."""
    age_s: float
