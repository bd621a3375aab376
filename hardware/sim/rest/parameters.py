"""Parameters of a request: a query string or a form-encoded body, parsed strictly."""

from __future__ import annotations

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


def parse_query(request: web.Request) -> dict[str, str]:
    """Parse the query string as it was sent, without the repairs of the framework."""
    return _parse_pairs(request.raw_path.partition("?")[2])


async def parse_form(request: web.Request) -> dict[str, str]:
    """Parse the form in the body, which may be empty; raises ServiceError (415 for another type)."""
    body = await request.read()
    if not body:
        return {}
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


def _parse_pairs(text: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except UnicodeDecodeError as error:
        raise _not_utf8_error() from error
    except ValueError as error:
        raise ServiceError(400, INVALID_VALUE, f"There are more than {MAX_FIELDS} parameters.") from error
    parameters: dict[str, str] = {}
    for name, value in pairs:
        if parameters.setdefault(name, value) != value:
            raise ServiceError(
                400, CONFLICTING_PARAMETERS, f"The parameter {name} is given twice, with different values."
            )
    return parameters


def _not_utf8_error() -> ServiceError:
    return ServiceError(400, INVALID_VALUE, "The parameters are not UTF-8.")
