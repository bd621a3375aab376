"""`/sandbox/callbacks`: the latest callbacks, oldest first, with what each try got."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest import parameters
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError

if TYPE_CHECKING:
    from hardware.sim.sandbox import Sandbox


class CallbackRoutes:
    """The callbacks of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get("/sandbox/callbacks", self.list_callbacks, allow_head=False)
        router.add_get("/sandbox/callbacks/{number}", self.show_callback, allow_head=False)

    async def list_callbacks(self, request: web.Request) -> web.Response:
        after = parameters.parse_after(request)
        records = self._sandbox.callbacks.records
        return web.json_response(
            {"callbacks": [callback.to_json() for callback in records if callback.number > after]}
        )

    async def show_callback(self, request: web.Request) -> web.Response:
        number = request.match_info["number"]
        for callback in self._sandbox.callbacks.records:
            if str(callback.number) == number:
                return web.json_response(callback.to_json())
        raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no callback {number} among the latest.")
