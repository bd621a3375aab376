"""The resource of one Command, to a SIM or from one, and the JSON that the REST API shows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from hardware.sim.network.line import Terminated
    from hardware.sim.service.product import Product

Status = Literal["queued", "sent", "delivered", "received", "failed"]
Direction = Literal["to_sim", "from_sim"]
Mode = Literal["text", "binary"]

STATUSES: tuple[Status, ...] = ("queued", "sent", "delivered", "received", "failed")
DIRECTIONS: tuple[Direction, ...] = ("to_sim", "from_sim")
TRANSPORTS = ("sms", "ip")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSim:
    """A SIM of the account."""

    sid: str
    unique_name: str
    imsi: str
    status: str = "active"
    """Only `ready` and `active` SIMs send and receive."""

    @property
    def usable(self) -> bool:
        return self.status in ("ready", "active")


@dataclass(slots=True, eq=False, kw_only=True)
class Resource:
    """One Command."""

    serial: int
    """Order of creation within the service."""
    sid: str
    sim: ServiceSim
    body: str
    """As given, or for binary from a SIM as base64."""
    status: Status
    direction: Direction
    created: datetime
    updated: datetime
    mode: Mode = "text"
    receipt: bool = False
    """A delivery receipt was asked for."""
    messages: list[Terminated] = field(default_factory=list)
    """What went to the network for it."""

    def as_json(self, product: Product, account_sid: str, root: str) -> dict[str, object]:
        """The fields in the order of the vendor's samples; `root` is the URL before the product's path."""
        url = f"{root}{product.path}/{self.sid}"
        modes: dict[str, object] = {}
        if product.modes:
            modes = {
                "command_mode": self.mode,
                "transport": "sms",
                "delivery_receipt_requested": self.receipt,
            }
        return {
            "sid": self.sid,
            "account_sid": account_sid,
            "sim_sid": self.sim.sid,
            product.field: self.body,
            **modes,
            "status": self.status,
            "direction": self.direction,
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "url": url,
        }


def date(time: datetime) -> str:
    """GMT with whole seconds and a `Z`: with anything else the vendor's client leaves a string."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
