"""Lists of Commands: filters and pages, newest first, with the `meta` that leads from page to page.

The links carry a PageToken that names the row where the page begins, so that a Command which arrives or is
deleted between two pages neither repeats nor hides a row. Without a token `Page` counts from the newest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from hardware.sim.service.error import invalid, paging
from hardware.sim.service.resource import DIRECTIONS, STATUSES, TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import Resource

DEFAULT_SIZE = 50
MAXIMUM_SIZE = 1000
"""Of both vendors' descriptions."""

Query = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, and the queries of the requests that lead to it and away from it."""

    rows: list[Resource]
    number: int
    size: int
    first: Query
    previous: Query | None
    here: Query
    next: Query | None


@dataclass(frozen=True, slots=True)
class _Token:
    """`older` than the row with that serial, or `newer` than it."""

    side: Literal["older", "newer"]
    serial: int

    def __str__(self) -> str:
        return f"{'PA' if self.side == 'older' else 'PB'}{self.serial:032x}"


def select(
    product: Product, resources: Sequence[Resource], parameters: Mapping[str, str], sim_sid: str | None
) -> Page:
    """The page asked for, of `resources` given newest first; `sim_sid` is what the filter `Sim` means.

    Raises ServiceError: 33101 for a filter with an impossible value, 33103 for impossible paging.
    """
    filters = _filters(product, parameters)
    size = _number(parameters, "PageSize", DEFAULT_SIZE, 1, MAXIMUM_SIZE)
    number = _number(parameters, "Page", 0, 0, 10**15)
    token = _token(parameters)
    rows = [
        resource
        for resource in resources
        if ("Sim" not in filters or resource.sim.sid == sim_sid)
        and filters.get("Status", resource.status) == resource.status
        and filters.get("Direction", resource.direction) == resource.direction
        and filters.get("Transport", "sms") == "sms"
    ]
    begin = _begin(rows, token, number, size)
    shown = rows[begin : begin + size]
    asked = list(filters.items())

    def query(page: int, at: _Token | None = None) -> Query:
        told = [*asked, ("PageSize", str(size)), ("Page", str(page))]
        return told if at is None else [*told, ("PageToken", str(at))]

    previous = following = None
    if number > 0:
        # The first page has no token: what has come meanwhile belongs to it.
        back = _Token("newer", shown[0].serial) if shown and begin > size else None
        previous = query(number - 1, back)
    if begin + size < len(rows):
        following = query(number + 1, _Token("older", shown[-1].serial))
    return Page(
        rows=shown,
        number=number,
        size=size,
        first=query(0),
        previous=previous,
        here=query(number, token),
        next=following,
    )


def _begin(rows: Sequence[Resource], token: _Token | None, number: int, size: int) -> int:
    if token is None:
        return number * size
    if token.side == "older":
        return sum(1 for row in rows if row.serial >= token.serial)
    return max(0, sum(1 for row in rows if row.serial > token.serial) - size)


def _filters(product: Product, parameters: Mapping[str, str]) -> dict[str, str]:
    known: dict[str, tuple[str, ...] | None] = {"Sim": None, "Status": STATUSES, "Direction": DIRECTIONS}
    if product.modes:
        known["Transport"] = TRANSPORTS
    filters = {name: value for name, value in parameters.items() if name in known}
    for name, value in filters.items():
        words = known[name]
        if words is not None and value not in words:
            raise invalid(name, f"it can be {', '.join(words)}")
    return filters


def _number(parameters: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = parameters.get(name)
    if text is None:
        return default
    # Longer digits are out of range anyway, and int() refuses very long ones with an error of its own.
    if not re.fullmatch(r"[0-9]{1,16}", text) or not least <= int(text) <= most:
        raise paging(
            name, f"it must be an integer from {least}" + (f" to {most}" if name == "PageSize" else "")
        )
    return int(text)


def _token(parameters: Mapping[str, str]) -> _Token | None:
    text = parameters.get("PageToken")
    if text is None:
        return None
    match = re.fullmatch(r"P([AB])([0-9a-f]{32})", text)
    if match is None:
        raise paging("PageToken", "it is none that was handed out")
    side = "older" if match[1] == "A" else "newer"
    return _Token(cast("Literal['older', 'newer']", side), int(match[2], 16))
