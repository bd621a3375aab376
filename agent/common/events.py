"""What the agent does, a step at a time: told by the rooms on the road, shown by the log and the demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

PHONE_NUMBER_MIN_LENGTH = 7
"""Characters from which a number may be somebody's telephone."""


class Severity(IntEnum):
    """How much an operator wants to hear of it; the numbers are those of `logging`."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    kind: str
    """A word for it: received, double, stray, running, done, failed, queued, sending, sent ..."""
    message: str = ""
    """What a log line says beside it; never what a message says."""
    command: int | None = None
    """Number of the Command in the journal."""
    sid: str | None = None
    reply: int | None = None
    """Number of the message in the journal."""
    content: str | bytes | None = None
    """What the message says. People's words and secrets travel by SMS: the log leaves this out."""
    severity: Severity = Severity.INFO

    def __str__(self) -> str:
        """The log line: one line whatever it tells of."""
        name = "" if self.command is None else f" command {self.command}"
        name += "" if self.sid is None else f" {self.sid}"
        name += "" if self.reply is None else f" reply {self.reply}"
        return escape_unprintable(f"{self.kind}{name}{': ' if self.message else ''}{self.message}")


def mask_number(number: str) -> str:
    """What a log shows of a sender or a destination: of a telephone number its last three digits.

    Short codes and names tell nothing of a person and are shown whole.
    """
    return (
        number
        if len(number) < PHONE_NUMBER_MIN_LENGTH or not number.lstrip("+").isdigit()
        else f"…{number[-3:]}"
    )


def escape_unprintable(text: str) -> str:
    """What a stranger wrote must neither move a cursor nor forge a line: it is shown as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


EventSink = Callable[[Event], None]
