"""Answer, then act: what a handler asked to be done after its answer, begun at most once.

That an action begins is committed before it begins. What ends the agent is most likely the action itself, a
reboot say, so the next start takes it for done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent.common.events import Event, EventSink
from agent.common.watchdog import DeadlineMonitor
from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from agent.handlers.runner import Runner
from agent.journal.actions import ActionStore
from agent.journal.executor import DbExecutor, retry_until_committed
from agent.journal.models import ActionRow, CommandRow
from agent.pipeline.resource_backoff import ResourceBackoff

MAX_REPLY_WAIT_S = 60.0
"""An action waits no longer for its answer to leave."""
HANDLER_DEADLINE_GRACE_S = 120.0
"""Beyond a handler's own time limit, before the watchdog worries: its process may have to be made anew."""


class PostReplyActions:
    """The dispatcher's room for actions."""

    def __init__(
        self,
        db: DbExecutor,
        action_store: ActionStore,
        registry: HandlerRegistry,
        runner: Runner,
        default_timeout_s: float,
        resource_backoff: ResourceBackoff,
        wake: Callable[[], None],
        emit: EventSink,
        deadlines: DeadlineMonitor,
    ) -> None:
        """`wake` has `begin` asked again."""
        self._db = db
        self._action_store = action_store
        self._registry = registry
        self._runner = runner
        self._default_timeout_s = default_timeout_s
        self._resource_backoff = resource_backoff
        self._wake = wake
        self._emit = emit
        self._deadlines = deadlines
        self._in_progress: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping = True

    async def log_interrupted(self) -> None:
        """Say what was under way when the agent ended; asked once, at start."""
        for action in await retry_until_committed(self._db, self._emit, self._action_store.close_interrupted):
            reason = f"{action.action}: the agent ended while it acted; it is not repeated"
            self._log("acted", action.command, reason)

    async def start_ready(self, create_task: Callable[[Coroutine[Any, Any, None], str], None]) -> list[float]:
        """Start those that may start; returns how long others wait for their answer to leave."""
        pauses = []
        for action in await retry_until_committed(self._db, self._emit, self._action_store.list_pending):
            if action.id in self._in_progress or self._stopping:
                continue
            left = 0.0 if action.reply_settled else MAX_REPLY_WAIT_S - action.age_s
            left = max(
                left,
                self._resource_backoff.remaining_s(("action", action.id), asyncio.get_running_loop().time()),
            )
            if left > 0:
                pauses.append(left)
            else:
                self._in_progress.add(action.id)
                create_task(self._process(action), f"action {action.id}")
        return pauses

    async def _process(self, action: ActionRow) -> None:
        row = action.command
        await retry_until_committed(self._db, self._emit, self._action_store.mark_running, action.id)
        self._log("acting", row, f"{action.handler}, then {action.action}")
        try:
            outcome = await self._run_action(action)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this action and no other)
            outcome = Failed(f"{type(error).__name__}: {error}")
        self._deadlines.clear(f"action {action.id}")
        if isinstance(outcome, NotStarted) and await self._requeue_not_started(action, outcome.reason):
            return
        if self._stopping and not isinstance(outcome, Finished):
            return  # most likely it is what ends the agent; the next start says so
        if not isinstance(outcome, NotStarted):
            self._resource_backoff.on_started(("action", action.id))
        reason: str | None = None
        match outcome:
            case Failed(why) | RetryLater(why) | NotStarted(why):
                reason = why
            case TimedOut():
                reason = "timed out"
        await retry_until_committed(self._db, self._emit, self._action_store.finish, action.id, reason)
        self._in_progress.discard(action.id)
        self._log("acted", row, reason or action.action)

    async def _requeue_not_started(self, action: ActionRow, reason: str) -> bool:
        """Whether it waits to be begun again: nothing of it has run."""
        now = asyncio.get_running_loop().time()
        if not self._stopping and not self._resource_backoff.on_exhausted(("action", action.id), reason, now):
            return False
        await retry_until_committed(self._db, self._emit, self._action_store.requeue, action.id, reason)
        self._in_progress.discard(action.id)
        self._wake()
        return True

    async def _run_action(self, action: ActionRow) -> HandlerResult:
        entry = self._registry.get(action.handler)
        if entry is None:
            return Failed(f"there is no handler {action.handler} any more")
        timeout = self._default_timeout_s if entry.timeout_s is None else entry.timeout_s
        self._deadlines.expect_within(f"action {action.id}", timeout + HANDLER_DEADLINE_GRACE_S)
        return await self._runner.run_action(
            entry, action.action, to_handler_command(action.command), timeout
        )

    def _log(self, kind: str, row: CommandRow, message: str) -> None:
        self._emit(Event(kind, message, command_id=row.id, sid=row.sid))


def to_handler_command(row: CommandRow) -> Command:
    """What a handler gets to see of a Command."""
    return Command.of(
        row.body, sid=row.sid, sender=row.sender, timestamp=row.timestamp, attempt=row.attempts + 1
    )
