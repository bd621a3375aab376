"""What can go wrong with an AT command.

AtError                  command
  CommandRefused         the module said no; code, name, and whether trying again helps
  CommandTimedOut        no final result came: whether it was carried out is unknown
  ModemLost              the wire is gone, or the module no longer answers
  ConversationError      our own misuse
"""

from __future__ import annotations

import re

from agent.at.error_codes import ErrorClass, classify_error
from agent.at.events import FinalResult, StaleResult

__all__ = [
    "AtError",
    "AtUsageError",
    "CommandRefused",
    "CommandTimedOut",
    "ErrorClass",
    "ModemLost",
]

_UNSUPPORTED_TEXT = re.compile(r"UNSUPPORTED|NOT SUPPORT|(BAD|UNKNOWN|INVALID) COMMAND", re.IGNORECASE)


class AtError(Exception):
    """Root of what an exchange may raise."""

    def __init__(self, command: str, message: str, *, body_sent: bool = False) -> None:
        """`body_sent`: octets of the command's body may have left before it went wrong."""
        super().__init__(message)
        self.command = command
        self.body_sent = body_sent


class CommandRefused(AtError):  # noqa: N818  (a name of the design)
    """The module answered with an error."""

    def __init__(self, command: str, result: FinalResult, *, body_sent: bool = False) -> None:
        """Take over what the final result code says."""
        words = f" ({result.name})" if result.code is not None and result.name else ""
        super().__init__(command, f"{command} was refused: {result.text}{words}", body_sent=body_sent)
        self.kind = result.kind
        """"cms", "cme", or "error" for an ERROR without a number."""
        self.code = result.code
        self.name = result.name
        self.is_unsupported = (result.kind, result.code) == ("cme", 4) or (
            result.code is None and _UNSUPPORTED_TEXT.search(result.text) is not None
        )
        """Whether the module says in so many words that it has no such command."""
        self.error_class = classify_error(result.kind, result.code, after_body=body_sent)


class CommandTimedOut(AtError):  # noqa: N818  (a name of the design)
    """No final result within the command's own time. The line has been resynchronised since."""

    def __init__(
        self,
        command: str,
        message: str,
        *,
        body_sent: bool = False,
        escape_confirmed: bool = False,
        stale_results: tuple[StaleResult, ...] = (),
    ) -> None:
        """`escaped`: ESC was answered by OK; `late`: what came after the deadline and may belong to it."""
        super().__init__(command, message, body_sent=body_sent)
        self.escape_confirmed = escape_confirmed
        self.stale_results = stale_results


class ModemLost(AtError):  # noqa: N818  (a name of the design)
    """The session is over: nothing more can be asked on this channel."""

    def __init__(self, message: str, command: str = "", *, body_sent: bool = False) -> None:
        """`command` is what was under way, if anything."""
        super().__init__(command, message, body_sent=body_sent)


class AtUsageError(AtError):
    """A command that must never be written, or one written out of turn."""
