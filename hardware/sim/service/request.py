"""Requests to create a Command, read and checked; what comes out can be carried out.

Names of parameters are case-sensitive, unknown ones are ignored, empty ones count as not given.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from hardware.sim.service.error import CONFLICT, ServiceError, invalid, missing
from hardware.sim.service.resource import Mode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware.sim.service.product import Product

IncludeSid = Literal["none", "start", "end"]
Word = TypeVar("Word", bound=str)

BINARY_OCTETS = 140
"""A whole user data field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A Command to be sent."""

    sim: str
    """SID or unique name."""
    body: str
    """As given; this is what the resource shows."""
    data: bytes | None = None
    """The octets, in binary mode."""
    mode: Mode = "text"
    include_sid: IncludeSid = "none"
    receipt: bool = True

    @property
    def content(self) -> str | bytes:
        return self.body if self.data is None else self.data


def read(product: Product, parameters: Mapping[str, str]) -> Order:
    """Raises ServiceError: 33102 for what is missing, 33101 when impossible, 33121 for contradictions."""
    sim = _required(parameters, "Sim")
    body = _required(parameters, product.parameter)
    _callback(parameters)
    if not product.modes:
        return Order(sim=sim, body=body)
    mode: Mode = _word(parameters, "CommandMode", get_args(Mode), "text")
    include_sid: IncludeSid = _word(parameters, "IncludeSid", get_args(IncludeSid), "none")
    receipt = _flag(parameters, "DeliveryReceiptRequested")
    if mode == "binary" and include_sid != "none":
        raise ServiceError(400, CONFLICT, "IncludeSid is for text mode; CommandMode is binary.")
    data = None
    if mode == "binary":
        data = decode_base64(product.parameter, body)
        if len(data) > BINARY_OCTETS:
            raise invalid(product.parameter, f"{len(data)} octets, at most {BINARY_OCTETS} fit")
    return Order(sim=sim, body=body, data=data, mode=mode, include_sid=include_sid, receipt=receipt)


def decode_base64(parameter: str, text: str) -> bytes:
    """Surplus and missing `=` at the end are tolerated: the vendor's own sample has two too many."""
    digits = text.rstrip("=")
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(parameter, "in binary mode it must be base64") from error


def _required(parameters: Mapping[str, str], name: str) -> str:
    value = parameters.get(name, "")
    if not value:
        raise missing(name)
    return value


def _word(parameters: Mapping[str, str], name: str, known: tuple[Word, ...], default: Word) -> Word:
    value = parameters.get(name) or default
    for word in known:
        if value == word:
            return word
    raise invalid(name, f"it can be {', '.join(known)}")


def _flag(parameters: Mapping[str, str], name: str) -> bool:
    """True unless false; in any case, since the vendor's older clients write Python's `True` and `False`."""
    value = {name: parameters.get(name, "").lower()}
    return _word(value, name, ("true", "false"), "true") == "true"


def _callback(parameters: Mapping[str, str]) -> None:
    """Checked and no more: the sandbox calls nobody."""
    _word(parameters, "CallbackMethod", ("GET", "POST"), "POST")
    url = parameters.get("CallbackUrl")
    if not url:
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        good = False
    if not good:
        raise invalid("CallbackUrl", "it must be an absolute http or https URL")
