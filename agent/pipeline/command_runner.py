"""Runs one Command by its handler, from the state `received` or `running` to its end.

The start of a run is committed before it starts, its end together with the reply. A Command that has to be
tried again is back in the state `received`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.common.backoff import Backoff
from agent.common.events import EventKind, Severity
from agent.common.runtime import Runtime
from agent.handlers import builtin
from agent.handlers.api import Command
from agent.handlers.registry import HandlerSpec
from agent.handlers.results import Failed, Finished, NotStarted, RetryLater, TimedOut
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import CommandRow
from agent.pipeline.command_age import CommandAgeEstimator
from agent.pipeline.command_finisher import CommandFinisher
from agent.pipeline.command_forwarder import CommandForwarder
from agent.pipeline.error_text import describe_failure, describe_no_handler
from agent.pipeline.post_reply_actions import HANDLER_DEADLINE_GRACE_S, Handlers, to_handler_command
from agent.pipeline.resource_backoff import ResourceBackoff

MAX_ATTEMPTS = 3
"""Limit of the runs of a Command by a repeatable handler."""
RETRY_LATER_BACKOFF = Backoff(initial_s=10, max_s=600, factor=4)
"""Delay after a handler asked for a later attempt."""


class CommandRunner:
    """Runs Commands for the dispatcher, which decides when."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        command_store: CommandStore,
        handlers: Handlers,
        finisher: CommandFinisher,
        forwarder: CommandForwarder,
        resource_backoff: ResourceBackoff,
        format_status: Callable[[], str],
    ) -> None:
        """`format_status` returns one line about the agent, for the built-in handler `status`."""
        self._runtime = runtime
        self._deadlines = runtime.deadlines
        self._command_store = command_store
        self._handlers = handlers
        self._finisher = finisher
        self._forwarder = forwarder
        self._resource_backoff = resource_backoff
        self._format_status = format_status
        self._age_estimator = CommandAgeEstimator()
        self._stopping = False

    def stop(self) -> None:
        """Leave runs that end without a result from now on to the next start of the agent."""
        self._stopping = True

    async def run(self, row: CommandRow, spec: HandlerSpec | None, *, is_running: bool) -> float | None:
        """Run a Command. Return the seconds after which it is to be tried again, None if it is not.

        `is_running`: its start is committed. The caller ends the Command if this raises an exception.
        """
        try:
            if not is_running and self.is_expired(row, spec, asyncio.get_running_loop().time()):
                await self._finisher.finish_expired(row)
                self._forwarder.end(row)
            elif spec is None or spec.error:
                await self._finish_without_handler(row, "" if spec is None else spec.error)
            elif spec.kind == "forwarding":
                return await self._forward(row, spec)
            else:
                return await self._run_handler(row, spec, is_running=is_running)
        finally:
            self._deadlines.clear(_task_name(row))
        return None

    def is_expired(self, row: CommandRow, spec: HandlerSpec | None, now: float) -> bool:
        """Return True if the Command is too old to run, by a clock that can be trusted."""
        if row.timestamp is None:
            return False
        age = self._age_estimator.estimate_age_s(
            row.timestamp.timestamp(),
            self._command_store.newest_timestamp,
            self._runtime.wall_clock(),
            now,
        )
        limit = self._handlers.config.max_age_s if spec is None or spec.max_age_s is None else spec.max_age_s
        return age is not None and limit is not None and age > limit

    async def _finish_without_handler(self, row: CommandRow, handler_error: str) -> None:
        """End a Command that no handler matches, or one that cannot be used for the reason given.

        An empty text without a handler is done; any other Command has failed.
        """
        command = to_handler_command(row)
        text = describe_no_handler(command, handler_error)
        if handler_error:
            await self._finisher.finish_failed(row, text, detail=handler_error)
        elif not command.words and command.mode == "text" and command.port is None:
            await self._finisher.finish_empty(row)
        else:
            unread = ", ".join(self._handlers.registry.unread_files)
            detail = f"no handler; not usable: {unread}" if unread else "no handler"
            await self._finisher.finish_failed(row, text, detail=detail)

    async def _forward(self, row: CommandRow, spec: HandlerSpec) -> float | None:
        self._deadlines.expect_within(
            _task_name(row), self._forwarder.delivery_timeout_s(spec) + HANDLER_DEADLINE_GRACE_S
        )
        outcome = await self._forwarder.deliver(row, spec)
        self._deadlines.clear(_task_name(row))  # a journal that cannot commit is no task that hangs
        return await self._forwarder.record(row, spec, outcome)

    async def _run_handler(self, row: CommandRow, spec: HandlerSpec, *, is_running: bool) -> float | None:
        if not is_running:
            await retry_until_committed(
                self._runtime,
                self._command_store.mark_running,
                row.id,
                spec.name,
                repeatable=spec.repeatable,
            )
        command = to_handler_command(row)
        attempt = command.attempt
        self._finisher.log(
            EventKind.RUNNING, row, f"handler {spec.name}" + (f", attempt {attempt}" if attempt > 1 else "")
        )
        if spec.kind == "builtin":
            await self._finisher.finish_done(row, spec, self._run_builtin(spec, command))
            return None
        timeout_s = self._handlers.config.timeout_s if spec.timeout_s is None else spec.timeout_s
        self._deadlines.expect_within(_task_name(row), timeout_s + HANDLER_DEADLINE_GRACE_S)
        result = await self._handlers.runner.run(spec, command, timeout_s)
        self._deadlines.clear(_task_name(row))
        if isinstance(result, NotStarted):
            return await self._requeue_not_started(row, result.reason)
        if self._stopping and not isinstance(result, Finished):
            return None  # the Command stays `running`; the next start recovers it
        self._resource_backoff.on_started(row.id)
        with_details = self._handlers.config.error_details
        match result:
            case Finished():
                await self._finisher.finish_done(row, spec, result)
            case RetryLater() if attempt < MAX_ATTEMPTS and spec.repeatable:
                return await self._requeue_for_retry(row, result, attempt)
            case RetryLater(reason):
                text = describe_failure(spec, result, with_details=with_details)
                await self._finisher.finish_failed(row, text, f"{reason}; not tried again", result.stderr)
            case Failed(reason):
                text = describe_failure(spec, result, with_details=with_details)
                await self._finisher.finish_failed(row, text, reason, result.stderr)
            case TimedOut():
                text = describe_failure(spec, result, with_details=with_details)
                await self._finisher.finish_failed(row, text, f"ended after {timeout_s:g} s", result.stderr)
        return None

    def _run_builtin(self, spec: HandlerSpec, command: Command) -> Finished:
        registry = self._handlers.registry
        return builtin.run(spec, command, self._format_status, registry.trigger_names, registry.unusable)

    async def _requeue_for_retry(self, row: CommandRow, result: RetryLater, attempt: int) -> float:
        """Requeue a Command whose handler asked for a later attempt; return the seconds until it."""
        reason = result.reason
        await retry_until_committed(
            self._runtime, self._command_store.requeue, row.id, reason, stderr=result.stderr
        )
        delay = RETRY_LATER_BACKOFF.delay(attempt, self._runtime.random)
        self._finisher.log(EventKind.RETRY_LATER, row, f"{reason}; next attempt in {delay:.0f} s")
        return delay

    async def _requeue_not_started(self, row: CommandRow, reason: str) -> float | None:
        """Requeue a Command whose handler could not be started. The start does not count as an attempt.

        Return 0, because the backoff for the Command says when, or None if it is given up.
        """
        now = asyncio.get_running_loop().time()
        if not self._stopping and not self._resource_backoff.on_exhausted(row.id, reason, now):
            await self._finisher.finish_failed(row, "failed", detail=f"{reason}; given up")
            return None
        await retry_until_committed(
            self._runtime, self._command_store.requeue, row.id, reason, count_attempt=False
        )
        self._finisher.log(EventKind.NOT_STARTED, row, reason, severity=Severity.DEBUG)
        return 0.0


def _task_name(row: CommandRow) -> str:
    return f"command {row.id}"
