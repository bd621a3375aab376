"""`/sandbox/`: control of the simulation, which no real service offers. Requests and answers are JSON.

hardware/README.md has the list of paths. A SIM is named by its unique name or SID. Errors have the form of
those of the services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

import pdu
from hardware.sim.fault_text import FaultError
from hardware.sim.rest import json_body, parameters
from hardware.sim.sandbox_faults import SANDBOX_FAULT_DESCRIPTIONS
from hardware.sim.service.dates import format_date
from hardware.sim.service.errors import (
    NO_SUCH_RESOURCE,
    ServiceError,
    invalid_parameter,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hardware.sim.network.events import NetworkEvent
    from hardware.sim.network.network import MoMessage
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import SandboxSim


class ControlRoutes:
    """The control interface of one sandbox."""

    def __init__(
        self,
        sandbox: Sandbox,
        server_url: Callable[[], str],
        describe: Callable[[], dict[str, object]],
        reset: Callable[[], Awaitable[None]],
    ) -> None:
        self._sandbox = sandbox
        self._server_url = server_url
        self._describe = describe
        self._reset = reset

    def register(self, router: web.UrlDispatcher) -> None:
        sim = "/sandbox/sims/{name}"
        for path, get in (
            ("/sandbox", self.show_sandbox),
            ("/sandbox/", self.show_sandbox),
            ("/sandbox/sims", self.list_sims),
            ("/sandbox/events", self.list_events),
            (sim, self.show_sim),
            (f"{sim}/messages", self.list_sent),
            (f"{sim}/faults", self.show_faults),
            ("/sandbox/faults", self.list_fault_kinds),
            ("/sandbox/callbacks", self.list_callbacks),
            ("/sandbox/callbacks/{number}", self.show_callback),
        ):
            router.add_get(path, get, allow_head=False)
        for path, post in (
            (f"{sim}/messages", self.send_message),
            (f"{sim}/attach", self.attach),
            (f"{sim}/detach", self.detach),
            (f"{sim}/lose", self.lose_acknowledgements),
            (f"{sim}/faults", self.add_fault),
            ("/sandbox/reset", self.reset),
        ):
            router.add_post(path, post)
        router.add_delete(f"{sim}/faults", self.cancel_faults)

    # GET

    async def show_sandbox(self, _request: web.Request) -> web.Response:
        return web.json_response(self._describe())

    async def list_sims(self, _request: web.Request) -> web.Response:
        return web.json_response({"sims": [self._sim_json(sim) for sim in self._sandbox.sims.values()]})

    async def show_sim(self, request: web.Request) -> web.Response:
        return web.json_response(self._sim_json(self._find_sim(request)))

    async def list_sent(self, request: web.Request) -> web.Response:
        imsi = self._find_sim(request).sim_card.imsi
        sent = [
            _mo_message_json(message) for message in self._sandbox.network.mo_messages if message.imsi == imsi
        ]
        return web.json_response({"messages": sent[::-1]})

    async def list_events(self, request: web.Request) -> web.Response:
        after = parameters.parse_after(request)
        events = [
            {"event": number, **_event_json(sim, event)}
            for number, sim, event in self._sandbox.records.events
            if number > after
        ]
        return web.json_response({"events": events})

    async def list_fault_kinds(self, _request: web.Request) -> web.Response:
        return web.json_response({"faults": SANDBOX_FAULT_DESCRIPTIONS})

    async def show_faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._find_sim(request).faults.describe())

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

    # POST and DELETE

    async def send_message(self, request: web.Request) -> web.Response:
        sim = self._find_sim(request)
        wanted = await json_body.read_object(request, "from", "text", "hex")
        sender, content = json_body.text_field(wanted, "from"), _message_content(wanted)
        try:
            parts = self._sandbox.send_sms(sim.sid, sender, content)
        except pdu.PduError as error:
            raise invalid_parameter("from" if "address" in error.field else "text", str(error)) from error
        return web.json_response({"parts": parts}, status=202)

    async def attach(self, request: web.Request) -> web.Response:
        self._sandbox.attach(self._find_sim(request).sid)
        return await self.show_sim(request)

    async def detach(self, request: web.Request) -> web.Response:
        self._sandbox.detach(self._find_sim(request).sid)
        return await self.show_sim(request)

    async def lose_acknowledgements(self, request: web.Request) -> web.Response:
        count = (await json_body.read_object(request, "count")).get("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 1000:
            raise invalid_parameter("count", "it must be an integer from 1 to 1000")
        self._sandbox.lose_acknowledgements(self._find_sim(request).sid, count)
        return await self.show_sim(request)

    async def add_fault(self, request: web.Request) -> web.Response:
        sim, fault = (
            self._find_sim(request),
            json_body.text_field(await json_body.read_object(request, "fault"), "fault"),
        )
        try:
            sim.faults.add(fault)
        except FaultError as error:
            raise invalid_parameter("fault", str(error)) from error
        return web.json_response(sim.faults.describe(), status=202)

    async def cancel_faults(self, request: web.Request) -> web.Response:
        self._find_sim(request).faults.cancel_all()
        return await self.show_faults(request)

    async def reset(self, request: web.Request) -> web.Response:
        await self._reset()
        return await self.show_sandbox(request)

    def _find_sim(self, request: web.Request) -> SandboxSim:
        return self._sandbox.find_sim(request.match_info["name"])

    def _sim_json(self, sim: SandboxSim) -> dict[str, object]:
        network = self._sandbox.network
        return {
            **sim.describe(self._server_url()),
            "reachable": network.is_reachable(sim.sim_card.imsi),
            "waiting": network.count_waiting(sim.sim_card.imsi),
        }


def _message_content(body: dict[str, object]) -> str | bytes:
    if "hex" not in body:
        return json_body.text_field(body, "text")
    try:
        return bytes.fromhex(json_body.text_field(body, "hex"))
    except ValueError as error:
        raise invalid_parameter("hex", "it must be pairs of hexadecimal digits") from error


def _mo_message_json(message: MoMessage) -> dict[str, object]:
    return {
        "to": str(message.destination),
        **_content_json(message.body),
        "parts": message.part_count,
        "at": format_date(message.received_at),
    }


def _event_json(sim: SandboxSim | None, event: NetworkEvent) -> dict[str, object]:
    return {
        "kind": event.kind.value,
        "at": event.at.isoformat(),
        "sim": sim.unique_name if sim else None,
        "service": sim.service.product.name if sim else None,
        "number": event.number,
        "sid": event.sid,
        **_content_json(event.body),
        "attempt": event.attempt,
        "note": event.note,
    }


def _content_json(body: str | bytes | None) -> dict[str, object]:
    return {"hex": body.hex()} if isinstance(body, bytes) else {"text": body}
