"""Gives each ignored message to the handler for them, if there is one: once, in order, and never answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.handlers.program import Program
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from agent.handlers.spec import HandlerSpec
from agent.journal.executor import retry_until_committed
from agent.journal.ignored import IgnoredMessages, IgnoredRow
from agent.pipeline.post_reply_actions import Handlers

RETRY_S = 60.0
"""Time until the next attempt if the device had no resources for a process."""


class IgnoredMessageRunner:
    """The task that runs the handler of ignored messages. It outlives sessions with the module."""

    def __init__(self, *, runtime: Runtime, ignored: IgnoredMessages, handlers: Handlers) -> None:
        self._runtime = runtime
        self._ignored = ignored
        self._handlers = handlers
        self._wake_event = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Make the task look for ignored messages, or for another handler."""
        self._wake_event.set()

    def stop(self) -> None:
        """Start no more runs. `run` returns when the present one has ended."""
        self._stopping = True
        self._wake_event.set()

    async def run(self) -> None:
        """Run until `stop`. A run that the last process left is not repeated."""
        for row_id in await retry_until_committed(self._runtime, self._ignored.close_interrupted):
            self._log(row_id, "the agent ended while its handler ran; it is not repeated", Severity.WARNING)
        while not self._stopping:
            self._wake_event.clear()
            spec = self._handlers.registry.ignored_handler
            row = None
            if spec is not None:
                row = await retry_until_committed(self._runtime, self._ignored.start_next)
            if spec is None or row is None:
                await self._wake_event.wait()
            else:
                await self._process(spec, row)

    async def _process(self, spec: HandlerSpec, row: IgnoredRow) -> None:
        timeout_s = self._handlers.config.timeout_s if spec.timeout_s is None else spec.timeout_s
        try:
            stdin = (row.message.text or "").encode(errors="replace")
            program = Program((str(spec.file),), timeout_s, _make_environment(row), stdin)
            result: HandlerResult = await self._handlers.runner.run_program(program)
        except Exception as error:  # noqa: BLE001  (an error ends this message and no other)
            result = Failed(f"{type(error).__name__}: {error}")
        if self._stopping and not isinstance(result, Finished):
            return  # the next start closes it
        match result:
            case NotStarted(reason):
                await retry_until_committed(self._runtime, self._ignored.requeue, row.id)
                self._log(row.id, f"handler {spec.name}: {reason}; it is tried again", Severity.WARNING)
                await self._wait_before_retry()
                return
            case Finished():
                self._log(row.id, f"handler {spec.name} has ended")
            case Failed(reason) | RetryLater(reason):
                self._log(row.id, f"handler {spec.name}: {reason}; it is not repeated", Severity.WARNING)
            case TimedOut():
                text = f"handler {spec.name}: ended after {timeout_s:g} s; it is not repeated"
                self._log(row.id, text, Severity.WARNING)
        succeeded = isinstance(result, Finished)
        await retry_until_committed(self._runtime, self._ignored.finish, row.id, succeeded=succeeded)

    async def _wait_before_retry(self) -> None:
        deadline = asyncio.get_running_loop().time() + RETRY_S
        while not self._stopping:
            self._wake_event.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake_event.wait()
            except TimeoutError:
                return

    def _log(self, row_id: int, text: str, severity: Severity = Severity.INFO) -> None:
        self._runtime.emit(Event(EventKind.IGNORED, f"message {row_id}: {text}", severity=severity))


def _make_environment(row: IgnoredRow) -> Mapping[str, str]:
    """Return the variables that describe a message. A sender that cannot be one is left out."""
    variables = {
        "MESSAGE_ID": str(row.id),
        "MESSAGE_REASON": row.message.reason,
        "MESSAGE_RECEIVED": datetime.fromtimestamp(row.received, UTC).isoformat(timespec="seconds"),
        "MESSAGE_PDU": row.raw,
        "MESSAGE_SENDER": row.message.sender or "",
    }
    clean = {
        name: value.encode(errors="replace").decode().replace("\0", "?") for name, value in variables.items()
    }
    return {name: value for name, value in clean.items() if value}
