"""The HTTP server of a sandbox: the services, the control interface and the front page at one address."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aiohttp import http_exceptions, web

from hardware.sim.rest.commands import CommandRoutes
from hardware.sim.rest.control import ControlRoutes
from hardware.sim.rest.errors import errors_as_json
from hardware.sim.rest.index_page import IndexRoutes
from hardware.sim.rest.urls import format_authority

if TYPE_CHECKING:
    from hardware.sim.sandbox_core import SandboxCore

SHUTDOWN_TIMEOUT_S = 1.0
"""Seconds that running requests get when the sandbox stops; all are answered at once anyway."""

log = logging.getLogger(__name__)


def _is_not_http_error(record: logging.LogRecord) -> bool:
    """Drop the traceback of a malformed HTTP request; it has been answered with 400."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, http_exceptions.HttpProcessingError)


log.addFilter(_is_not_http_error)


class RestServer:
    """Listens from `start` to `stop`; port 0 means any free port."""

    def __init__(self, sandbox: SandboxCore, host: str, port: int) -> None:
        self.listen_address = format_authority(host, port)
        self._sandbox = sandbox
        self._host = host
        self._port = port
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Start to listen; raises OSError."""
        app = web.Application(middlewares=[errors_as_json])
        for service in self._sandbox.services.values():
            CommandRoutes(service, self._sandbox.account_sid).register(app.router)
        ControlRoutes(self._sandbox, lambda: self.url).register(app.router)
        IndexRoutes(self._sandbox).register(app.router)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()

    async def stop(self) -> None:
        """Stop listening; does nothing if the server does not run."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @property
    def url(self) -> str:
        """`http://HOST:PORT` for clients on this machine."""
        if self._runner is None:
            raise RuntimeError("the sandbox is not started")
        host, port = self._runner.addresses[0][:2]
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
        return f"http://{format_authority(everywhere.get(host, host), port)}"
