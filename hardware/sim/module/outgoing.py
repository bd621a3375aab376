"""Messages to the network: one at a time, each with its message reference and its outcome (24.011 5, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import WAITING
from hardware.sim.module.refusal import cms

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.interpreter import Waiting
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.radio import Handle
    from pdu import Address


class Outgoing:
    """Hands a TPDU to the network and waits for its word."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._token = 0
        self._sent_at = 0.0
        self._timer: Handle | None = None
        self.forget()

    def forget(self) -> None:
        """A restart: the network's word will find nobody."""
        self._then: Callable[[int], list[str]] | None = None
        self._reference = 0

    @property
    def idle_s(self) -> float:
        """Seconds since the last message left; +CMMS=1 falls back to 0 by it."""
        return self._module.scheduler.time() - self._sent_at

    def send(self, octets: bytes, centre: Address | None, then: Callable[[int], list[str]]) -> Waiting:
        """Send a SUBMIT or COMMAND; `then` gets the message reference and answers the text.

        The module puts its own TP-MR into the second octet. Without a service centre of its own the message
        goes to that of +CSCA. Raises +CMS ERROR 330 if there is none, 331 without a network.
        """
        module = self._module
        if not (centre or module.sim.service_centre).number:
            raise cms(330)
        if not module.link.registered:
            raise cms(331)
        self._token += 1
        self._then, self._sent_at = then, module.scheduler.time()
        self._reference = module.sim.next_message_reference()
        octets = bytes((octets[0], self._reference)) + octets[2:]
        module.ledger.submits.append(octets)
        self._timer = module.power.later(module.device.submit_s, self._late)
        module.network.submit(module, self._token, octets)
        return WAITING

    def outcome(self, token: int, cause: int | None) -> None:
        """The network's word; one that comes too late changes nothing."""
        if token != self._token or self._then is None:
            return
        then, self._then = self._then, None
        self._module.power.cancel(self._timer)
        self._sent_at = self._module.scheduler.time()
        if cause is None:
            self._module.interpreter.finish(then(self._reference))
        else:
            self._module.interpreter.finish(cms(cause))

    def _late(self) -> None:
        self._then = None
        self._module.interpreter.finish(cms(332))
