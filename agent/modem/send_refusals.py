"""Decides whether a permanent refusal is the fault of the message or of the module, without I/O or clock.

Some modules refuse every message after a while, with a code that means that the number does not exist, until
they are restarted. So a permanent error is not believed if the destination has accepted a message lately. The
message is tried again, then the module is restarted, and only a refusal after that is believed.
"""

from __future__ import annotations

from math import inf

from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused

REFUSALS_BEFORE_RESTART = 2
"""Refusals in a row until the module is restarted, and as many after the restart until they are believed."""
BELIEVED_FOR_S = 86400.0
"""A code for which a restart did not help is believed for this time: each restart attaches to the network."""


class SendRefusals:
    """The permanent refusals since a message was last accepted. It outlives sessions."""

    def __init__(self) -> None:
        self._refusals = 0
        self._reason = ""
        self._was_reset = False
        self._believed_until: dict[tuple[ErrorKind, int | None], float] = {}
        """The time until which each error is believed."""

    @property
    def restart_reason(self) -> str:
        """The error for which the module has to be restarted, empty if it has not."""
        return self._reason if self._refusals >= REFUSALS_BEFORE_RESTART and not self._was_reset else ""

    @property
    def was_reset(self) -> bool:
        """True if the module was restarted because of refusals, and has not accepted a message since."""
        return self._was_reset

    def on_refused(self, error: CommandRefused, now: float, *, accepted_before: bool) -> bool:
        """Record a permanent error. Return True if the module is suspected: the message is tried again.

        `accepted_before` is True if the destination has accepted a message within the last day. While the
        module is suspected, errors for other destinations are not believed either.
        """
        code = (error.kind, error.code)
        if now < self._believed_until.get(code, -inf):
            return False
        if not (accepted_before or self._refusals or self._was_reset):
            return False
        self._refusals += 1
        self._reason = str(error)
        if self._was_reset and self._refusals >= REFUSALS_BEFORE_RESTART:
            self._believed_until[code] = now + BELIEVED_FOR_S
            self.on_accepted()
            return False
        return True

    def on_accepted(self) -> None:
        """Record that the network has accepted a message: the module works."""
        self._refusals, self._reason, self._was_reset = 0, "", False

    def on_module_reset(self) -> None:
        """Record that the module was restarted."""
        self._was_reset = self._was_reset or bool(self._refusals)
        self._refusals = 0
