"""The exceptions of AT commands.

AtError                  the command
  CommandRefused         the module answered with an error: code, name, and whether a retry helps
  CommandTimedOut        no final result code came: the outcome is unknown
  ModemLost              the transport is closed, or the module no longer answers
  AtUsageError           the caller's mistake
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

from agent.at.error_codes import UNSUPPORTED_ERRORS, ErrorClass, ErrorCode, classify_error
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
        """`body_sent`: octets of the command's body may have left before the error."""
        super().__init__(message)
        self.command = command
        self.body_sent = body_sent


class CommandRefused(AtError):  # noqa: N818  (a name of the design)
    """The module answered with an error."""

    def __init__(self, command: str, result: FinalResult, *, body_sent: bool = False) -> None:
        """`result`: the final result code of the command."""
        name = f" ({result.name})" if result.code is not None and result.name else ""
        super().__init__(command, f"{command} was refused: {result.text}{name}", body_sent=body_sent)
        self.result = result
        self.kind = result.kind
        self.code = result.code
        """The number of the error, None for one without a number."""
        self.name = result.name
        self.is_unsupported = self.is_one_of(UNSUPPORTED_ERRORS) or (
            result.code is None and _UNSUPPORTED_TEXT.search(result.text) is not None
        )
        """True if the module reports that it does not have the command."""
        self.error_class = classify_error(result.kind, result.code, after_body=body_sent)

    def is_one_of(self, codes: AbstractSet[ErrorCode]) -> bool:
        """Return True if the error is one of these codes, for example `SIM_BUSY_ERRORS`."""
        return self.code is not None and (self.kind, self.code) in codes


class CommandTimedOut(AtError):  # noqa: N818  (a name of the design)
    """No final result code came in time. The connection has been resynchronised since."""

    def __init__(
        self,
        command: str,
        message: str,
        *,
        body_sent: bool = False,
        escape_confirmed: bool = False,
        module_restarted: bool = False,
        stale_results: tuple[StaleResult, ...] = (),
    ) -> None:
        """`escape_confirmed`: the module answered ESC by OK, so that text entry was still open.

        `module_restarted`: a boot URC came instead of the result.

        `stale_results`: what came after the deadline and may belong to the command.
        """
        super().__init__(command, message, body_sent=body_sent)
        self.escape_confirmed = escape_confirmed
        self.module_restarted = module_restarted
        self.stale_results = stale_results


class ModemLost(AtError):  # noqa: N818  (a name of the design)
    """The session is over: no command can be executed any more."""

    def __init__(self, message: str, command: str = "", *, body_sent: bool = False) -> None:
        """`command`: the command that was pending, if any."""
        super().__init__(command, message, body_sent=body_sent)


class AtUsageError(AtError):
    """A command that must never be written, or one written out of turn."""
