"""States of Commands moved by hand: sent, delivered or failed, whatever network and module do.

A Command that is moved is withdrawn from the network, so nothing later contradicts the state: a message that
waits does not reach the module any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.service.errors import UNSPECIFIED, ServiceError

BY_HAND = "its status was set by hand"

if TYPE_CHECKING:
    from hardware.sim.service.resource import CommandResource, ResourceStatus
    from hardware.sim.service.service import CommandService


def send(service: CommandService, resource: CommandResource) -> None:
    """Set `sent`: the visited network has the message, and no receipt has come. Raises ServiceError (409)."""
    _check_status(resource, ("queued",))
    service.withdraw(resource, BY_HAND)
    service.set_status(resource, "sent")


def receive_receipt(service: CommandService, resource: CommandResource) -> None:
    """Set `delivered` after `sent`, as a delivery receipt does. Raises ServiceError (409)."""
    _check_status(resource, ("sent",))
    if not resource.delivery_receipt:
        raise ServiceError(409, UNSPECIFIED, f"No receipt was requested for the Command {resource.sid}.")
    service.withdraw(resource, BY_HAND)
    service.set_status(resource, "delivered")


def deliver(service: CommandService, resource: CommandResource) -> None:
    """Set `sent` and, if a receipt was requested, `delivered`. Raises ServiceError (409)."""
    _check_status(resource, ("queued", "sent"))
    if resource.status == "queued":
        send(service, resource)
    if resource.delivery_receipt:
        receive_receipt(service, resource)


def fail(service: CommandService, resource: CommandResource, code: int, message: str) -> None:
    """Set `failed` with a code and a sentence. Raises ServiceError (409)."""
    _check_status(resource, ("queued", "sent"))
    service.withdraw(resource, BY_HAND)
    service.fail(resource, code, message)


def _check_status(resource: CommandResource, possible: tuple[ResourceStatus, ...]) -> None:
    if resource.status not in possible:
        message = f"The Command {resource.sid} is {resource.status}, not {' or '.join(possible)}."
        raise ServiceError(409, UNSPECIFIED, message)
