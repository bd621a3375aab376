"""The REST operations on the Commands of one service: create, fetch, list and delete."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest import parameters
from hardware.sim.rest.responses import list_response
from hardware.sim.rest.service_router import base_url

if TYPE_CHECKING:
    from hardware.sim.rest.access import Callers
    from hardware.sim.rest.service_router import ServiceRouter
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.service.product import Product
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService


class CommandRoutes:
    """The operations of one product."""

    def __init__(self, sandbox: Sandbox, product: Product, callers: Callers) -> None:
        self._sandbox = sandbox
        self._product = product
        self._callers = callers

    @property
    def _service(self) -> CommandService:
        return self._sandbox.services[self._product.name]

    def register(self, router: ServiceRouter) -> None:
        product = self._product
        path = product.service_path
        router.add("POST", product.base_path, path, self.create)
        router.add("GET", product.base_path, path, self.list_page)
        router.add("GET", product.base_path, f"{path}/{{sid}}", self.fetch)
        if product.can_delete:
            router.add("DELETE", product.base_path, f"{path}/{{sid}}", self.delete)

    async def create(self, request: web.Request) -> web.Response:
        resource = self._service.create(
            await parameters.parse_form(request), self._callers.find_account(request)
        )
        failure = self._sandbox.account.faults.take_command_failure(request.path)
        if failure is not None:
            self._service.fail_after_transit(resource, failure.code)
        return web.json_response(self._resource_json(request, resource), status=201)

    async def fetch(self, request: web.Request) -> web.Response:
        resource = self._service.fetch(request.match_info["sid"], self._callers.find_account(request))
        return web.json_response(self._resource_json(request, resource))

    async def list_page(self, request: web.Request) -> web.Response:
        product = self._product
        page = self._service.list_page(parameters.parse_query(request), self._callers.find_account(request))
        url = f"{base_url(request, product.base_path)}{product.service_path}"
        return list_response(page, product.list_key, url, partial(self._resource_json, request))

    async def delete(self, request: web.Request) -> web.Response:
        self._service.delete(request.match_info["sid"], self._callers.find_account(request))
        return web.Response(status=204)

    def _resource_json(self, request: web.Request, resource: CommandResource) -> dict[str, object]:
        account = self._callers.shown_account(request)
        product = self._product
        return resource.to_json(product, account, base_url(request, product.base_path))
