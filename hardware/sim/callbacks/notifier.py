"""Turns changes of status into callbacks: which of them are reported, and to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.callbacks.parameters import make_parameters

if TYPE_CHECKING:
    from hardware.sim.callbacks.record import CallbackKind
    from hardware.sim.callbacks.sender import CallbackSender
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService


class StatusNotifier:
    """Observes the resources of one service. Super SIM reports each status, the others only the last one."""

    def __init__(self, service: CommandService, sender: CallbackSender, account_sid: str) -> None:
        self._product = service.product
        self._sender = sender
        self._account_sid = account_sid
        service.add_status_observer(self._report)

    def _report(self, resource: CommandResource) -> None:
        sim, product = resource.sim, self._product
        kind: CallbackKind = "status"
        if resource.direction == "from_sim":
            kind, webhook = "message", sim.webhook(product)
        elif product.calls_at_every_status or resource.is_final(product):
            webhook = resource.callback
        else:
            return
        if webhook.url is not None:
            parameters = make_parameters(product, resource, resource.account_sid or self._account_sid)
            self._sender.send(kind, webhook, parameters, sid=resource.sid, imsi=sim.imsi)
