"""The sandbox: simulated modules, network and services, with the REST API in front.

    REST API <-> CommandService <-> SimulatedNetwork <-> SimulatedModule <-> pseudo-terminal <-> any AT client

This is what the CLI, the demo and the tests start; everything behind the REST API is in `sandbox_core`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.sandbox_core import SandboxCore, SandboxObserver
from hardware.sim.sandbox_sim import DEFAULT_SIMS, SandboxSim, SimSpec

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from hardware.sim.network.subscriber_queue import NetworkTiming
    from hardware.sim.service.product import ServiceRules

__all__ = [
    "DEFAULT_LISTEN",
    "DEFAULT_SIMS",
    "Sandbox",
    "SandboxObserver",
    "SandboxSim",
    "SandboxUnavailable",
    "SimSpec",
]

DEFAULT_LISTEN = ("127.0.0.1", 8480)


class SandboxUnavailable(Exception):  # noqa: N818 - the name of a condition
    """The sandbox cannot run here; the text is one sentence with the reason and the remedy."""


class Sandbox(SandboxCore):
    """A sandbox with its REST API; `listen` is host and port, port 0 means any free one.

    Raises what `SandboxCore` raises, and SandboxUnavailable if the HTTP library is not installed.
    """

    def __init__(
        self,
        sims: Sequence[SimSpec] = DEFAULT_SIMS,
        listen: tuple[str, int] = DEFAULT_LISTEN,
        *,
        link_dir: Path,
        wall_clock: Callable[[], datetime],
        rng: random.Random,
        account_sid: str | None = None,
        token: str | None = None,
        rules: ServiceRules | None = None,
        timing: NetworkTiming | None = None,
        observer: SandboxObserver | None = None,
        baud: int | None = None,
    ) -> None:
        super().__init__(
            sims,
            link_dir=link_dir,
            wall_clock=wall_clock,
            rng=rng,
            account_sid=account_sid,
            token=token,
            rules=rules,
            timing=timing,
            observer=observer,
            baud=baud,
        )
        try:
            from hardware.sim.rest.server import RestServer  # noqa: PLC0415 - aiohttp is an extra
        except ModuleNotFoundError as error:
            raise SandboxUnavailable(
                f"The sandbox needs {error.name}, which is not installed: "
                f"pip install 'modem-agent[sandbox]', or {error.name} alone"
            ) from error
        self._server = RestServer(self, *listen)

    async def start(self) -> None:
        """Power the modules on and listen; raises SandboxUnavailable, and leaves nothing behind then."""
        try:
            await super().start()
            await self._server.start()
        except OSError as error:
            await self.stop()
            raise SandboxUnavailable(self._explain_failure(error)) from error
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening and stop everything behind the API; does nothing if the sandbox is not started."""
        await self._server.stop()
        await super().stop()

    @property
    def url(self) -> str:
        """Root of all URLs, `http://HOST:PORT`."""
        return self._server.url

    def describe(self) -> dict[str, object]:
        """Return the URLs, the account and the SIMs, as `sandbox --json` prints them."""
        return self.describe_at(self.url)

    def _explain_failure(self, error: OSError) -> str:
        if error.filename is not None:
            return f"The link {error.filename} cannot be made: {error.strerror}; choose another --link-dir."
        return (
            f"Cannot listen on {self._server.listen_address}: {error.strerror}; "
            f"choose another --listen HOST:PORT."
        )
