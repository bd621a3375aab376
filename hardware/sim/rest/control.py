"""`/sandbox/`: what no real service offers and a developer needs. JSON in, JSON out.

    GET  /sandbox/                           what there is: URLs, account, SIMs
    GET  /sandbox/sims                       the SIMs, each with whether it is reachable and what waits for it
    GET  /sandbox/sims/NAME                  one of them
    GET  /sandbox/sims/NAME/messages         what it has sent, listed by its service or not, newest first
    POST /sandbox/sims/NAME/messages         an SMS from any number: {"from": "+15557654321", "text": "on"},
                                             or "hex" instead of "text" for binary
    POST /sandbox/sims/NAME/detach           out of radio coverage
    POST /sandbox/sims/NAME/attach           back into it
    POST /sandbox/sims/NAME/lose             lose the next acknowledgements of the module: {"count": 1}
    POST /sandbox/sims/NAME/faults           let something go wrong with its module:
                                             {"fault": "final-lost:command=+CMGS,times=2"}
    GET  /sandbox/sims/NAME/faults           what was ordered, and what has struck
    DELETE /sandbox/sims/NAME/faults         call it off
    GET  /sandbox/faults                     all that can go wrong, by name
    POST /sandbox/commands/SID/redeliver     the network brings the same message again
    GET  /sandbox/events?after=N             what happened after event N (of the last thousand)

NAME is a unique name or a SID. Refusals have the same form as those of the services.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

import pdu
from hardware.sim.faults import MEANING, FaultError
from hardware.sim.rest import forms
from hardware.sim.service.error import invalid, missing
from hardware.sim.service.resource import date

if TYPE_CHECKING:
    from hardware.sim.network.events import Event
    from hardware.sim.network.originated import Originated
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import SandboxSim


class ControlRoutes:
    """The control interface of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def add_to(self, router: web.UrlDispatcher) -> None:
        sim = "/sandbox/sims/{name}"
        for path, get in (
            ("/sandbox", self.describe),
            ("/sandbox/", self.describe),
            ("/sandbox/sims", self.sims),
            ("/sandbox/events", self.events),
            (sim, self.sim),
            (f"{sim}/messages", self.sent),
            (f"{sim}/faults", self.faults),
            ("/sandbox/faults", self.meanings),
        ):
            router.add_get(path, get, allow_head=False)
        for path, post in (
            (f"{sim}/messages", self.send),
            (f"{sim}/attach", self.attach),
            (f"{sim}/detach", self.detach),
            (f"{sim}/lose", self.lose),
            (f"{sim}/faults", self.order_fault),
            ("/sandbox/commands/{sid}/redeliver", self.redeliver),
        ):
            router.add_post(path, post)
        router.add_delete(f"{sim}/faults", self.call_off_faults)

    # Looking.

    async def describe(self, _request: web.Request) -> web.Response:
        return web.json_response(self._sandbox.describe())

    async def sims(self, _request: web.Request) -> web.Response:
        return web.json_response({"sims": [self._show(sim) for sim in self._sandbox.sims.values()]})

    async def sim(self, request: web.Request) -> web.Response:
        return web.json_response(self._show(self._sim(request)))

    async def sent(self, request: web.Request) -> web.Response:
        imsi = self._sim(request).card.imsi
        sent = [_originated(message) for message in self._sandbox.network.ledger if message.imsi == imsi]
        return web.json_response({"messages": sent[::-1]})

    async def events(self, request: web.Request) -> web.Response:
        after = forms.query(request).get("after", "0")
        if not (after.isascii() and after.isdigit() and len(after) < 19):
            raise invalid("after", "it must be the number of an event")
        events = [
            {"event": number, **_event(sim, event)}
            for number, sim, event in self._sandbox.events
            if number > int(after)
        ]
        return web.json_response({"events": events})

    async def meanings(self, _request: web.Request) -> web.Response:
        return web.json_response({"faults": MEANING})

    async def faults(self, request: web.Request) -> web.Response:
        return web.json_response(self._sandbox.misfortunes(self._sim(request).sid).describe())

    # Doing.

    async def send(self, request: web.Request) -> web.Response:
        sim, wanted = self._sim(request), await _body(request)
        sender, content = _text(wanted, "from"), _content(wanted)
        try:
            parts = self._sandbox.send_sms(sim.sid, sender, content)
        except pdu.PduError as error:
            raise invalid("from" if "address" in error.field else "text", str(error)) from error
        return web.json_response({"parts": parts}, status=202)

    async def attach(self, request: web.Request) -> web.Response:
        self._sandbox.attach(self._sim(request).sid)
        return await self.sim(request)

    async def detach(self, request: web.Request) -> web.Response:
        self._sandbox.detach(self._sim(request).sid)
        return await self.sim(request)

    async def lose(self, request: web.Request) -> web.Response:
        count = (await _body(request)).get("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 1000:
            raise invalid("count", "it must be an integer from 1 to 1000")
        self._sandbox.lose_acknowledgements(self._sim(request).sid, count)
        return await self.sim(request)

    async def order_fault(self, request: web.Request) -> web.Response:
        sim, fault = self._sim(request), _text(await _body(request), "fault")
        try:
            self._sandbox.misfortunes(sim.sid).order(fault)
        except FaultError as error:
            raise invalid("fault", str(error)) from error
        return web.json_response(self._sandbox.misfortunes(sim.sid).describe(), status=202)

    async def call_off_faults(self, request: web.Request) -> web.Response:
        self._sandbox.misfortunes(self._sim(request).sid).call_off()
        return await self.faults(request)

    async def redeliver(self, request: web.Request) -> web.Response:
        self._sandbox.redeliver(request.match_info["sid"])
        return web.json_response({}, status=202)

    def _sim(self, request: web.Request) -> SandboxSim:
        return self._sandbox.sim(request.match_info["name"])

    def _show(self, sim: SandboxSim) -> dict[str, object]:
        network = self._sandbox.network
        return {
            **sim.describe(self._sandbox.url),
            "reachable": network.reachable(sim.card.imsi),
            "waiting": network.waiting(sim.card.imsi),
        }


async def _body(request: web.Request) -> dict[str, object]:
    """Whatever the media type says (curl's default says "form"), it is read as JSON; absent is `{}`."""
    octets = await request.read()
    try:
        body = json.loads(octets or b"{}")
    except (ValueError, RecursionError) as error:  # the decoder's, UTF-8's, and a thousand brackets
        raise invalid("body", "it must be JSON") from error
    if not isinstance(body, dict):
        raise invalid("body", "it must be a JSON object")
    return body


def _text(body: dict[str, object], name: str) -> str:
    value = body.get(name)
    if value is None:
        raise missing(name)
    if not isinstance(value, str) or not value:
        raise invalid(name, "it must be a text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise invalid(name, "it holds half a surrogate pair")
    return value


def _content(body: dict[str, object]) -> str | bytes:
    if "hex" not in body:
        return _text(body, "text")
    try:
        return bytes.fromhex(_text(body, "hex"))
    except ValueError as error:
        raise invalid("hex", "it must be pairs of hexadecimal digits") from error


def _originated(message: Originated) -> dict[str, object]:
    return {
        "to": str(message.destination),
        **_shown(message.body),
        "parts": message.parts,
        "at": date(message.at),
    }


def _event(sim: SandboxSim, event: Event) -> dict[str, object]:
    return {
        "kind": event.kind.value,
        "at": event.at.isoformat(),
        "sim": sim.unique_name,
        "service": sim.service.product.name,
        "number": event.number,
        "sid": event.sid,
        **_shown(event.body),
        "attempt": event.attempt,
        "note": event.note,
    }


def _shown(body: str | bytes | None) -> dict[str, object]:
    return {"hex": body.hex()} if isinstance(body, bytes) else {"text": body}
