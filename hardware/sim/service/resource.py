"""The resource of one Command, to or from a SIM: its JSON in the REST API, and the filters of lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from hardware.sim.service import paging
from hardware.sim.service.callback_url import NO_WEBHOOK, Webhook
from hardware.sim.service.dates import format_date
from hardware.sim.service.parameter_parsing import parse_filters
from hardware.sim.service.sims import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from hardware.sim.network.subscriber_queue import MtMessage
    from hardware.sim.service.product import Product
    from hardware.sim.service.sims import ServiceSim

ResourceStatus = Literal["queued", "sent", "delivered", "received", "failed"]
ResourceDirection = Literal["to_sim", "from_sim"]
CommandMode = Literal["text", "binary"]

STATUSES: tuple[ResourceStatus, ...] = ("queued", "sent", "delivered", "received", "failed")
DIRECTIONS: tuple[ResourceDirection, ...] = ("to_sim", "from_sim")


@dataclass(slots=True, eq=False, kw_only=True)
class CommandResource:
    """One Command."""

    serial: int
    """Order of creation within the service."""
    sid: str
    sim: ServiceSim
    body: str
    """As given; base64 for a binary message from a SIM."""
    status: ResourceStatus
    direction: ResourceDirection
    created_at: datetime
    updated_at: datetime
    mode: CommandMode = "text"
    transport: Transport = "sms"
    delivery_receipt: bool = False
    """True if a delivery receipt was requested."""
    mt_messages: list[MtMessage] = field(default_factory=list)
    """The messages that were sent for it."""
    callback: Webhook = NO_WEBHOOK
    """The URL and method of the callbacks about the status."""
    account_sid: str | None = None
    """The account that created it; None if that is not known, as with messages from a SIM."""
    error_code: int | None = None
    """Why the Command failed. The callback shows it, and the resource of a Super SIM Command, whose document
    speaks of an error code although no description has a field for it."""
    error_message: str = ""

    def belongs_to(self, account_sid: str | None) -> bool:
        """Return True unless it was created by another account; None is a caller without an account."""
        return None in (account_sid, self.account_sid) or account_sid == self.account_sid

    def is_final(self, product: Product) -> bool:
        """Return True if the service makes no further attempt and expects no further receipt."""
        if self.status in ("delivered", "failed", "received"):
            return True
        return self.status == "sent" and product.has_modes and not self.delivery_receipt

    def to_json(self, product: Product, account_sid: str, base_url: str) -> dict[str, object]:
        """Return the fields in the order of the vendor's samples; `base_url` precedes `/v1/`.

        `account_sid` is shown if the creator is not known.
        """
        url = f"{base_url}{product.service_path}/{self.sid}"
        modes: dict[str, object] = {}
        if product.has_modes:
            modes = {
                "command_mode": self.mode,
                "transport": self.transport,
                "delivery_receipt_requested": self.delivery_receipt,
            }
        elif self.mode == "binary":  # not supported, so the description has no field; as in IpCommands
            modes = {"payload_type": "binary"}
        errors: dict[str, object] = {}
        if product.has_error_fields and self.status == "failed":
            errors = {"error_code": self.error_code, "error_message": self.error_message}
        return {
            "sid": self.sid,
            "account_sid": self.account_sid or account_sid,
            "sim_sid": self.sim.sid,
            product.body_field: self.body,
            **modes,
            **errors,
            "status": self.status,
            "direction": self.direction,
            "date_created": format_date(self.created_at),
            "date_updated": format_date(self.updated_at),
            "url": url,
        }


def select_commands(
    product: Product,
    resources: Sequence[CommandResource],
    parameters: Mapping[str, str],
    sim_sid: str | None,
    account_sid: str | None = None,
    limits: paging.PageLimits = paging.GENERAL_LIMITS,
) -> paging.Page[CommandResource]:
    """Return the requested page, newest first, of those `resources` (oldest first) that an account may see.

    `sim_sid` is the SID of the SIM that the filter `Sim` names. Raises ServiceError: 33101 for an invalid
    filter, 33103 for invalid paging.
    """
    known: dict[str, tuple[str, ...] | None] = {"Sim": None, "Status": STATUSES, "Direction": DIRECTIONS}
    if product.has_modes:
        known["Transport"] = get_args(Transport)
    filters = parse_filters(parameters, known)

    # What most filters exclude comes first: a filter that matches nothing looks at all Commands.
    status, direction = filters.get("Status"), filters.get("Direction")
    transport, wants_sim = filters.get("Transport"), "Sim" in filters

    def matches(resource: CommandResource) -> bool:
        return (
            (status is None or resource.status == status)
            and (not wants_sim or resource.sim.sid == sim_sid)
            and (direction is None or resource.direction == direction)
            and (transport is None or resource.transport == transport)
            and resource.belongs_to(account_sid)
        )

    is_whole = not filters and account_sid is None
    return paging.select_page(resources, None if is_whole else matches, filters, parameters, limits)
