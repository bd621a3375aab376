"""Rows of the journal as records, and the states that they go through."""

from __future__ import annotations

from datetime import datetime
from enum import Enum, StrEnum, auto

import pdu
from pdu.record import Record


class CommandState(StrEnum):
    """Values of ``commands.state``."""

    RECEIVED = "received"
    """Waits for its handler, or for the broker or server that it is forwarded to."""
    RUNNING = "running"
    """Its handler has been started."""
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    """Too old; it is kept and not run."""


class ReplyState(StrEnum):
    """Values of ``replies.state``."""

    QUEUED = "queued"
    SENDING = "sending"
    """Its body may have been written to the module."""
    SENT = "sent"
    """The module has confirmed it."""
    DELIVERED = "delivered"
    """A status report has confirmed it."""
    FAILED = "failed"
    UNKNOWN = "unknown"
    """It may have been sent: the module returned no result."""


class ActionState(StrEnum):
    """Values of ``actions.state``."""

    PENDING = "pending"
    RUNNING = "running"
    """It has been started, and is never started again."""
    DONE = "done"
    FAILED = "failed"


class StoreOutcome(Enum):
    """The outcome of storing a received message. After each of them it may be deleted from the module."""

    NEW = auto()
    DUPLICATE = auto()
    """Another delivery of a Command, or of a part, that was stored before."""
    ALREADY_STORED = auto()
    """This message was committed from this slot before, and is not yet deleted from the module."""
    EXPIRED = auto()
    """A Command not newer than the deduplication horizon: it may have been run long ago."""
    PART = auto()
    IGNORED = auto()
    REPORT = auto()


class RunStart(Record):
    """The handler that is to run a Command."""

    handler: str
    repeatable: bool
    """True if it may run again after an interruption."""


class StoreResult(Record):
    """The outcome, and the facts for the log line about it."""

    outcome: StoreOutcome
    command_id: int | None = None
    sid: str | None = None
    detail: str = ""
    content: str | bytes | None = None
    deliveries: int = 1
    """Number of deliveries of this Command, this one included."""
    reply_id: int | None = None
    """The reply that a status report was matched with."""
    started: CommandRow | None = None
    """The Command as it was before its run, if it was stored as running: its handler is to be started now."""


class CommandRow(Record):
    """A Command that is to be run or is running."""

    id: int
    sid: str | None
    sender: str
    body: str | bytes
    timestamp: datetime | None
    answerable: bool
    attempts: int
    """Number of runs that were started."""
    handler: str | None
    repeatable: bool
    port: int | None = None
    """The application port that it is addressed to; None for an ordinary message."""

    @property
    def mode(self) -> str:
        """``text`` or ``binary``."""
        return "text" if isinstance(self.body, str) else "binary"


COMMAND_COLUMNS = (
    "commands.id, commands.sid, sender, body, timestamp, answerable, commands.attempts, commands.handler,"
    " repeatable, port"
)


def command_from_row(row: tuple[object, ...]) -> CommandRow:
    """Convert a row of `COMMAND_COLUMNS`."""
    number, sid, sender, body, timestamp, answerable, attempts, handler, repeatable, port = row
    return CommandRow(
        int(str(number)),
        None if sid is None else str(sid),
        str(sender),
        body if isinstance(body, (str, bytes)) else str(body),
        None if timestamp is None else datetime.fromisoformat(str(timestamp)),
        bool(answerable),
        int(str(attempts)),
        None if handler is None else str(handler),
        bool(repeatable),
        None if port is None else int(str(port)),
    )


class OutgoingMessage(Record):
    """A message to put into the outbox."""

    destination: str
    user_data: pdu.UserData
    part: int
    parts: int
    error_reply: bool = False
    omitted: int = 0
    """In the last part: the number of characters of the whole text that were cut off."""


class ReplyRow(Record):
    """A queued message."""

    id: int
    command_id: int | None
    sid: str | None
    destination: str
    user_data: pdu.UserData
    part: int
    parts: int
    attempts: int
    reason: str | None = None
    """Result of the last attempt."""


class ActionRow(Record):
    """An action that a handler requested for the time after its reply."""

    id: int
    command: CommandRow
    handler: str
    action: str
    reply_settled: bool
    """True if no message of the reply is queued or being sent any more."""
    age_s: float
    """Seconds of uptime since the request."""
