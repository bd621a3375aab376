"""The REST operations on Sims and Fleets: list, fetch, update, and create where the service has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest import parameters
from hardware.sim.rest.responses import list_response, root_url
from hardware.sim.service import fleets, sims

if TYPE_CHECKING:
    from hardware.sim.rest.access import Callers
    from hardware.sim.service.fleets import FleetCollection
    from hardware.sim.service.sims import SimCollection


class SimRoutes:
    """The SIMs of one product. Cards are claimed with Super SIM only."""

    def __init__(self, collection: SimCollection, callers: Callers) -> None:
        self._sims = collection
        self._callers = callers

    def register(self, router: web.UrlDispatcher) -> None:
        path = self._sims.product.sims_path
        router.add_get(path, self.list_page, allow_head=False)
        router.add_get(f"{path}/{{name}}", self.fetch, allow_head=False)
        router.add_post(f"{path}/{{name}}", self.update)
        if self._sims.product.has_fleets:
            router.add_post(path, self.create)

    async def create(self, request: web.Request) -> web.Response:
        sim = self._sims.create(await parameters.parse_form(request))
        return web.json_response(self._to_json(request, sim), status=201)

    async def list_page(self, request: web.Request) -> web.Response:
        page = self._sims.list_page(parameters.parse_query(request))
        url = f"{root_url(request)}{self._sims.product.sims_path}"
        return list_response(page, sims.LIST_KEY, url, partial(self._to_json, request))

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._to_json(request, self._sims.fetch(request.match_info["name"])))

    async def update(self, request: web.Request) -> web.Response:
        sim = self._sims.update(request.match_info["name"], await parameters.parse_form(request))
        return web.json_response(self._to_json(request, sim))

    def _to_json(self, request: web.Request, sim: sims.ServiceSim) -> dict[str, object]:
        account = self._callers.shown_account(request)
        return sim.to_json(self._sims.product, account, root_url(request))


class FleetRoutes:
    """The Fleets of Super SIM."""

    def __init__(self, collection: FleetCollection, callers: Callers) -> None:
        self._fleets = collection
        self._callers = callers

    def register(self, router: web.UrlDispatcher) -> None:
        path = fleets.FLEETS_PATH
        router.add_post(path, self.create)
        router.add_get(path, self.list_page, allow_head=False)
        router.add_get(f"{path}/{{name}}", self.fetch, allow_head=False)
        router.add_post(f"{path}/{{name}}", self.update)

    async def create(self, request: web.Request) -> web.Response:
        fleet = self._fleets.create(await parameters.parse_form(request))
        return web.json_response(self._to_json(request, fleet), status=201)

    async def list_page(self, request: web.Request) -> web.Response:
        page = self._fleets.list_page(parameters.parse_query(request))
        url = f"{root_url(request)}{fleets.FLEETS_PATH}"
        return list_response(page, fleets.LIST_KEY, url, partial(self._to_json, request))

    async def fetch(self, request: web.Request) -> web.Response:
        return web.json_response(self._to_json(request, self._fleets.fetch(request.match_info["name"])))

    async def update(self, request: web.Request) -> web.Response:
        fleet = self._fleets.update(request.match_info["name"], await parameters.parse_form(request))
        return web.json_response(self._to_json(request, fleet))

    def _to_json(self, request: web.Request, fleet: fleets.Fleet) -> dict[str, object]:
        return fleet.to_json(self._callers.shown_account(request), root_url(request))
