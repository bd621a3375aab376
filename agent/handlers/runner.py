"""The interface that runs handlers, `Runner`, and its implementation with processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from agent.common.events import Event, EventKind, EventSink, Severity
from agent.handlers import protocol
from agent.handlers.api import Command
from agent.handlers.framing import Frame
from agent.handlers.manager_client import ManagerClient, ManagerGone, ManagerNotStarted
from agent.handlers.missing_rights import find_remedy
from agent.handlers.program import Program
from agent.handlers.results import (
    Failed,
    Finished,
    HandlerDeclaration,
    HandlerLoadError,
    HandlerResult,
    NotStarted,
    ResourceExhausted,
    RetryLater,
    TimedOut,
)
from agent.handlers.spec import HandlerSpec

__all__ = [
    "Failed",
    "Finished",
    "HandlerDeclaration",
    "HandlerLoadError",
    "HandlerResult",
    "NotStarted",
    "ProcessRunner",
    "ResourceExhausted",
    "RetryLater",
    "Runner",
    "TimedOut",
]

LOAD_TIMEOUT_S = 60.0
"""Time limit to load a Python file with its imports; a large library takes seconds on a small board."""
ACTION_TIMEOUT_S = 30.0
"""Time limit of an action after a reply."""
MEMORY_LIMIT_BYTES = 256 * 1024 * 1024
"""Soft limit of the data of each handler process (RLIMIT_DATA) in octets; a handler may raise it."""
MANAGER_GRACE_S = 10.0
"""Time for the manager's response after the time limit of a run; after that the manager is replaced."""


class Runner(Protocol):
    """Loads and runs handlers. A simulation has an implementation without processes."""

    async def load(self, file: Path) -> list[HandlerDeclaration]:
        """Return the handlers that a Python file declares. Raises HandlerLoadError, ResourceExhausted.

        If the file was loaded before, that version is used until `activate`.
        """

    def activate(self, files: Iterable[Path]) -> None:
        """Use these Python files as they were loaded last. What is running ends with the earlier version."""

    async def run(self, spec: HandlerSpec, command: Command, timeout_s: float) -> HandlerResult:
        """Run a handler for a Command. Failures are results, not exceptions. Cancelling kills the run."""

    async def run_action(
        self, spec: HandlerSpec, action: str, command: Command, timeout_s: float = ACTION_TIMEOUT_S
    ) -> HandlerResult:
        """Run the action that a handler requested for the time after its reply."""

    async def run_program(self, program: Program) -> HandlerResult:
        """Run a program of the operator that is not a handler. Its output is in `Finished.reply`."""

    async def close(self) -> None:
        """End all runs within 3 s; their result is Failed."""


class ProcessRunner:
    """Runs handlers in processes of a handler manager, which is started when it is first needed."""

    def __init__(
        self,
        emit: EventSink,
        environment: Mapping[str, str] = os.environ,
        *,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        memory_limit: int = MEMORY_LIMIT_BYTES,
        manager_grace_s: float = MANAGER_GRACE_S,
    ) -> None:
        """Create a runner without a manager process.

        `emit` gets the log output of handlers; `environment` is the agent's own.
        """
        self._emit = emit
        self._environment = protocol.handler_environment(environment)
        self._load_timeout_s = load_timeout_s
        self._memory_limit = memory_limit
        self._manager_grace_s = manager_grace_s
        self._manager: ManagerClient | None = None
        self._start_lock = asyncio.Lock()
        self._file_locks: dict[str, asyncio.Lock] = {}
        self._closed = False
        self._logged_remedies: set[tuple[str, str]] = set()

    async def load(self, file: Path) -> list[HandlerDeclaration]:
        """Load the file into a worker, which stays for Commands. An earlier one is used until `activate`.

        Raises HandlerLoadError, ResourceExhausted.
        """
        declared: list[HandlerDeclaration] = []
        request = protocol.load_request(os.fsencode(file), self._load_timeout_s)
        try:
            response = await self._send_request(
                request,
                self._load_timeout_s,
                lambda frame: declared.append(protocol.decode_declaration(frame)),
            )
        except ManagerNotStarted as error:  # also while the agent stops, when the result no longer matters
            raise ResourceExhausted(f"{file}: {error}") from None
        except (ManagerGone, TimeoutError) as error:
            raise HandlerLoadError(f"{file}: {str(error) or 'its process does not answer'}") from None
        match response["verb"]:
            case b"loaded":
                return declared
            case b"load_failed":
                raise HandlerLoadError(response["error"].decode())
            case b"timed_out":
                raise HandlerLoadError(f"{file} was still loading after {self._load_timeout_s:g} s")
            case _ if protocol.is_resource_exhausted(response):
                raise ResourceExhausted(f"{file}: its process {protocol.describe_failure(response)}")
            case _:
                raise HandlerLoadError(f"{file} cannot be loaded: {protocol.describe_failure(response)}")

    def activate(self, files: Iterable[Path]) -> None:
        """Use these Python files as they were loaded last, and end the workers of all others."""
        if self._manager is not None:
            self._manager.send(protocol.activate_request(os.fsencode(file) for file in files))

    async def run(self, spec: HandlerSpec, command: Command, timeout_s: float) -> HandlerResult:
        """Run a handler for a Command. Cancelling kills the run."""
        return await self._execute(spec, None, command, timeout_s)

    async def run_action(
        self, spec: HandlerSpec, action: str, command: Command, timeout_s: float = ACTION_TIMEOUT_S
    ) -> HandlerResult:
        """Run the action that a handler requested for the time after its reply; its own reply is ignored."""
        result = await self._execute(spec, action, command, timeout_s)
        return Finished(None) if isinstance(result, Finished) else result

    async def run_program(self, program: Program) -> HandlerResult:
        """Run a program of the operator that is not a handler. Cancelling kills the run."""
        spec = HandlerSpec(program.path.name, "executable", file=program.path)
        return await self._collect_result(spec, self._start_program(program))

    async def close(self) -> None:
        """End all runs: SIGTERM, and SIGKILL a second later. Takes less than 3 s."""
        self._closed = True
        async with self._start_lock:
            if self._manager is not None:
                await self._manager.close()

    async def _execute(
        self, spec: HandlerSpec, action: str | None, command: Command, timeout_s: float
    ) -> HandlerResult:
        return await self._collect_result(spec, self._start(spec, action, command, timeout_s))

    async def _start(
        self, spec: HandlerSpec, action: str | None, command: Command, timeout_s: float
    ) -> Frame:
        if spec.kind != "python":
            request = protocol.executable_request(spec, action, command, timeout_s)
            return await self._send_request(request, timeout_s)
        # One Command at a time: all functions of a file share one process.
        async with self._file_locks.setdefault(spec.queue_key, asyncio.Lock()):
            request = protocol.call_request(spec, action, command, timeout_s, self._load_timeout_s)
            return await self._send_request(request, timeout_s + self._load_timeout_s)

    async def _start_program(self, program: Program) -> Frame:
        return await self._send_request(protocol.program_request(program), program.timeout_s)

    async def _collect_result(self, spec: HandlerSpec, response_of: Awaitable[Frame]) -> HandlerResult:
        try:
            response = await response_of
        except ManagerNotStarted as error:
            return NotStarted(str(error))
        except (ManagerGone, protocol.CannotEncodeArguments) as error:
            return Failed(str(error))
        except TimeoutError:
            return TimedOut()
        result = protocol.decode_result(spec, response)
        if isinstance(result, Failed):
            self._log_remedy(spec.name, result.reason)
        return result

    async def _send_request(
        self, request: Frame, timeout_s: float, on_partial: Callable[[Frame], None] = lambda _: None
    ) -> Frame:
        """Send a request to the manager, starting one if needed, and return its response.

        Raises ManagerGone, and TimeoutError (after killing the manager) if it does not answer in time.
        """
        async with self._start_lock:
            if self._closed:
                raise ManagerNotStarted("the agent is stopping")
            if self._manager is None or self._manager.is_gone:
                self._manager = await ManagerClient.open(
                    self._environment, self._memory_limit, self._on_log_line
                )
            manager = self._manager
        try:
            async with asyncio.timeout(timeout_s + self._manager_grace_s):
                return await manager.request(request, on_partial)
        except TimeoutError:
            manager.kill()
            raise

    def _on_log_line(self, name: str, line: str) -> None:
        self._emit(Event(EventKind.HANDLER, f"{name}: {line}"))
        self._log_remedy(name, line)

    def _log_remedy(self, name: str, text: str) -> None:
        """Log once for each handler what to do about a right that it does not have."""
        remedy = find_remedy(text)
        if remedy and (name, remedy) not in self._logged_remedies:
            self._logged_remedies.add((name, remedy))
            self._emit(Event(EventKind.HANDLER, f"{name}: {remedy}", severity=Severity.WARNING))
