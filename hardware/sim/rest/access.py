"""Authentication of requests to the services, and the token endpoint. `/sandbox` needs no credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from hardware.sim.rest import parameters
from hardware.sim.service.access import TokenRefused

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from hardware.sim.service.access import AccessControl

TOKEN_PATH = "/api-services/v1/auth/token"  # noqa: S105 - a path
PROTECTED_PATHS = ("/supersim/", "/wireless/", "/v1/")
_ACCOUNT = "account_sid"


def authenticate_with(access: AccessControl) -> Middleware:
    """Return the middleware that lets only authenticated requests pass to the services."""

    @web.middleware
    async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(PROTECTED_PATHS):
            request[_ACCOUNT] = access.authenticate(request.headers.get(hdrs.AUTHORIZATION))
        return await handler(request)

    return authenticate


def caller_account(request: web.Request) -> str | None:
    """Return the account SID of the caller, None if it is not known."""
    account: str | None = request.get(_ACCOUNT)
    return account


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
