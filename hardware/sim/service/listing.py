"""Lists of Commands: the filters of each product."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.service import paging
from hardware.sim.service.parameter_parsing import parse_filters
from hardware.sim.service.resource import DIRECTIONS, STATUSES, TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import CommandResource


def select_page(
    product: Product, resources: Sequence[CommandResource], parameters: Mapping[str, str], sim_sid: str | None
) -> paging.Page[CommandResource]:
    """Return the requested page of `resources` (newest first).

    `sim_sid` is the SID of the SIM that the filter `Sim` names. Raises ServiceError: 33101 for an invalid
    filter, 33103 for invalid paging.
    """
    known: dict[str, tuple[str, ...] | None] = {"Sim": None, "Status": STATUSES, "Direction": DIRECTIONS}
    if product.has_modes:
        known["Transport"] = TRANSPORTS
    filters = parse_filters(parameters, known)
    rows = [
        resource
        for resource in resources
        if ("Sim" not in filters or resource.sim.sid == sim_sid)
        and filters.get("Status", resource.status) == resource.status
        and filters.get("Direction", resource.direction) == resource.direction
        and filters.get("Transport", "sms") == "sms"
    ]
    return paging.select_page(rows, filters, parameters)
