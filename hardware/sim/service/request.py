"""Parse and check requests to create a Command.

Parameter names are case-sensitive; unknown parameters are ignored, empty ones count as missing.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from hardware.sim.service.callback_url import NO_WEBHOOK, Webhook
from hardware.sim.service.errors import CONFLICTING_PARAMETERS, ServiceError, invalid_parameter
from hardware.sim.service.parameter_parsing import (
    parse_choice,
    parse_flag,
    parse_webhook,
    require_parameter,
)
from hardware.sim.service.resource import CommandMode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware.sim.service.product import Product

IncludeSid = Literal["none", "start", "end"]

MAX_BINARY_OCTETS = 140
"""The user data field of one SMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A checked request for a Command."""

    sim: str
    """SID or unique name."""
    body: str
    """As given; the resource shows it unchanged."""
    data: bytes | None = None
    """The decoded octets in binary mode, otherwise None."""
    mode: CommandMode = "text"
    include_sid: IncludeSid = "none"
    delivery_receipt: bool = True
    callback: Webhook = NO_WEBHOOK
    """The URL and method of the callbacks about the status."""

    @property
    def content(self) -> str | bytes:
        return self.body if self.data is None else self.data


def parse_create_request(product: Product, parameters: Mapping[str, str]) -> CreateRequest:
    """Parse the parameters of a request.

    Raises ServiceError: 33102 for a missing parameter, 33101 for an invalid value, 33121 for a conflict.
    """
    sim = require_parameter(parameters, "Sim")
    body = require_parameter(parameters, product.body_parameter)
    callback = parse_webhook(parameters, "Callback")
    if not product.has_modes:
        return CreateRequest(sim=sim, body=body, callback=callback)
    mode: CommandMode = parse_choice(parameters, "CommandMode", get_args(CommandMode), "text")
    include_sid: IncludeSid = parse_choice(parameters, "IncludeSid", get_args(IncludeSid), "none")
    receipt = parse_flag(parameters, "DeliveryReceiptRequested")
    if mode == "binary" and include_sid != "none":
        raise ServiceError(400, CONFLICTING_PARAMETERS, "IncludeSid is for text mode; CommandMode is binary.")
    data = None
    if mode == "binary":
        data = decode_base64(product.body_parameter, body)
        if len(data) > MAX_BINARY_OCTETS:
            raise invalid_parameter(
                product.body_parameter, f"{len(data)} octets, at most {MAX_BINARY_OCTETS} fit"
            )
    return CreateRequest(
        sim=sim,
        body=body,
        data=data,
        mode=mode,
        include_sid=include_sid,
        delivery_receipt=receipt,
        callback=callback,
    )


def decode_base64(parameter: str, text: str) -> bytes:
    """Decode base64 with any number of `=` at the end: the vendor's own sample has two too many."""
    digits = text.rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_parameter(parameter, "in binary mode it must be base64") from error
