"""The HTTP side of the console: the page with its files, the stream of messages, and the decoder of PDUs."""

from __future__ import annotations

import asyncio
import json
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hardware.sim.rest import parameters
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError, invalid_parameter, missing_parameter
from pdu.explain import explain, to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from typing import Literal

    from hardware.sim.console.console import Console

CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Content-Security-Policy: nothing from elsewhere, no inline script, and no HTML made from strings."""
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    hdrs.CACHE_CONTROL: "no-cache",
}
STREAM_HEADERS = {hdrs.CONTENT_TYPE: "text/event-stream", hdrs.CACHE_CONTROL: "no-store"}
RETRY_MS = 1000
"""Time after which a browser connects again."""
PAUSE_S = 0.05
"""Shortest time between two messages: what happens meanwhile becomes one message."""
HEARTBEAT_S = 15.0
"""Time without a message after which a comment is sent, to notice a reader that is gone."""
MESSAGE_KINDS = ("SMS-DELIVER", "SMS-SUBMIT")
MAX_PDU_DIGITS = 1000
"""More than any PDU has: a TPDU has at most 164 octets."""


class ConsoleRoutes:
    """The routes of one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        folder = resources.files("hardware.sim.console") / "page"
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get("/", self.show_page, allow_head=False)
        router.add_get("/console/events", self.stream, allow_head=False)
        router.add_get("/console/pdu", self.decode_pdu, allow_head=False)
        router.add_get("/console/{file}", self.show_file, allow_head=False)

    async def show_page(self, _request: web.Request) -> web.Response:
        return self._file_response("index.html")

    async def show_file(self, request: web.Request) -> web.Response:
        return self._file_response(request.match_info["file"])

    def _file_response(self, name: str) -> web.Response:
        if name not in self._files:
            raise ServiceError(404, NO_SUCH_RESOURCE, f"The console has no file {name}.")
        suffix = name[name.rindex(".") :]
        return web.Response(
            body=self._files[name], content_type=CONTENT_TYPES[suffix], charset="utf-8", headers=PAGE_HEADERS
        )

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Send the messages of the console as server-sent events until the reader or the sandbox ends.

        `after` in the query replaces the header `Last-Event-ID`, which a script cannot set.
        """
        last_id = request.headers.get("Last-Event-ID") or parameters.parse_query(request).get("after", "")
        response = web.StreamResponse(headers=STREAM_HEADERS)
        await response.prepare(request)
        try:
            await response.write(f"retry: {RETRY_MS}\n\n".encode())
            await self._send_messages(response, self._console.follow(last_id))
        except ConnectionError:
            pass  # the reader has gone
        return response

    async def _send_messages(
        self, response: web.StreamResponse, messages: AsyncIterator[tuple[str, Mapping[str, object]]]
    ) -> None:
        """Send each message, and a comment whenever there is none for a while."""
        following = asyncio.ensure_future(anext(messages, None))
        try:
            while True:
                done, _ = await asyncio.wait({following}, timeout=HEARTBEAT_S)
                if not done:
                    await response.write(b":\n\n")
                    continue
                if (message := following.result()) is None:
                    return
                number, content = message
                head = f"id: {number}\n" if number else ""
                await response.write(head.encode() + b"data: " + json.dumps(content).encode() + b"\n\n")
                await asyncio.sleep(PAUSE_S)
                following = asyncio.ensure_future(anext(messages, None))
        finally:
            following.cancel()

    async def decode_pdu(self, request: web.Request) -> web.Response:
        """Return the fields of the PDU `hex`, as `modem-agent pdu decode --json` prints them.

        `direction`, `mt` or `mo`, is where it was seen. A valid DELIVER or SUBMIT is taken for that anyway:
        a host may write and read messages of both kinds in the store of a module.
        """
        query = parameters.parse_query(request)
        digits, direction = query.get("hex"), query.get("direction", "mt")
        if not digits:
            raise missing_parameter("hex")
        if len(digits) > MAX_PDU_DIGITS:
            raise invalid_parameter("hex", f"it has more than {MAX_PDU_DIGITS} digits")
        if direction not in ("mt", "mo"):
            raise invalid_parameter("direction", "it must be mt or mo")
        tries: tuple[Literal["mt", "mo"], ...] = ("mo", "mt") if direction == "mo" else ("mt", "mo")
        explanations = [explain(digits, direction=each) for each in tries]
        valid = (each for each in explanations if each.error is None and each.kind in MESSAGE_KINDS)
        best = next(valid, explanations[0])
        return web.json_response(to_json(best))
