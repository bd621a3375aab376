"""Shows agents of other processes in the console of the sandbox, by the event streams of their sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from hardware.sim.console.agent_reports import AgentReporter
    from hardware.sim.rest.server import SandboxServer
    from hardware.sim.sandbox_sim import SandboxSim

RETRY_S = 2.0
"""Time between two attempts to connect; an agent may be started and restarted at any time."""
IDENTITY_RETRIES = 5
"""Requests for the status after the connection, one each second: the agent asks the module for its ICCID when
the session has begun."""
MAX_LINE_BYTES = 65_536


@contextlib.asynccontextmanager
async def following_agents(server: SandboxServer, sockets: Sequence[Path]) -> AsyncIterator[None]:
    """Report what the agents at the sockets do. An agent appears in the console once it can be reached."""
    tasks = [asyncio.create_task(_AgentConnection(server, path).run()) for path in sockets]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _AgentConnection:
    """The connection to one agent, made again whenever it ends."""

    def __init__(self, server: SandboxServer, path: Path) -> None:
        self._server = server
        self._path = path
        self._reporter: AgentReporter | None = None

    async def run(self) -> None:
        while True:
            with contextlib.suppress(
                OSError, ValueError
            ):  # it is not running, has ended, or is something else
                await self._follow()
            if self._reporter is not None and self._reporter.is_connected:
                self._reporter.set_state(self._reporter.sim, "not running", is_connected=False)
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Pass the events of the agent on, until it ends. Raises OSError, ValueError."""
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
        try:
            await _request(reader, writer, "events")
            reporter = self._reporter = self._reporter or self._server.console.add_agent(str(self._path))
            for _ in range(IDENTITY_RETRIES):
                await self._update_state(reporter)
                if reporter.sim is not None:
                    break
                await asyncio.sleep(1)
            while line := await reader.readline():
                event = json.loads(line)
                if reporter.sim is None or "command" not in event:
                    await self._update_state(reporter)
                reporter.report(event)
        finally:
            writer.close()

    async def _update_state(self, reporter: AgentReporter) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
        try:
            status = await _request(reader, writer, "status")
        finally:
            writer.close()
        modem = status.get("modem") or {}
        session = "in a session with the module" if "iccid" in modem else "no session with the module"
        state = f"modem-agent {status.get('version')}, {session}"
        sim = self._find_sim(modem.get("iccid")) or reporter.sim
        if (reporter.sim, reporter.state, reporter.is_connected) != (sim, state, True):
            reporter.set_state(sim, state, is_connected=True)

    def _find_sim(self, iccid: str | None) -> SandboxSim | None:
        sims = self._server.sandbox.sims.values()
        return next((sim for sim in sims if iccid is not None and sim.sim_card.iccid == iccid), None)


async def _request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
) -> Mapping[str, Any]:
    """Return the response to a request. Raises OSError or ValueError if there is none."""
    writer.write(json.dumps({"do": name}).encode() + b"\n")
    response = json.loads(await reader.readline())
    if not isinstance(response, dict) or not response.get("ok"):
        raise ValueError(f"{name} was refused")
    return response
