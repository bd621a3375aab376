"""Faults and the limit of requests to the services; they concern no other path."""

from __future__ import annotations

import asyncio
from functools import partial
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
        self._delayed: set[asyncio.Future[bool]] = set()
        """For each request that is delayed: whether it is executed at the end."""

    def abort_delayed(self) -> None:
        """Close the connections of the requests that are delayed, which are not executed any more."""
        for delayed in self._delayed:
            self._end(delayed, is_executed=False)

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
        if fault.name == "late" and await self._wait(fault.seconds):
            return await handler(request)
        if fault.name == "answer-lost":
            await handler(request)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the connection is closed by a fault of the services")

    async def _wait(self, seconds: float) -> bool:
        """Return True after this time, or False at once when the request is aborted."""
        delayed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._delayed.add(delayed)
        timer = self._sandbox.clock.call_later(seconds, partial(self._end, delayed, is_executed=True))
        try:
            return await delayed
        finally:
            timer.cancel()
            self._delayed.discard(delayed)

    def _end(self, delayed: asyncio.Future[bool], *, is_executed: bool) -> None:
        if not delayed.done():
            delayed.set_result(is_executed)
