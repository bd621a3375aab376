"""What an agent of the fleet has in place of handler processes and of the control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from agent.common.events import EventSink
from agent.daemon.control_socket import RequestHandler, StreamHandler
from agent.fleet.numbered import HANDLER_WORD, reply_text
from agent.handlers.api import Command
from agent.handlers.program import Program
from agent.handlers.results import Failed, Finished, HandlerDeclaration, HandlerResult
from agent.handlers.spec import HandlerSpec

HANDLER_FILE = "fleet.py"
"""The one file in the folder of handlers. It is empty: the runner declares what it contains."""


class InProcessRunner:
    """The `Runner` of one agent: its handler takes some time and reports that it ran."""

    def __init__(self, duration_s: float, on_run: Callable[[Command], None]) -> None:
        self._duration_s = duration_s
        self._on_run = on_run

    async def load(self, file: Path) -> list[HandlerDeclaration]:
        """Return the handler of the fleet."""
        return [HandlerDeclaration(HANDLER_WORD, words=(HANDLER_WORD,))]

    def activate(self, files: Iterable[Path]) -> None:
        """Do nothing: the handler never changes."""

    async def run(self, spec: HandlerSpec, command: Command, timeout_s: float) -> HandlerResult:
        """Run the handler."""
        self._on_run(command)
        await asyncio.sleep(self._duration_s)
        return Finished(reply_text(command.words))

    async def run_action(
        self, spec: HandlerSpec, action: str, command: Command, timeout_s: float = 0.0
    ) -> HandlerResult:
        """Return a failure: the handler asks for no action."""
        return Failed(f"there is no action {action}")

    async def run_program(self, program: Program) -> HandlerResult:
        """Return a failure: an agent of the fleet has no programs."""
        return Failed(f"there is no {program.path}")

    async def close(self) -> None:
        """Do nothing: the task that waits for the handler is cancelled with the agent."""


class NoRequests:
    """The `RequestServer` of an agent that nobody asks."""

    is_directory_replaced = False

    def __init__(self, path: Path, request_handlers: Mapping[str, RequestHandler], emit: EventSink) -> None:
        """Create a server; the parameters are those of `ControlServer`."""

    def add_stream(self, name: str, handler: StreamHandler) -> None:
        """Do nothing."""

    async def start(self) -> None:
        """Do nothing."""

    async def restore(self) -> bool:
        """Return True: there is no socket that could be gone."""
        return True

    async def stop(self) -> None:
        """Do nothing."""
