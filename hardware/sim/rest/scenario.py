"""`/sandbox/scenario`: starts a scenario, shows how far it is, and stops it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.scenario.steps import ScenarioError, make_scenario, parse_scenario
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError, invalid_parameter

if TYPE_CHECKING:
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.scenario.player import ScenarioPlayer

SCENARIO_PATH = "/sandbox/scenario"


class ScenarioRoutes:
    """The scenario of one sandbox."""

    def __init__(self, sandbox: Sandbox, player: ScenarioPlayer) -> None:
        self._sandbox = sandbox
        self._player = player

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get(SCENARIO_PATH, self.show, allow_head=False)
        router.add_post(SCENARIO_PATH, self.start)
        router.add_delete(SCENARIO_PATH, self.stop)

    async def show(self, _request: web.Request) -> web.Response:
        progress = self._player.to_json()
        if progress is None:
            raise ServiceError(404, NO_SUCH_RESOURCE, "There is no scenario; POST one.")
        return web.json_response(progress)

    async def start(self, request: web.Request) -> web.Response:
        """Take the TOML text of a file, or the same as JSON, which begins with a brace."""
        octets, sims = await request.read(), self._sandbox.sims.keys()
        try:
            text = octets.decode("utf-8")
            if text.lstrip().startswith("{"):
                table = json.loads(text)
                json.dumps(table, ensure_ascii=False).encode()  # half of a surrogate pair is no text
                scenario = make_scenario(table, sims)
            else:
                scenario = parse_scenario(text, sims)
        except ScenarioError as error:
            raise invalid_parameter("scenario", str(error)) from error
        except (ValueError, RecursionError) as error:  # not UTF-8, not JSON
            raise invalid_parameter("scenario", "it must be TOML or JSON in UTF-8") from error
        self._player.start(scenario)
        return web.json_response(self._player.to_json(), status=202)

    async def stop(self, request: web.Request) -> web.Response:
        self._player.stop()
        return await self.show(request)
