"""Parameters of a request: a query string or a form-encoded body, parsed strictly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from hardware.sim.service.errors import (
    CONFLICTING_PARAMETERS,
    INVALID_VALUE,
    UNSPECIFIED,
    ServiceError,
    invalid_parameter,
)

if TYPE_CHECKING:
    from aiohttp import web

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
MAX_FIELDS = 100
"""Limit for the parameters of a request; more than any operation has."""


class RequestParameters(Mapping[str, str]):
    """The parameters of a request by name.

    Reading one that is given twice with different values raises ServiceError (33121); one that no operation
    reads does no harm.
    """

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        self._conflicting: set[str] = set()
        for name, value in pairs:
            if self._values.setdefault(name, value) != value:
                self._conflicting.add(name)

    def __getitem__(self, name: str) -> str:
        value = self._values[name]
        if name in self._conflicting:
            raise ServiceError(
                400, CONFLICTING_PARAMETERS, f"The parameter {name} is given twice, with different values."
            )
        return value

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def parse_query(request: web.Request) -> RequestParameters:
    """Parse the query string as it was sent, without the repairs of the framework."""
    return _parse_pairs(request.raw_path.partition("?")[2])


async def parse_form(request: web.Request) -> RequestParameters:
    """Parse the form in the body, which may be empty; raises ServiceError (415 for another type)."""
    body = await request.read()
    if not body:
        return RequestParameters([])
    if request.content_type != FORM_CONTENT_TYPE:
        raise ServiceError(
            415, UNSPECIFIED, f"Parameters must be {FORM_CONTENT_TYPE}, not {request.content_type}."
        )
    try:
        return _parse_pairs(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _not_utf8_error() from error


def parse_after(request: web.Request) -> int:
    """Return the number after which the rows of a log are wanted; raises ServiceError."""
    after = parse_query(request).get("after", "0")
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise invalid_parameter("after", "it must be the number of a row")
    return int(after)


def _parse_pairs(text: str) -> RequestParameters:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise _not_utf8_error() from error
    except ValueError as error:
        raise ServiceError(400, INVALID_VALUE, f"There are more than {MAX_FIELDS} parameters.") from error
    return RequestParameters(pairs)


def _not_utf8_error() -> ServiceError:
    return ServiceError(400, INVALID_VALUE, "The parameters are not UTF-8.")
