"""A sandbox with its HTTP server: the services, the control interface and the front page at one address."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import http_exceptions, web

from hardware.sim.callbacks.http_client import CallbackHttpClient
from hardware.sim.rest.access import Callers, TokenRoutes
from hardware.sim.rest.clock import ClockRoutes
from hardware.sim.rest.commands import CommandRoutes
from hardware.sim.rest.control import ControlRoutes
from hardware.sim.rest.index_page import IndexRoutes
from hardware.sim.rest.responses import errors_as_json, format_authority
from hardware.sim.rest.sims import FleetRoutes, SimRoutes

if TYPE_CHECKING:
    from hardware.sim.callbacks.sender import CallbackRules
    from hardware.sim.sandbox import Sandbox

DEFAULT_LISTEN = ("127.0.0.1", 8480)

SHUTDOWN_TIMEOUT_S = 1.0
"""Seconds that running requests get when the sandbox stops; all are answered at once anyway."""

log = logging.getLogger(__name__)


def _is_not_http_error(record: logging.LogRecord) -> bool:
    """Drop the traceback of a malformed HTTP request; it has been answered with 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


log.addFilter(_is_not_http_error)


class SandboxUnavailable(Exception):  # noqa: N818 - the name of a condition
    """The sandbox cannot run here; the text is one sentence with the reason and the remedy."""


class SandboxServer:
    """A sandbox with its REST API at `listen` (host and port; 0 means any free port) and its callbacks.

    With `is_open` the services accept any credentials, or none.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        listen: tuple[str, int] = DEFAULT_LISTEN,
        *,
        callback_rules: CallbackRules | None = None,
        is_open: bool = True,
    ) -> None:
        self.sandbox = sandbox
        self._listen = listen
        self._callback_rules = callback_rules
        self._access = sandbox.make_access_control(is_open=is_open)
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Start the sandbox and listen; raises SandboxUnavailable, and leaves nothing behind then."""
        try:
            await self.sandbox.start()
            self.sandbox.start_callbacks(CallbackHttpClient(), self._callback_rules)
            await self._start_listening()
        except OSError as error:
            await self.stop()
            raise SandboxUnavailable(self._explain_failure(error)) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, and stop the sandbox; does nothing if it is not started."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.sandbox.stop()

    @property
    def url(self) -> str:
        """`http://HOST:PORT` for clients on this machine."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not started")
        host, port = self._runner.addresses[0][:2]
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
        return f"http://{format_authority(everywhere.get(host, host), port)}"

    def describe(self) -> dict[str, object]:
        """Return the URLs, the account and the SIMs, as `sandbox --json` prints them."""
        return self.sandbox.describe(self.url)

    async def _start_listening(self) -> None:
        callers = Callers(self._access)
        clock = ClockRoutes(self.sandbox)
        app = web.Application(middlewares=[errors_as_json, clock.middleware(), callers.middleware()])
        TokenRoutes(self._access).register(app.router)
        for service in self.sandbox.services.values():
            CommandRoutes(service, callers).register(app.router)
        for collection in self.sandbox.account.sims.values():
            SimRoutes(collection, callers).register(app.router)
        FleetRoutes(self.sandbox.account.fleets, callers).register(app.router)
        ControlRoutes(self.sandbox, lambda: self.url).register(app.router)
        clock.register(app.router)
        IndexRoutes(self.sandbox, self._access).register(app.router)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, *self._listen).start()

    def _explain_failure(self, error: OSError) -> str:
        if error.filename is not None:
            return f"The link {error.filename} cannot be made: {error.strerror}; choose another --link-dir."
        address = format_authority(*self._listen)
        return f"Cannot listen on {address}: {error.strerror}; choose another --listen HOST:PORT."
