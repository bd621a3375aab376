"""Events from a module. The names are those of V.250 and 27.007."""

from __future__ import annotations

from enum import Enum

from agent.at.error_codes import ErrorKind
from pdu.record import Record


class Information(Record):
    """A line that answers the pending command, with its payload."""

    text: str
    payload: str | None = None
    """The payload after the header; None if none was expected, or none was received."""


class FinalResult(Record):
    """The final result code that ends the pending command."""

    text: str
    ok: bool
    kind: ErrorKind = ErrorKind.PLAIN
    """The final result code of an error."""
    code: int | None = None
    """The number of the error, None for one without a number and for OK."""
    name: str = ""
    """The name of the error, empty for a number that no table has."""


class Prompt(Record):
    """The module waits for the body of the pending command."""


class Unsolicited(Record):
    """An unsolicited result code (URC), with its payload."""

    text: str
    """The line; empty for a payload whose header was lost."""
    payload: str | None = None


class StaleResult(Record):
    """A result of an abandoned command, or of another program's command."""

    text: str
    payload: str | None = None
    final: FinalResult | None = None
    is_prompt: bool = False
    """True for a prompt that no command waits for; the protocol answers it with ESC."""


class NoiseKind(Enum):
    """The reason why bytes are not part of the AT protocol."""

    UNTERMINATED_LINE = "a line without an end"
    NON_TEXT = "non-text bytes"
    JOINED_LINES = "two lines without a line end between them"
    FOREIGN_COMMAND = "a command line of another program"


class Noise(Record):
    """Bytes that are not part of the AT protocol: another baud rate, another program, data mode."""

    kind: NoiseKind
    sample: bytes
    """The first bytes."""


AtEvent = Information | FinalResult | Prompt | Unsolicited | StaleResult | Noise
"""The events that the protocol derives from received bytes."""


class RescanNeeded(Record):
    """Something may have changed that no URC describes: read every store."""


class EchoReturned(Record):
    """The module echoes again although echo was switched off: it has lost its settings."""


class PortContention(Record):
    """Another program seems to use the port."""

    evidence: str
    """The observation that shows it, as a clause."""


UrcEvent = Unsolicited | RescanNeeded | EchoReturned | PortContention
"""The unsolicited events of a connection."""
