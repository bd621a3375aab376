"""What the engine makes of the bytes from a module. The words are those of V.250 and 27.007."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Information:
    """A line that answers the pending command, with its payload."""

    text: str
    payload: str | None = None
    """The line that followed a header; None where none was expected or none came."""


@dataclass(frozen=True, slots=True)
class FinalResult:
    """The final result code that ends the pending command."""

    text: str
    ok: bool
    kind: str = "error"
    """"cms", "cme", or "error" for an error without a number."""
    code: int | None = None
    name: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """The module waits for the body of the pending command."""


@dataclass(frozen=True, slots=True)
class Unsolicited:
    """A line that nobody asked for, with its payload."""

    text: str
    payload: str | None = None


@dataclass(frozen=True, slots=True)
class StaleResult:
    """Something that belongs to a command given up before, or to none of ours."""

    text: str
    payload: str | None = None
    final: FinalResult | None = None
    is_prompt: bool = False
    """A prompt that nobody waits for; the engine answers it with ESC."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Bytes that are no line of the conversation: another baud rate, another program, data mode."""

    reason: str
    sample: bytes
    """The first of them."""


AtEvent = Information | FinalResult | Prompt | Unsolicited | StaleResult | Noise
"""What the protocol state machine makes of received bytes."""


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
