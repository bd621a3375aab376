"""The collection of one service over HTTP: create, fetch, list, delete, in the vendors' forms."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from aiohttp import web

from hardware.sim.rest import forms
from hardware.sim.rest.address import root

if TYPE_CHECKING:
    from hardware.sim.service.list import Query
    from hardware.sim.service.resource import Resource
    from hardware.sim.service.service import CommandService


class CommandRoutes:
    """The operations of one product; whoever calls is the one account there is."""

    def __init__(self, service: CommandService, account_sid: str) -> None:
        self._service = service
        self._account_sid = account_sid

    def add_to(self, router: web.UrlDispatcher) -> None:
        path = self._service.product.path
        router.add_post(path, self.create)
        router.add_get(path, self.list, allow_head=False)
        router.add_get(f"{path}/{{sid}}", self.fetch, allow_head=False)
        if self._service.product.deletable:
            router.add_delete(f"{path}/{{sid}}", self.delete)

    async def create(self, request: web.Request) -> web.Response:
        resource = self._service.create(await forms.form(request))
        return web.json_response(self._show(request, resource), status=201)

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._show(request, self._service.fetch(request.match_info["sid"])))

    async def list(self, request: web.Request) -> web.Response:
        product = self._service.product
        page = self._service.page(forms.query(request))
        base = f"{root(request)}{product.path}"

        def url(query: Query | None) -> str | None:
            return None if query is None else f"{base}?{urlencode(query)}"

        meta = {
            "first_page_url": url(page.first),
            "key": product.key,
            "next_page_url": url(page.next),
            "page": page.number,
            "page_size": page.size,
            "previous_page_url": url(page.previous),
            "url": url(page.here),
        }
        rows = [self._show(request, resource) for resource in page.rows]
        return web.json_response({product.key: rows, "meta": meta})

    async def delete(self, request: web.Request) -> web.Response:
        self._service.delete(request.match_info["sid"])
        return web.Response(status=204)

    def _show(self, request: web.Request, resource: Resource) -> dict[str, object]:
        return resource.as_json(self._service.product, self._account_sid, root(request))
