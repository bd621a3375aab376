"""Decides whether a refused message or the module is at fault, without I/O or clock.

Some modules refuse every message after a while until they are restarted: with a code that means that the
number does not exist, with a temporary one, or with a plain ERROR. Evidence against the module is

- a permanent error for a destination that has accepted a message lately. The message is tried again, then the
  module is restarted, and only a refusal after that is believed;
- nothing but other refusals and lost results for some minutes. The module is restarted once, and for this
  reason not again that day: most likely the network or the service centre is at fault.
"""

from __future__ import annotations

from math import inf

from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused

REFUSALS_BEFORE_RESTART = 2
"""Permanent refusals in a row until the module is restarted, and as many after it until they are believed."""
FAILING_BEFORE_RESTART_S = 600.0
"""Time without an accepted message until the module is restarted because of temporary errors. It is the time
after which something is done about a module without a network."""
BELIEVED_FOR_S = 86400.0
"""An error for which a restart did not help is believed for this time: a restart attaches to the network."""

_ANY_TEMPORARY = None
"""The key of all errors that are not permanent: a module or network may alternate between them."""


class SendRefusals:
    """The refusals since a message was last accepted. It outlives sessions."""

    def __init__(self) -> None:
        self._refusals = 0
        """The number of permanent errors."""
        self._failing_since: float | None = None
        """The time of the first other error or lost result."""
        self._restart_reason = ""
        self._was_reset = False
        self._believed_until: dict[tuple[ErrorKind, int | None] | None, float] = {}
        """The time until which each error is believed."""

    @property
    def restart_reason(self) -> str:
        """The error for which the module has to be restarted, empty if it has not."""
        return "" if self._was_reset else self._restart_reason

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
        if self._is_believed(code, now):
            return False
        if not (accepted_before or self._refusals or self._was_reset):
            return False
        self._refusals += 1
        if self._refusals >= REFUSALS_BEFORE_RESTART:
            if self._was_reset:
                self._believe(code, now)
                return False
            self._restart_reason = str(error)
        return True

    def on_failed(self, reason: str, now: float) -> None:
        """Record an error that is not permanent, or a result that was lost."""
        if self._is_believed(_ANY_TEMPORARY, now):
            return
        if self._failing_since is None:
            self._failing_since = now
        if now - self._failing_since >= FAILING_BEFORE_RESTART_S:
            if self._was_reset:
                self._believe(_ANY_TEMPORARY, now)
            else:
                self._restart_reason = reason

    def on_accepted(self) -> None:
        """Record that the network has accepted a message: the module works."""
        self._clear()

    def on_module_reset(self) -> None:
        """Record that the module was restarted."""
        self._was_reset = self._was_reset or bool(self._refusals) or self._failing_since is not None
        self._refusals, self._failing_since, self._restart_reason = 0, None, ""

    def _is_believed(self, key: tuple[ErrorKind, int | None] | None, now: float) -> bool:
        return now < self._believed_until.get(key, -inf)

    def _believe(self, key: tuple[ErrorKind, int | None] | None, now: float) -> None:
        self._believed_until[key] = now + BELIEVED_FOR_S
        self._clear()

    def _clear(self) -> None:
        self._refusals, self._failing_since = 0, None
        self._restart_reason, self._was_reset = "", False
