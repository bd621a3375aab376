"""Turns changes of status into callbacks: which of them are reported, to whom, and with which parameters.

Super SIM: a status callback has what the vendor's document lists. A message from a SIM has in addition
`Command` and `ApiVersion`, and another order; so do requests captured from the real service.

Programmable Wireless: the vendor's document lists eight parameters for a message from a SIM. Those of a
status callback are not documented; the sandbox sends the same.

Super SIM beta: nothing is documented. A status callback has those of Super SIM, with `Command` in place of
the payload; there is no webhook for messages from a SIM.

The document of Programmable Wireless says of one parameter only that it is always the same word. This is
`Status=received` or `Direction=from_sim`, so both are sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hardware.sim.callbacks.record import CallbackKind, Parameters
    from hardware.sim.callbacks.sender import CallbackSender
    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService

API_VERSION = "v1"


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


def make_parameters(product: Product, resource: CommandResource, account_sid: str) -> Parameters:
    """Return the names and values that a callback about the current status of a Command has, in order."""
    common = {
        "AccountSid": account_sid,
        "CommandSid": resource.sid,
        "SimSid": resource.sim.sid,
        "SimUniqueName": resource.sim.unique_name or "",
        "Direction": resource.direction,
        "Status": resource.status,
        "ApiVersion": API_VERSION,
        "Command": resource.body,
        "CommandMode": resource.mode,
        "Payload": resource.body,
        "PayloadType": resource.mode,
        "ErrorCode": str(resource.error_code or ""),
        "ErrorMessage": resource.error_message,
    }
    # A text from a SIM may contain half of a surrogate pair, which no form can carry.
    return tuple(
        (name, common[name].encode("utf-8", "replace").decode("utf-8")) for name in _names(product, resource)
    )


def _names(product: Product, resource: CommandResource) -> tuple[str, ...]:
    if product.has_modes:
        return (
            *("CommandSid", "SimSid", "SimUniqueName", "Command", "Status", "Direction"),
            *("ApiVersion", "AccountSid", "CommandMode"),
        )
    if resource.direction == "from_sim":  # the order of the captured requests
        return (
            *("Status", "ApiVersion", "Command", "SimUniqueName", "Payload"),
            *("SimSid", "Direction", "CommandSid", "AccountSid", "PayloadType"),
        )
    errors = ("ErrorCode", "ErrorMessage") if resource.status == "failed" else ()
    body = ("Payload", "PayloadType") if product.body_field == "payload" else ("Command",)
    return ("AccountSid", "CommandSid", "SimSid", "SimUniqueName", *body, "Direction", "Status", *errors)
