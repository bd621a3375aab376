"""Events from a module. The names are those of V.250 and 27.007."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from agent.at.error_codes import ErrorKind


@dataclass(frozen=True, slots=True)
class Information:
    """A line that answers the pending command, with its payload."""

    text: str
    payload: str | None = None
    """What followed the header; None where no payload was expected, or none came."""


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The final result code that ends the pending command."""

    text: str
    ok: bool
    kind: ErrorKind = ErrorKind.PLAIN
    """Of an error: which final result code it was."""
    code: int | None = None
    """The number of the error, None for one without a number and for OK."""
    name: str = ""
    """The name of the error, empty for a number that no table has."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The module waits for the body of the pending command."""


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """An unsolicited result code (URC), with its payload."""

    text: str
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class StaleResult:
    """A result of an abandoned command, or of another program's command."""

    text: str
    payload: str | None = None
    final: FinalResult | None = None
    is_prompt: bool = False
    """True for a prompt that no command waits for; the protocol answers it with ESC."""


class NoiseKind(Enum):
    """Why bytes are not a part of the AT protocol."""

    UNTERMINATED_LINE = "a line without an end"
    NON_TEXT = "non-text bytes"
    PAYLOAD_WITHOUT_HEADER = "a payload without a header"
    FOREIGN_COMMAND = "a command line of another program"


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are not a part of the AT protocol: another baud rate, another program, data mode."""

    kind: NoiseKind
    sample: bytes
    """The first of the bytes."""


AtEvent = Information | FinalResult | Prompt | Unsolicited | StaleResult | Noise
"""What the protocol makes of received bytes."""


@dataclass(frozen=True, slots=True)
class RescanNeeded:
    """Something may have changed that no URC describes: read every store."""


@dataclass(frozen=True, slots=True)
class EchoReturned:
    """The module echoes again although echo was switched off: it has lost its settings."""


@dataclass(frozen=True, slots=True)
class PortContention:
    """Another program seems to use the port."""

    evidence: str
    """What shows it, as a clause."""


UrcEvent = Unsolicited | RescanNeeded | EchoReturned | PortContention
"""What a connection reports without having been asked."""
