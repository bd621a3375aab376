"""The HTTP protocol of the server: errors that no route sees are answered with JSON too, and logged briefly.

aiohttp answers requests that are not HTTP, and an `Expect` that it cannot fulfil, with plain text. Clients of
the services expect the documented body for every error.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import http_exceptions, web

from hardware.sim.rest.responses import convert_http_error, error_response
from hardware.sim.service.errors import UNSPECIFIED, ServiceError

if TYPE_CHECKING:
    import asyncio
    from logging import Logger

CLIENT_ERRORS = (
    http_exceptions.HttpProcessingError,
    web.RequestPayloadError,
    aiohttp.ClientConnectionError,
    ConnectionError,
)
"""What a malformed request or a client that hangs up raises; the sandbox is not at fault."""


class JsonRequestHandler(web.RequestHandler):
    """One connection."""

    __slots__ = ()

    def __init__(self, server: web.Server, *, loop: asyncio.AbstractEventLoop, logger: Logger) -> None:
        super().__init__(server, loop=loop, logger=logger, access_log=None)  # type: ignore[arg-type] # aiohttp's hint lacks None

    def data_received(self, data: bytes) -> None:
        """Parse octets. aiohttp before 3.14 does not expect the error of an impossible URL."""
        try:
            super().data_received(data)
        except ValueError:
            if self.transport is not None:
                self.transport.write(_answer_to_impossible_url())
                self.transport.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that could not be parsed, or whose handling failed."""
        if status >= 500 and not isinstance(exc, CLIENT_ERRORS):
            self.log_exception("A request failed", exc_info=exc)
            error = ServiceError(500, UNSPECIFIED, "Internal error in the sandbox; see its log.")
        else:
            reason = (message or "it ends too early").partition("\n")[0].rstrip(":.")
            error = ServiceError(min(status, 499), UNSPECIFIED, f"The request is not valid HTTP: {reason}.")
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = error_response(error)
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one of the framework gets the documented body."""
        if isinstance(resp, web.HTTPException):
            resp = error_response(convert_http_error(request, resp))
        return await super().finish_response(request, resp, start_time)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Log an exception, unless the client caused it."""
        if not isinstance(kw.get("exc_info"), CLIENT_ERRORS):
            super().log_exception(*args, **kw)


def _answer_to_impossible_url() -> bytes:
    error = ServiceError(400, UNSPECIFIED, "The request is not valid HTTP: its URL is impossible.")
    body = json.dumps(error.to_json()).encode()
    head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
