"""Messages to the network: one at a time, each with its message reference and its outcome (24.011 5, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.errors import cms_error
from hardware.sim.module.interpreter import PENDING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.interpreter import Pending
    from hardware.sim.module.module import SimulatedModule
    from pdu import Address


class MoSubmitter:
    """Hands a TPDU to the network and waits for its word."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._token = 0
        self._sent_at = 0.0
        self._result_timer: TimerHandle | None = None
        self.reset()

    def reset(self) -> None:
        """A restart: the network's word will find nobody."""
        self._on_accepted: Callable[[int], list[str]] | None = None
        self._message_reference = 0

    @property
    def idle_s(self) -> float:
        """Seconds since the last message left; +CMMS=1 falls back to 0 by it."""
        return self._module.scheduler.time() - self._sent_at

    def submit(
        self, octets: bytes, service_centre: Address | None, on_accepted: Callable[[int], list[str]]
    ) -> Pending:
        """Send a SUBMIT or COMMAND; `then` gets the message reference and answers the text.

        The module puts its own TP-MR into the second octet. Without a service centre of its own the message
        goes to that of +CSCA. Raises +CMS ERROR 330 if there is none, 331 without a network.
        """
        module = self._module
        if not (service_centre or module.sim.service_centre).number:
            raise cms_error(330)
        if not module.registration.is_registered:
            raise cms_error(331)
        self._token += 1
        self._on_accepted, self._sent_at = on_accepted, module.scheduler.time()
        self._message_reference = module.sim.next_message_reference()
        octets = bytes((octets[0], self._message_reference)) + octets[2:]
        module.log.submitted_tpdus.append(octets)
        self._result_timer = module.power.call_later(module.profile.submit_s, self._timed_out)
        module.network.submit(module, self._token, octets)
        return PENDING

    def handle_result(self, token: int, cause: int | None) -> None:
        """The network's word; one that comes too late changes nothing."""
        if token != self._token or self._on_accepted is None:
            return
        then, self._on_accepted = self._on_accepted, None
        self._module.power.cancel(self._result_timer)
        self._sent_at = self._module.scheduler.time()
        if cause is None:
            self._module.interpreter.complete(then(self._message_reference))
        else:
            self._module.interpreter.complete(cms_error(cause))

    def _timed_out(self) -> None:
        self._on_accepted = None
        self._module.interpreter.complete(cms_error(332))
