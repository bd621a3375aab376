"""Submission of messages to the network: one at a time, with its TP-MR and its result (24.011 5, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import PENDING
from hardware.sim.module.errors import cms_error

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.command_outcome import LineControl, Pending
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.registration import NetworkRegistration
    from pdu import Address


class MoSubmitter:
    """Passes a TPDU to the network and finishes the command with the network's answer."""

    def __init__(self, context: ModuleContext, registration: NetworkRegistration, line: LineControl) -> None:
        self._context = context
        self._registration = registration
        self._line = line
        self._token = 0
        self._sent_at = 0.0
        self._result_timer: TimerHandle | None = None
        self._on_accepted: Callable[[int], list[str]] | None = None
        """Set while the network's answer is awaited."""
        self._message_reference = 0

    def reset(self) -> None:
        """Forget the pending submission after a power-off; the network's answer is then ignored."""
        self._on_accepted = None

    @property
    def idle_s(self) -> float:
        """Seconds since the last message was sent; +CMMS=1 falls back to 0 by it."""
        return self._context.scheduler.time() - self._sent_at

    def submit(
        self, octets: bytes, service_centre: Address | None, on_accepted: Callable[[int], list[str]]
    ) -> Pending:
        """Send a SUBMIT or COMMAND.

        The module writes its own TP-MR into the second octet. Without `service_centre` the message goes to
        the one of +CSCA. `on_accepted` gets the message reference and returns the information texts.
        Raises +CMS ERROR 330 without any service centre, 331 without a network.
        """
        context = self._context
        if not (service_centre or context.sim.service_centre).number:
            raise cms_error(330)
        if not self._registration.is_registered:
            raise cms_error(331)
        self._token += 1
        self._on_accepted, self._sent_at = on_accepted, context.scheduler.time()
        self._message_reference = context.sim.next_message_reference()
        octets = bytes((octets[0], self._message_reference)) + octets[2:]
        context.log.submitted_tpdus.append(octets)
        self._result_timer = context.timers.call_after(context.profile.submit_s, self._timed_out)
        context.network.submit(context.station, self._token, octets)
        return PENDING

    def handle_result(self, token: int, cause: int | None) -> None:
        """Process the network's answer; one that arrives too late is ignored."""
        if token != self._token or self._on_accepted is None:
            return
        on_accepted, self._on_accepted = self._on_accepted, None
        self._context.timers.cancel(self._result_timer)
        self._sent_at = self._context.scheduler.time()
        self._line.complete(on_accepted(self._message_reference) if cause is None else cms_error(cause))

    def _timed_out(self) -> None:
        self._on_accepted = None
        self._line.complete(cms_error(332))
