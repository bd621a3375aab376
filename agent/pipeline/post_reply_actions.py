"""Runs the actions that handlers requested for the time after their reply, each at most once.

The start of an action is committed before it starts. If the agent ends meanwhile, most likely the action
itself ended it, for example by a reboot; so the next start closes the action as done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent.common.config import HandlersConfig
from agent.common.events import Event, EventKind
from agent.common.runtime import Runtime
from agent.forwarding.delivery import DeliveryTarget
from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from agent.handlers.runner import Runner
from agent.journal.actions import ActionStore
from agent.journal.executor import retry_until_committed
from agent.journal.models import ActionRow, CommandRow
from agent.pipeline.resource_backoff import ResourceBackoff

MAX_REPLY_WAIT_S = 60.0
"""An action starts after this time even if its reply has not been sent."""
HANDLER_DEADLINE_GRACE_S = 120.0
"""Time that the watchdog allows beyond a handler's timeout: the handler process may have to be replaced."""


class Handlers:
    """The handlers with their limits, which a reload replaces, and what carries out their Commands."""

    def __init__(
        self,
        registry: HandlerRegistry,
        runner: Runner,
        config: HandlersConfig,
        targets: tuple[DeliveryTarget, ...] = (),
    ) -> None:
        self.registry = registry
        self.runner = runner
        self.config = config
        self.targets = targets
        """Those that Commands are forwarded to. They stay until the agent is restarted."""

    def replace(self, registry: HandlerRegistry, config: HandlersConfig) -> None:
        """Use these handlers from now on. What is running ends with the code and the limits it began with."""
        self.registry, self.config = registry, config
        self.runner.activate({spec.file for spec in registry.specs if spec.kind == "python" and spec.file})


class PostReplyActions:
    """Starts the pending actions when they are due, and commits their results."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        action_store: ActionStore,
        handlers: Handlers,
        resource_backoff: ResourceBackoff,
        wake: Callable[[], None],
    ) -> None:
        """`wake` makes the dispatcher call `start_ready` again."""
        self._runtime = runtime
        self._action_store = action_store
        self._handlers = handlers
        self._resource_backoff = resource_backoff
        self._wake = wake
        self._in_progress: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Start no more actions."""
        self._stopping = True

    async def log_interrupted(self) -> None:
        """Close and log the actions that ran when the last process ended. Call it once, at start."""
        for action in await retry_until_committed(self._runtime, self._action_store.close_interrupted):
            reason = f"{action.action}: the agent ended while it ran; it is not repeated"
            self._log(EventKind.ACTION_FINISHED, action.command, reason)

    async def start_ready(self, create_task: Callable[[Coroutine[Any, Any, None], str], None]) -> list[float]:
        """Start the actions that are due. Return the seconds that each of the others has to wait."""
        delays = []
        for action in await retry_until_committed(self._runtime, self._action_store.list_pending):
            if action.id in self._in_progress or self._stopping:
                continue
            delay = max(
                0.0 if action.reply_settled else MAX_REPLY_WAIT_S - action.age_s,
                self._resource_backoff.remaining_s(_key(action), _now()),
            )
            if delay > 0:
                delays.append(delay)
            else:
                self._in_progress.add(action.id)
                create_task(self._process(action), _task_name(action))
        return delays

    async def _process(self, action: ActionRow) -> None:
        """Run one action, from the state `pending` to its final state."""
        await retry_until_committed(self._runtime, self._action_store.mark_running, action.id)
        self._log(EventKind.ACTION_STARTED, action.command, f"{action.handler}, then {action.action}")
        try:
            result = await self._run_action(action)
        except Exception as error:  # noqa: BLE001  (an error ends this action and no other)
            result = Failed(f"{type(error).__name__}: {error}")
        self._runtime.deadlines.clear(_task_name(action))
        if isinstance(result, NotStarted) and await self._requeue_not_started(action, result.reason):
            return
        if self._stopping and not isinstance(result, Finished):
            return  # most likely the action ends the agent; the next start logs it
        if not isinstance(result, NotStarted):
            self._resource_backoff.on_started(_key(action))
        error_text: str | None = None
        match result:
            case Failed(reason) | RetryLater(reason) | NotStarted(reason):
                error_text = reason
            case TimedOut():
                error_text = "timed out"
        await retry_until_committed(self._runtime, self._action_store.finish, action.id, error_text)
        self._in_progress.discard(action.id)
        self._log(EventKind.ACTION_FINISHED, action.command, error_text or action.action)

    async def _requeue_not_started(self, action: ActionRow, reason: str) -> bool:
        """Requeue an action that could not be started. Return False if it is given up instead."""
        if not self._stopping and not self._resource_backoff.on_exhausted(_key(action), reason, _now()):
            return False
        await retry_until_committed(self._runtime, self._action_store.requeue, action.id, reason)
        self._in_progress.discard(action.id)
        self._wake()
        return True

    async def _run_action(self, action: ActionRow) -> HandlerResult:
        spec = self._handlers.registry.get(action.handler)
        if spec is None:
            return Failed(f"the handler {action.handler} does not exist any more")
        if spec.error:
            return Failed(spec.error)
        timeout_s = self._handlers.config.timeout_s if spec.timeout_s is None else spec.timeout_s
        self._runtime.deadlines.expect_within(_task_name(action), timeout_s + HANDLER_DEADLINE_GRACE_S)
        command = to_handler_command(action.command)
        return await self._handlers.runner.run_action(spec, action.action, command, timeout_s)

    def _log(self, kind: EventKind, row: CommandRow, message: str) -> None:
        self._runtime.emit(Event(kind, message, command_id=row.id, sid=row.sid))


def to_handler_command(row: CommandRow) -> Command:
    """Return the Command in the form that its handler receives; `attempt` counts from 1."""
    return Command.of(
        row.body,
        sid=row.sid,
        sender=row.sender,
        timestamp=row.timestamp,
        attempt=row.attempts + 1,
        port=row.port,
    )


def _key(action: ActionRow) -> tuple[str, int]:
    """Return the key of an action for the resource backoff, which also has keys of Commands."""
    return ("action", action.id)


def _task_name(action: ActionRow) -> str:
    return f"action {action.id}"


def _now() -> float:
    return asyncio.get_running_loop().time()
