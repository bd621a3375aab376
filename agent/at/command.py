"""An AT command as a value: what is written, and what its answer looks like.

Only the command knows whether a line is its answer or news, whether a payload follows, and whether the
module will ask for a body. The engine decides by this and by nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from agent.at.errors import AtUsageError
from hardware.recording import redact_pins

MAX_COMMAND_LINE_CHARS = 200
"""Characters of a command line. V.250 5.2.1 promises 40; modules of today take some hundreds."""

_LEAVES_COMMAND_STATE = re.compile(r"\+CMG[SWC]\s*=(?!\?)|\+CNMA\s*=\s*\d+\s*,|^AT\s*D|\+CMUX|\+CESP")
_COMMAND_LINE = re.compile(r"AT[\x20-\x7e]*")


class PayloadKind(Enum):
    """What follows a header line."""

    NONE = "nothing"
    HEX_LINE = "one line of hexadecimal digits"
    """PDU mode, 27.005 clause 4. Whatever that line reads, it is payload."""
    COUNTED = "as many octets as the header says"
    """Text mode with +CSDH=1: any octets, line ends too. Without a length in the header as HEX_LINE."""


@dataclass(frozen=True, slots=True)
class ResponsePattern:
    """One form that information lines of a command may have."""

    prefix: str = ""
    """The name before the colon, for example "+CMGR"; empty for lines without one (+CGMM, +CIMI)."""
    value_pattern: re.Pattern[str] | None = None
    """What must follow the name (from its start), or the whole line where there is no name.

    Needed where an unsolicited code has the same name: `+CREG: 1,5` answers `+CREG?`, `+CREG: 5` is news.
    """
    payload_kind: PayloadKind = PayloadKind.NONE
    may_repeat: bool = False
    """More than one such line may come. Otherwise the first is the answer and any other is news."""


@dataclass(frozen=True, slots=True)
class AtCommand:
    """A command line, with its own time limit."""

    line: str
    """Without the carriage return."""
    timeout_s: float
    """To the final result; where a body is asked for, to the prompt."""
    response_patterns: tuple[ResponsePattern, ...] = ()
    requires_information: bool = False
    """An OK without information is doubtful: it may belong to another command."""
    final_result_grace_s: float = 2.0
    """How long after its one information line the final result may be missing: then it counts as OK."""
    body: bytes = b""
    """Written at the prompt, with its end; empty: no prompt comes."""
    body_timeout_s: float = 0.0
    """From the last octet of the body to the final result."""
    abort_sequence: bytes = b""
    """Ends a text entry in which ESC does nothing and no octet of the body was written; must be harmless."""
    is_sync_marker: bool = False
    """Its information line shows that all earlier commands are over (see `resynchronise`)."""
    no_retry: bool = False
    """Not written again even where it was refused after a silence: a refusal may have cost something."""

    def __post_init__(self) -> None:
        if not _COMMAND_LINE.fullmatch(self.line) or len(self.line) > MAX_COMMAND_LINE_CHARS:
            raise AtUsageError(
                self.line,
                f"{self.redacted_line[:MAX_COMMAND_LINE_CHARS]!r} is no command line that may be written",
            )

    @property
    def name(self) -> str:
        """The name in the command line, for example "+CMGR"."""
        return self.line[2:].partition("=")[0].partition("?")[0]

    @property
    def redacted_line(self) -> str:
        """The line for people: without a PIN that is in it."""
        return redact_pins(self.line)

    @classmethod
    def from_user_input(cls, line: str, timeout_s: float) -> AtCommand:
        """A command typed by a person: every line that is no known news is its answer.

        Raises ConversationError for one that leaves the command state: nobody would end the text entry or
        the call that it opens, and the line would be deaf until the module gives up by itself.
        """
        if _LEAVES_COMMAND_STATE.search(line.upper()):
            raise AtUsageError(
                line, f"{redact_pins(line)} opens a text entry or a call, which cannot be done from here"
            )
        name = re.match(r"AT([+^#%*!$&][A-Z0-9]+)", line.upper())
        named = (ResponsePattern(name[1], may_repeat=True),) if name else ()
        return cls(line, timeout_s, (*named, ResponsePattern(may_repeat=True)), no_retry=True)
