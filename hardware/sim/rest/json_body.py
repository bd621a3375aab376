"""The JSON body of a request to `/sandbox`, and its fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hardware.sim.service.errors import invalid_parameter, missing_parameter

if TYPE_CHECKING:
    from aiohttp import web


async def read_object(request: web.Request, *keys: str) -> dict[str, object]:
    """Read the body as JSON, whatever its media type is (curl sends "form" by default); empty is `{}`.

    Raises ServiceError, also for a key that is not one of `keys`, if these are given.
    """
    octets = await request.read()
    try:
        body = json.loads(octets or b"{}")
    except (ValueError, RecursionError) as error:  # the decoder's, UTF-8's, and a thousand brackets
        example = f', such as {{"{keys[0]}": ...}}' if keys else ""
        raise invalid_parameter("body", f"it must be JSON{example}") from error
    if not isinstance(body, dict):
        raise invalid_parameter("body", "it must be a JSON object")
    for key in body:
        if keys and key not in keys:
            raise invalid_parameter(key, f"the keys are {', '.join(keys)}")
    return body


def text_field(body: dict[str, object], name: str) -> str:
    """Return a field that must be a non-empty string; raises ServiceError."""
    value = body.get(name)
    if value is None:
        raise missing_parameter(name)
    if not isinstance(value, str) or not value:
        raise invalid_parameter(name, "it must be a non-empty string")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise invalid_parameter(name, "it contains half of a surrogate pair")
    return value
