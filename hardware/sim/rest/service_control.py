"""`/sandbox/rules`, `/sandbox/services/faults` and `/sandbox/commands`: control of the simulated services.

hardware/README.md has the list of paths, bodies and meanings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from aiohttp import web

from hardware.sim.fault_text import FaultError
from hardware.sim.rest import json_body
from hardware.sim.rest.responses import root_url
from hardware.sim.service import manual_states
from hardware.sim.service.errors import UNSPECIFIED, invalid_parameter
from hardware.sim.service.request_faults import REQUEST_FAULTS
from hardware.sim.service.rules import RULES
from hardware.sim.service.service import NOT_DELIVERED
from hardware.sim.service.sims import SUPER_SIM_STATUSES, WIRELESS_STATUSES, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.typedefs import Handler

    from hardware.sim.sandbox import Sandbox
    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.service import CommandService

MAX_ERROR_CODE = 99999


class ServiceControlRoutes:
    """Rules, faults and Commands of the services of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def register(self, router: web.UrlDispatcher) -> None:
        faults, command = "/sandbox/services/faults", "/sandbox/commands/{sid}"
        router.add_get("/sandbox/rules", self.show_rules, allow_head=False)
        router.add_post("/sandbox/rules", self.change_rules)
        router.add_get(faults, self.show_faults, allow_head=False)
        router.add_post(faults, self.add_fault)
        router.add_delete(faults, self.cancel_faults)
        router.add_get(command, self.show_command, allow_head=False)
        for word, post in (
            ("send", self._move(manual_states.send)),
            ("receipt", self._move(manual_states.receive_receipt)),
            ("deliver", self._move(manual_states.deliver)),
            ("fail", self.fail),
            ("redeliver", self.redeliver),
        ):
            router.add_post(f"{command}/{word}", post)
        router.add_post("/sandbox/sims/{name}", self.change_sim)

    async def show_rules(self, _request: web.Request) -> web.Response:
        rules = self._sandbox.rules
        return web.json_response(
            {
                "rules": rules.to_json(),
                "choices": {name: rules.choices(name) for name in RULES},
                "meanings": RULES,
            }
        )

    async def change_rules(self, request: web.Request) -> web.Response:
        for name, value in (await json_body.read_object(request)).items():
            text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else "no text"
            try:
                self._sandbox.rules.change(name, text)
            except ValueError as error:
                raise invalid_parameter(name, str(error)) from None
        return await self.show_rules(request)

    async def show_faults(self, _request: web.Request) -> web.Response:
        faults = self._sandbox.account.faults.describe()
        return web.json_response({**faults, "meanings": REQUEST_FAULTS})

    async def add_fault(self, request: web.Request) -> web.Response:
        fault = json_body.text_field(await json_body.read_object(request, "fault"), "fault")
        try:
            self._sandbox.account.faults.add(fault)
        except FaultError as error:
            raise invalid_parameter("fault", str(error)) from error
        return web.json_response(self._sandbox.account.faults.describe(), status=202)

    async def cancel_faults(self, request: web.Request) -> web.Response:
        self._sandbox.account.faults.cancel_all()
        return await self.show_faults(request)

    async def show_command(self, request: web.Request) -> web.Response:
        service, resource = self._sandbox.find_command(request.match_info["sid"])
        return web.json_response(self._describe(request, service, resource))

    async def fail(self, request: web.Request) -> web.Response:
        service, resource = self._sandbox.find_command(request.match_info["sid"])
        wanted = await json_body.read_object(request, "code", "message")
        code = wanted.get("code", UNSPECIFIED)
        if not isinstance(code, int) or isinstance(code, bool) or not 1 <= code <= MAX_ERROR_CODE:
            raise invalid_parameter("code", f"it must be an integer from 1 to {MAX_ERROR_CODE}")
        message = json_body.text_field({"message": NOT_DELIVERED, **wanted}, "message")
        manual_states.fail(service, resource, code, message)
        return web.json_response(self._describe(request, service, resource))

    async def redeliver(self, request: web.Request) -> web.Response:
        self._sandbox.redeliver(request.match_info["sid"])
        return web.json_response({}, status=202)

    async def change_sim(self, request: web.Request) -> web.Response:
        product, sim = self._sandbox.account.find_sim(request.match_info["name"])
        wanted = await json_body.read_object(request)
        choices: dict[str, tuple[str, ...]] = {
            "status": SUPER_SIM_STATUSES if product.has_fleets else WIRELESS_STATUSES,
            "transport": ("sms",) if product.has_fleets else get_args(Transport),
        }
        for key, value in wanted.items():
            if value not in choices.get(key, ()):
                allowed = f"one of {', '.join(choices[key])}" if key in choices else "status or transport"
                raise invalid_parameter(key, f"it must be {allowed}")
        for key, value in wanted.items():
            setattr(sim, key, value)
        base_url = f"{root_url(request)}{product.base_path}"
        return web.json_response(sim.to_json(product, self._sandbox.account_sid, base_url))

    def _move(self, move: Callable[[CommandService, CommandResource], None]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            service, resource = self._sandbox.find_command(request.match_info["sid"])
            move(service, resource)
            return web.json_response(self._describe(request, service, resource))

        return handle

    def _describe(
        self, request: web.Request, service: CommandService, resource: CommandResource
    ) -> dict[str, object]:
        base_url = f"{root_url(request)}{service.product.base_path}"
        return {
            **resource.to_json(service.product, self._sandbox.account_sid, base_url),
            "service": service.product.name,
            "error_code": resource.error_code,
            "error_message": resource.error_message,
        }
