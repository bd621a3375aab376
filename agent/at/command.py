"""An AT command as a value: the line to write, and the form of its answer.

Only the command determines whether a line is its answer or a URC, whether a payload follows, and whether the
module will prompt for a body. The protocol decides by this alone.
"""

from __future__ import annotations

import re
from enum import Enum

from agent.at.command_line import split_command_line
from agent.at.errors import AtUsageError
from hardware.recording import redact_pins
from pdu.record import Record

MAX_COMMAND_LINE_CHARS = 200
"""Longest command line. V.250 5.2.1 guarantees 40 characters; current modules accept several hundred."""

_COMMAND_LINE = re.compile(r"AT[\x20-\x7e]*")


class PayloadKind(Enum):
    """The kind of payload that follows a header line."""

    NONE = "nothing"
    HEX_LINE = "one line of hexadecimal digits"
    """PDU mode, 27.005 clause 4. That line is payload whatever it contains."""
    COUNTED = "as many octets as the header announces"
    """Text mode with +CSDH=1: any octets, also line ends. Without a length in the header: as HEX_LINE."""


class ResponsePattern(Record):
    """One form that information lines of a command may have."""

    prefix: str = ""
    """The name before the colon, for example "+CMGR"; empty for free text (+CGMM, ATI).

    Free text may have several lines, and any line is part of it, with a name or without, unless it is a
    known URC.
    """
    value_pattern: re.Pattern[str] | None = None
    """Matches the start of the text after the name; None for any text.

    Needed where a URC has the same name: `+CREG: 1,5` answers `+CREG?`, `+CREG: 5` is a URC. A line in
    another form is the answer after all if OK comes and nothing else was the answer.
    """
    payload_kind: PayloadKind = PayloadKind.NONE
    may_repeat: bool = False
    """True if several lines with this name may come. Otherwise the first is the answer, another one a URC.

    For free text: True if more lines may follow later than `final_result_grace_s`.
    """


class AtCommand(Record):
    """A command line with its own timeouts."""

    line: str
    """The command line without the carriage return."""
    timeout_s: float
    """Timeout of the final result code; for a command with a body, timeout of the prompt."""
    response_patterns: tuple[ResponsePattern, ...] = ()
    requires_information: bool = False
    """True if an OK without information may belong to another command."""
    final_result_grace_s: float = 2.0
    """Timeout from the one information line to the final result code. After it the command counts as OK."""
    body: bytes = b""
    """Written at the prompt, with Ctrl-Z at its end; empty for a command without a prompt."""
    body_timeout_s: float = 0.0
    """Timeout from the last octet of the body to the final result code."""
    abort_sequence: bytes = b""
    """Ends text entry if ESC has no effect and no octet of the body was written. It must be harmless."""
    is_sync_marker: bool = False
    """True for a synchronisation query: its information line shows that all earlier commands are over."""
    no_retry: bool = False
    """True if it is never retried after a silence, because a refusal may have cost something (a PIN try)."""
    hides_values: bool = False
    """True if logs and errors have its name only: its values may be a password."""

    def __post_init__(self) -> None:
        if not _COMMAND_LINE.fullmatch(self.line) or len(self.line) > MAX_COMMAND_LINE_CHARS:
            raise AtUsageError(
                self.line,
                f"{self.redacted_line[:MAX_COMMAND_LINE_CHARS]!r} is not a valid AT command line",
            )

    @property
    def name(self) -> str:
        """The name in the command line, for example "+CMGR"."""
        return self.line[2:].partition("=")[0].partition("?")[0]

    @property
    def redacted_line(self) -> str:
        """The command line for logs and errors, without the PIN that may be in it."""
        return f"AT{self.name}" if self.hides_values else redact_pins(self.line)

    @classmethod
    def from_user_input(cls, line: str, timeout_s: float) -> AtCommand:
        """Return a command that an operator typed. Every line that is not a known URC is its answer.

        Raises AtUsageError for a command that opens text entry or a call: nothing would close these, and the
        module would not answer until it closes them by itself.
        """
        line = line[:2].upper() + line[2:]
        if any(part.leaves_command_state for part in split_command_line(line)):
            raise AtUsageError(
                line, f"{redact_pins(line)} opens a text entry or a call, which cannot be done from here"
            )
        name = re.match(r"AT([+^#%*!$&][A-Z0-9]+)", line.upper())
        named = (ResponsePattern(name[1], may_repeat=True),) if name else ()
        return cls(line, timeout_s, (*named, ResponsePattern(may_repeat=True)), no_retry=True)
