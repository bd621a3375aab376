"""Authentication of requests to the services, and the token endpoint. `/sandbox` needs no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hardware.sim.rest import parameters
from hardware.sim.service.access import TOKEN_PATH, TokenRefused

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from hardware.sim.service.access import AccessControl

PROTECTED_PATHS = ("/supersim/", "/wireless/", "/v1/")
"""Paths of the services, whether a route exists or not."""

ACCOUNT = web.RequestKey("account", str)
"""The account SID that `Callers.find_account` has found for a request; empty if it is not known."""


class Callers:
    """The callers of one sandbox."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access

    def find_account(self, request: web.Request) -> str | None:
        """Return the account SID of the caller, None if an open sandbox does not know it.

        Raises ServiceError (401) for missing or wrong credentials.
        """
        if ACCOUNT not in request:
            request[ACCOUNT] = self._access.authenticate(request.headers.get(hdrs.AUTHORIZATION)) or ""
        return request[ACCOUNT] or None

    def shown_account(self, request: web.Request) -> str:
        """Return the account SID that resources show to the caller."""
        return self.find_account(request) or self._access.credentials.account_sid

    def middleware(self) -> Middleware:
        """Return the middleware that lets only authenticated requests pass to the services."""

        @web.middleware
        async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(PROTECTED_PATHS):
                self.find_account(request)
            return await handler(request)

        return authenticate


class TokenRoutes:
    """The token endpoint."""

    def __init__(self, access: AccessControl) -> None:
        self._access = access

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_post(TOKEN_PATH, self.issue_token)

    async def issue_token(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(self._access.issue_token(await parameters.parse_form(request)))
        except TokenRefused as refused:
            return web.json_response(refused.body, status=refused.status)
