"""Protects the developer's machine: a web page in a browser there must not reach the sandbox.

A page of another site can send simple requests to any address, and can give its own host name the address
of the sandbox (DNS rebinding). Browsers name the host of the URL in `Host`, and the site of the page in
`Origin`; both are checked for each request. Programs that are no browsers send no `Origin`.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aiohttp import hdrs, web

from hardware.sim.service.access import TOKEN_HOST
from hardware.sim.service.errors import FORBIDDEN, INVALID_VALUE, ServiceError
from hardware.sim.service.product import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp.typedefs import Handler, Middleware

_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?")
SAFE_METHODS = ("GET", "HEAD")


def parse_host(authority: str) -> str | None:
    """Return the host of `HOST:PORT`: lower case, without brackets and a dot at the end; None if invalid."""
    match = _AUTHORITY.fullmatch(authority)
    return (match[1] or match[2]).lower().removesuffix(".") if match else None


class HostCheck:
    """Lets only requests pass that name this machine, an allowed host or a host of the vendors."""

    def __init__(self, allowed_hosts: Iterable[str]) -> None:
        vendors = (host for product in PRODUCTS.values() for host in product.hosts)
        self._allowed = {host.lower() for host in allowed_hosts} | {TOKEN_HOST, *vendors}

    def middleware(self) -> Middleware:
        """Return the middleware; it raises ServiceError (400, 403)."""

        @web.middleware
        async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._check(request)
            return await handler(request)

        return check_host

    def _check(self, request: web.Request) -> None:
        authority = request.headers.get(hdrs.HOST)
        if authority is not None:  # HTTP/1.0 has none, and no browser sends that
            host = parse_host(authority)
            if host is None:
                raise ServiceError(400, INVALID_VALUE, "The header Host is not HOST or HOST:PORT.")
            if not self._is_own(host, request):
                raise ServiceError(
                    403, FORBIDDEN, f"The host {host} is not this machine; --allow-host {host} allows it."
                )
        origin = request.headers.get(hdrs.ORIGIN)
        if origin is not None and _authority_of(origin) != (authority or "").lower():
            raise ServiceError(403, FORBIDDEN, "The request comes from a web page of another site (Origin).")
        site = request.headers.get("Sec-Fetch-Site", "none")
        if request.method not in SAFE_METHODS and site not in ("none", "same-origin"):
            raise ServiceError(403, FORBIDDEN, f"The request comes from a web page of another site ({site}).")

    def _is_own(self, host: str, request: web.Request) -> bool:
        if host in self._allowed or host == "localhost" or host.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        called = request.transport.get_extra_info("sockname") if request.transport else None
        return address.is_loopback or (called is not None and host == called[0])


def _authority_of(origin: str) -> str | None:
    """Return host and port of an origin in lower case, None for `null` and for what is no origin."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:  # brackets that do not match
        return None
