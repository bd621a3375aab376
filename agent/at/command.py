"""An AT command as a value: what is written, and what its answer looks like.

Only the command knows whether a line is its answer or news, whether a payload follows, and whether the
module will ask for a body. The engine decides by this and by nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from agent.at.error import ConversationError
from hardware.recording import hidden

LINE_LIMIT = 200
"""Characters of a command line. V.250 5.2.1 promises 40; modules of today take some hundreds."""

_LEAVES = re.compile(r"\+CMG[SWC]\s*=(?!\?)|\+CNMA\s*=\s*\d+\s*,|^AT\s*D|\+CMUX|\+CESP")
_WRITABLE = re.compile(r"AT[\x20-\x7e]*")


class Payload(Enum):
    """What follows a header line."""

    NONE = "nothing"
    HEX_LINE = "one line of hexadecimal digits"
    """PDU mode, 27.005 clause 4. Whatever that line reads, it is payload."""
    COUNTED = "as many octets as the header says"
    """Text mode with +CSDH=1: any octets, line ends too. Without a length in the header as HEX_LINE."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One form that information lines of a command may have."""

    name: str = ""
    """The name before the colon, for example "+CMGR"; empty for lines without one (+CGMM, +CIMI)."""
    shape: re.Pattern[str] | None = None
    """What must follow the name (from its start), or the whole line where there is no name.

    Needed where an unsolicited code has the same name: `+CREG: 1,5` answers `+CREG?`, `+CREG: 5` is news.
    """
    payload: Payload = Payload.NONE
    many: bool = False
    """More than one such line may come. Otherwise the first is the answer and any other is news."""


@dataclass(frozen=True, slots=True)
class AtCommand:
    """A command line, with its own time limit."""

    line: str
    """Without the carriage return."""
    timeout_s: float
    """To the final result; where a body is asked for, to the prompt."""
    answers: tuple[Answer, ...] = ()
    informs: bool = False
    """An OK without information is doubtful: it may belong to another command."""
    settle_s: float = 2.0
    """How long after its one information line the final result may be missing: then it counts as OK."""
    body: bytes = b""
    """Written at the prompt, with its end; empty: no prompt comes."""
    body_timeout_s: float = 0.0
    """From the last octet of the body to the final result."""
    give_up: bytes = b""
    """Ends a text entry in which ESC does nothing and no octet of the body was written; must be harmless."""
    marks: bool = False
    """Its information line shows that all earlier commands are over (see `resynchronise`)."""
    once: bool = False
    """Not written again even where it was refused after a silence: a refusal may have cost something."""

    def __post_init__(self) -> None:
        if not _WRITABLE.fullmatch(self.line) or len(self.line) > LINE_LIMIT:
            raise ConversationError(
                self.line, f"{self.shown[:LINE_LIMIT]!r} is no command line that may be written"
            )

    @property
    def shown(self) -> str:
        """The line for people: without a PIN that is in it."""
        return hidden(self.line)

    @classmethod
    def raw(cls, line: str, timeout_s: float) -> AtCommand:
        """A command typed by a person: every line that is no known news is its answer.

        Raises ConversationError for one that leaves the command state: nobody would end the text entry or
        the call that it opens, and the line would be deaf until the module gives up by itself.
        """
        if _LEAVES.search(line.upper()):
            raise ConversationError(
                line, f"{hidden(line)} opens a text entry or a call, which cannot be done from here"
            )
        name = re.match(r"AT([+^#%*!$&][A-Z0-9]+)", line.upper())
        named = (Answer(name[1], many=True),) if name else ()
        return cls(line, timeout_s, (*named, Answer(many=True)), once=True)
