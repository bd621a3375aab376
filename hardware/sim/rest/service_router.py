"""Registers the operations of the services: below the prefix of their product, and without it.

The real services have hosts of their own, and both Super SIM and Programmable Wireless have `/v1/Commands`
and `/v1/Sims`. A path without prefix belongs to the product of the port or host that was called, or of the
SID in the path, or to the only product that has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hardware.sim.rest.host_check import parse_host
from hardware.sim.rest.responses import root_url
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError
from hardware.sim.service.product import PRODUCTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp.typedefs import Handler

_BY_HOST = {host: product.base_path for product in PRODUCTS.values() for host in product.hosts}
_BY_SID_PREFIX = {
    prefix: product.base_path
    for product in PRODUCTS.values()
    for prefix in (product.sid_prefix, product.sim_sid_prefix)
}


class ServiceRouter:
    """The operations of all products; `ports` has the products that have a port of their own."""

    def __init__(self, router: web.UrlDispatcher, ports: Mapping[int, str]) -> None:
        self._router = router
        self._ports = ports
        """Base path of the product by port."""
        self._handlers: dict[str, dict[str, dict[str, Handler]]] = {}
        """By path without prefix, base path and method."""

    def add(self, method: str, base_path: str, path: str, handler: Handler) -> None:
        """Add an operation; `path` is that on the vendor's host, such as `/v1/Sims/{name}`."""
        self._router.add_route(method, f"{base_path}{path}", handler)
        if path not in self._handlers:
            self._handlers[path] = {}
            self._add_without_prefix(path)
        self._handlers[path].setdefault(base_path, {})[method] = handler

    def _add_without_prefix(self, path: str) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            products = self._handlers[path]
            methods = products.get(self._find_product(request, set(products)))
            if methods is None:
                raise web.HTTPNotFound
            if request.method not in methods:
                raise web.HTTPMethodNotAllowed(request.method, sorted(methods))
            return await methods[request.method](request)

        self._router.add_route("*", path, handle)

    def _find_product(self, request: web.Request, products: set[str]) -> str:
        name = request.transport.get_extra_info("sockname") if request.transport else None
        host = parse_host(request.headers.get(hdrs.HOST, ""))
        sid = next(iter(request.match_info.values()), "")
        found = (
            (self._ports.get(name[1]) if name else None)
            or _BY_HOST.get(host or "")
            or (next(iter(products)) if len(products) == 1 else None)
            or (_BY_SID_PREFIX.get(sid[:2]) if len(sid) == 34 else None)
        )
        if found is None:
            choices = " or ".join(f"{base_path}{request.path}" for base_path in sorted(products))
            message = f"Two products have the path {request.path}: use {choices}, or a port for each product."
            raise ServiceError(404, NO_SUCH_RESOURCE, message)
        return found


def base_url(request: web.Request, base_path: str) -> str:
    """Return the URL in front of `/v1/` as the client wrote it, with or without the prefix of the product."""
    prefix = base_path if request.path.startswith(f"{base_path}/") else ""
    return f"{root_url(request)}{prefix}"
