"""The REST operations on Sims and Fleets: list, fetch, update, and create where the service has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest import parameters
from hardware.sim.rest.responses import list_response
from hardware.sim.rest.service_router import base_url
from hardware.sim.service import fleets, sims
from hardware.sim.service.product import SIMS_PATH, SUPER_SIM

if TYPE_CHECKING:
    from hardware.sim.rest.access import Callers
    from hardware.sim.rest.service_router import ServiceRouter
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.service.fleets import FleetCollection
    from hardware.sim.service.product import Product
    from hardware.sim.service.sims import SimCollection


class SimRoutes:
    """The SIMs of one product. Cards are claimed with Super SIM only."""

    def __init__(self, sandbox: Sandbox, product: Product, callers: Callers) -> None:
        self._sandbox = sandbox
        self._product = product
        self._callers = callers

    @property
    def _sims(self) -> SimCollection:
        return self._sandbox.account.sims[self._product.base_path]

    def register(self, router: ServiceRouter) -> None:
        product = self._product
        router.add("GET", product.base_path, SIMS_PATH, self.list_page)
        router.add("GET", product.base_path, f"{SIMS_PATH}/{{name}}", self.fetch)
        router.add("POST", product.base_path, f"{SIMS_PATH}/{{name}}", self.update)
        if product.has_fleets:
            router.add("POST", product.base_path, SIMS_PATH, self.create)

    async def create(self, request: web.Request) -> web.Response:
        sim = self._sims.create(await parameters.parse_form(request))
        return web.json_response(self._to_json(request, sim), status=201)

    async def list_page(self, request: web.Request) -> web.Response:
        page = self._sims.list_page(parameters.parse_query(request))
        url = f"{base_url(request, self._product.base_path)}{SIMS_PATH}"
        return list_response(page, sims.LIST_KEY, url, partial(self._to_json, request))

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._to_json(request, self._sims.fetch(request.match_info["name"])))

    async def update(self, request: web.Request) -> web.Response:
        sim = self._sims.update(request.match_info["name"], await parameters.parse_form(request))
        return web.json_response(self._to_json(request, sim))

    def _to_json(self, request: web.Request, sim: sims.ServiceSim) -> dict[str, object]:
        account = self._callers.shown_account(request)
        product = self._product
        return sim.to_json(product, account, base_url(request, product.base_path))


class FleetRoutes:
    """The Fleets of Super SIM."""

    def __init__(self, sandbox: Sandbox, callers: Callers) -> None:
        self._sandbox = sandbox
        self._callers = callers

    @property
    def _fleets(self) -> FleetCollection:
        return self._sandbox.account.fleets

    def register(self, router: ServiceRouter) -> None:
        path = fleets.FLEETS_PATH
        router.add("POST", SUPER_SIM.base_path, path, self.create)
        router.add("GET", SUPER_SIM.base_path, path, self.list_page)
        router.add("GET", SUPER_SIM.base_path, f"{path}/{{name}}", self.fetch)
        router.add("POST", SUPER_SIM.base_path, f"{path}/{{name}}", self.update)

    async def create(self, request: web.Request) -> web.Response:
        fleet = self._fleets.create(await parameters.parse_form(request))
        return web.json_response(self._to_json(request, fleet), status=201)

    async def list_page(self, request: web.Request) -> web.Response:
        page = self._fleets.list_page(parameters.parse_query(request))
        url = f"{base_url(request, SUPER_SIM.base_path)}{fleets.FLEETS_PATH}"
        return list_response(page, fleets.LIST_KEY, url, partial(self._to_json, request))

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._to_json(request, self._fleets.fetch(request.match_info["name"])))

    async def update(self, request: web.Request) -> web.Response:
        fleet = self._fleets.update(request.match_info["name"], await parameters.parse_form(request))
        return web.json_response(self._to_json(request, fleet))

    def _to_json(self, request: web.Request, fleet: fleets.Fleet) -> dict[str, object]:
        return fleet.to_json(self._callers.shown_account(request), base_url(request, SUPER_SIM.base_path))
