"""Faults and the limit of requests to the services; they concern no other path."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.rest.access import PROTECTED_PATHS
from hardware.sim.service.request_faults import RequestLimit

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from hardware.sim.sandbox import Sandbox
    from hardware.sim.service.request_faults import RequestFault


class FaultyRequests:
    """Requests to the services of one sandbox, some of which are refused, delayed or not answered."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._limit = RequestLimit(lambda: sandbox.rules, sandbox.clock.time)

    def middleware(self) -> Middleware:
        """Return the middleware; it raises ServiceError (429, 5xx)."""

        @web.middleware
        async def apply_faults(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith(PROTECTED_PATHS):
                return await handler(request)
            self._limit.admit()
            fault = self._sandbox.account.faults.take(request.method, request.path)
            return await handler(request) if fault is None else await self._apply(fault, request, handler)

        return apply_faults

    async def _apply(self, fault: RequestFault, request: web.Request, handler: Handler) -> web.StreamResponse:
        error = fault.to_error()
        if error is not None:
            raise error
        if fault.name == "late":
            await self._wait(fault.seconds)
            return await handler(request)
        if fault.name == "answer-lost":
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the connection is closed by a fault of the services")

    async def _wait(self, seconds: float) -> None:
        passed = asyncio.Event()
        timer = self._sandbox.clock.call_later(seconds, passed.set)
        try:
            await passed.wait()
        finally:
            timer.cancel()
