"""A sandbox with its HTTP server: the services, the control interface and the console at one address."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.callbacks.http_client import CallbackHttpClient
from hardware.sim.console.console import Console
from hardware.sim.module.port_access import PortNotOffered
from hardware.sim.rest.access import Callers, TokenRoutes
from hardware.sim.rest.answers import AnswerRoutes
from hardware.sim.rest.clock import ClockRoutes
from hardware.sim.rest.commands import CommandRoutes
from hardware.sim.rest.console import ConsoleRoutes
from hardware.sim.rest.control import ControlRoutes
from hardware.sim.rest.host_check import HostCheck
from hardware.sim.rest.protocol import JsonRequestHandler
from hardware.sim.rest.request_faults import FaultyRequests
from hardware.sim.rest.responses import errors_as_json, format_authority
from hardware.sim.rest.scenario import ScenarioRoutes
from hardware.sim.rest.service_control import ServiceControlRoutes
from hardware.sim.rest.service_router import ServiceRouter
from hardware.sim.rest.sims import FleetRoutes, SimRoutes
from hardware.sim.scenario.player import ScenarioPlayer
from hardware.sim.service.product import PRODUCTS, PROGRAMMABLE_WIRELESS, SUPER_SIM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hardware.sim.callbacks.sender import CallbackRules
    from hardware.sim.sandbox import Sandbox

DEFAULT_LISTEN = ("127.0.0.1", 8480)

SHUTDOWN_TIMEOUT_S = 1.0
"""Seconds that running requests get when the sandbox stops; all are answered at once anyway."""

log = logging.getLogger(__name__)


class SandboxUnavailable(Exception):  # noqa: N818 - the name of a condition
    """The sandbox cannot run here; the text is one sentence with the reason and the remedy."""


class SandboxServer:
    """A sandbox with its REST API at `listen` (host and port; 0 means any free port) and its callbacks.

    With `is_open` the services accept any credentials, or none. `product_ports` gives products a port of
    their own, by their base path; there the paths are those of the vendor's host. Requests may name this
    machine or one of `allowed_hosts`.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        listen: tuple[str, int] = DEFAULT_LISTEN,
        *,
        callback_rules: CallbackRules | None = None,
        is_open: bool = True,
        product_ports: Mapping[str, int] = MappingProxyType({}),
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self.sandbox = sandbox
        self.console = Console(sandbox)
        """The page at `/`."""
        self.scenarios = ScenarioPlayer(sandbox)
        """The scenario that runs."""
        self._listen = listen
        self._callback_rules = callback_rules
        self._access = sandbox.make_access_control(is_open=is_open)
        self._product_ports = product_ports
        self._host_check = HostCheck((*allowed_hosts, listen[0]))
        self._faulty_requests = FaultyRequests(sandbox)
        self._runner: web.AppRunner | None = None
        self._sockets: list[asyncio.Server] = []
        self._urls: dict[str, str] = {}
        """`http://HOST:PORT` for clients on this machine, by base path; empty for the port of everything."""
        self._products_by_port: dict[int, str] = {}

    async def start(self) -> None:
        """Start the sandbox and listen; raises SandboxUnavailable, and leaves nothing behind then."""
        try:
            await self.sandbox.start()
            self.sandbox.start_callbacks(CallbackHttpClient(), self._callback_rules)
            self.console.start()
            await self._start_serving()
        except PortNotOffered as error:
            await self.stop()
            raise SandboxUnavailable(str(error)) from error
        except OSError as error:
            await self.stop()
            path = error.filename2 or error.filename
            if path is None or error.errno in (errno.EMFILE, errno.ENFILE):  # or no pseudo-terminals are left
                sentence = f"The ports of {len(self.sandbox.specs)} SIMs cannot be opened: {error.strerror}; "
                remedy = "raise the limit of open files (ulimit -n), or use fewer SIMs."
            else:
                sentence = f"The link {path} cannot be made: {error.strerror}; "
                remedy = "choose another --link-dir."
            raise SandboxUnavailable(sentence + remedy) from error
        except BaseException:
            await self.stop()
            raise

    async def reset(self) -> None:
        """Begin anew with the same addresses, ports and SIMs; `Sandbox.reset` says what is forgotten."""
        self.scenarios.forget()
        self._faulty_requests.abort_delayed()
        await self.sandbox.reset()
        self.console.reset()

    async def stop(self) -> None:
        """Stop listening, and stop the sandbox; does nothing if it is not started."""
        self.scenarios.forget()
        self._faulty_requests.abort_delayed()
        self.console.stop()
        for listener in self._sockets:
            listener.close()
        self._sockets.clear()
        self._urls.clear()
        self._products_by_port.clear()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        await self.sandbox.stop()

    @property
    def url(self) -> str:
        """`http://HOST:PORT` for clients on this machine."""
        if "" not in self._urls:
            raise RuntimeError("the sandbox is not started")
        return self._urls[""]

    def describe(self) -> dict[str, object]:
        """Return the URLs, the account and the SIMs, as `sandbox --json` prints them."""
        own = {base_path.strip("/"): url for base_path, url in self._urls.items() if base_path}
        return {**self.sandbox.describe(self.url), "product_urls": own}

    async def _start_serving(self) -> None:
        callers = Callers(self._access)
        clock = ClockRoutes(self.sandbox)
        checks = (
            *(self._host_check.middleware(), clock.middleware(), callers.middleware()),
            self._faulty_requests.middleware(),
        )
        app = web.Application(middlewares=[errors_as_json, *checks])
        TokenRoutes(self._access).register(app.router)
        services = ServiceRouter(app.router, self._products_by_port)
        for product in PRODUCTS.values():
            CommandRoutes(self.sandbox, product, callers).register(services)
        for product in (SUPER_SIM, PROGRAMMABLE_WIRELESS):
            SimRoutes(self.sandbox, product, callers).register(services)
        FleetRoutes(self.sandbox, callers).register(services)
        ControlRoutes(self.sandbox, lambda: self.url, self.describe, self.reset).register(app.router)
        ServiceControlRoutes(self.sandbox).register(app.router)
        clock.register(app.router)
        ScenarioRoutes(self.sandbox, self.scenarios).register(app.router)
        AnswerRoutes(self.sandbox).register(app.router)
        ConsoleRoutes(self.console).register(app.router)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=SHUTDOWN_TIMEOUT_S)
        await self._runner.setup()
        host, port = self._listen
        for base_path, own_port in {"": port, **self._product_ports}.items():
            await self._listen_on(self._runner, host, own_port, base_path)

    async def _listen_on(self, runner: web.AppRunner, host: str, port: int, base_path: str) -> None:
        loop = asyncio.get_running_loop()
        server = runner.server
        assert server is not None  # noqa: S101 - for the type checker: the runner is set up

        def make_handler() -> JsonRequestHandler:
            return JsonRequestHandler(server, loop=loop, logger=log)

        try:
            listener = await loop.create_server(make_handler, host, port, reuse_address=True)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            option = f"--{base_path[1:]}-port PORT" if base_path else "--listen HOST:PORT"
            raise SandboxUnavailable(
                f"Cannot listen on {format_authority(host, port)}: {reason}; choose another {option}."
            ) from error
        self._sockets.append(listener)
        bound, port = listener.sockets[0].getsockname()[:2]
        everywhere = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on
        self._urls[base_path] = f"http://{format_authority(everywhere.get(bound, bound), port)}"
        if base_path:
            self._products_by_port[port] = base_path
