"""From the journal to the handlers and back: each Command runs as often as its handler promises.

Commands of one handler run in the order of their arrival, different handlers side by side up to a limit.
That a run begins is committed before it begins, that it ended together with its reply. So a handler that
reboots the device finds its Command `running` at the next start, and it is not run again unless the handler
says that this does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from agent.common.backoff import Backoff
from agent.common.events import Event, EventSink, Severity, mask_number
from agent.common.watchdog import DeadlineMonitor
from agent.handlers import builtin
from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry, HandlerSpec
from agent.handlers.results import Failed, Finished, NotStarted, RetryLater, TimedOut
from agent.handlers.runner import Runner
from agent.journal.actions import ActionStore
from agent.journal.executor import DbExecutor, retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import CommandRow, CommandState, OutgoingMessage
from agent.journal.outbox import OutboxStore as Queue
from agent.pipeline.command_age import CommandAgeEstimator
from agent.pipeline.handler_queues import HandlerKey, HandlerQueues
from agent.pipeline.post_reply_actions import HANDLER_DEADLINE_GRACE_S, PostReplyActions, to_handler_command
from agent.pipeline.resource_backoff import ResourceBackoff, retry_while_exhausted
from agent.service.classify import ERROR_ANSWER_PREFIX
from agent.service.compose import ComposeError, ReplyConfig, compose
from agent.service.profile import ServiceProfile

MAX_ATTEMPTS = 3
"""Runs of a repeatable handler, at the most."""
RETRY_LATER_BACKOFF = Backoff(initial_s=10, max_s=600, factor=4)
MAX_ERROR_ANSWERS_PER_HOUR = 10
FETCH_BATCH_SIZE = 100
"""Waiting Commands that are read in one go."""


@dataclass(frozen=True, slots=True)
class DispatchConfig:
    """Keys of ``[handlers]``."""

    timeout_s: float
    max_age_s: float | None
    max_concurrent: int


class Dispatcher:
    """The task that runs Commands; it lives longer than any session."""

    def __init__(
        self,
        db: DbExecutor,
        command_store: CommandStore,
        outbox_store: Queue,
        action_store: ActionStore,
        registry: HandlerRegistry,
        runner: Runner,
        service: ServiceProfile,
        config: DispatchConfig,
        reply_config: ReplyConfig,
        wall_clock: Callable[[], float],
        random: Random,
        emit: EventSink,
        deadlines: DeadlineMonitor,
        on_reply_queued: Callable[[], None],
        format_status: Callable[[], str],
    ) -> None:
        """`queued` is called after each commit that queued a reply; `wall` gives seconds since 1970.

        `status` says in a line how the agent is, for the built-in handler of that name.
        """
        self._db = db
        self._command_store = command_store
        self._outbox_store = outbox_store
        self._registry = registry
        self._runner = runner
        self._service = service
        self._config = config
        self._reply_config = reply_config
        self._wall_clock = wall_clock
        self._age_estimator = CommandAgeEstimator()
        self._random = random
        self._emit = emit
        self._deadlines = deadlines
        self._on_reply_queued = on_reply_queued
        self._format_status = format_status
        self._wake_event = asyncio.Event()
        self._active_queues: dict[str, int] = {}
        """Lanes that are taken, and the Command that takes each."""
        self._queues = HandlerQueues()
        self._tasks: dict[asyncio.Task[None], None] = {}
        """What is at work, in the order of beginning."""
        self._retry_at: dict[str, float] = {}
        """Handlers that asked for a later attempt, and when it is time for it."""
        self._stopping = False
        self._resource_backoff = ResourceBackoff(random, emit)
        self._post_reply_actions = PostReplyActions(
            db,
            action_store,
            registry,
            runner,
            config.timeout_s,
            self._resource_backoff,
            self.wake,
            emit,
            deadlines,
        )

    def wake(self) -> None:
        """There may be something to run."""
        self._wake_event.set()

    def stop(self) -> None:
        """Begin nothing more; `run` returns when what runs has ended."""
        self._stopping = True
        self._post_reply_actions.stop()
        self._wake_event.set()

    @property
    def active_queues(self) -> list[str]:
        """What is at work."""
        return list(self._active_queues)

    async def run(self) -> None:
        """Settle what the last start left, then run Commands until `stop`."""
        await self._recover_interrupted()
        async with asyncio.TaskGroup() as group:
            try:
                while not self._stopping:
                    self._wake_event.clear()
                    pause = await self._start_ready(group)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(pause):
                            await self._wake_event.wait()
            except asyncio.CancelledError:
                for task in tuple(self._tasks):  # the group keeps a set and would end them in any order
                    task.cancel()
                raise

    async def _recover_interrupted(self) -> None:
        """What was under way when the agent ended: run again only where the handler allows it."""
        for row in await retry_until_committed(self._db, self._emit, self._command_store.list_interrupted):
            if row.repeatable and row.attempts < MAX_ATTEMPTS:
                await retry_until_committed(
                    self._db, self._emit, self._command_store.requeue, row.id, "interrupted"
                )
                self._log("interrupted", row, "its handler may run again")
            else:
                await self._finish_failed(row, "interrupted")
        await self._post_reply_actions.log_interrupted()

    async def _start_ready(self, task_group: asyncio.TaskGroup) -> float | None:
        """Start all that may start now; returns when to look again, None for: when woken."""
        pauses = []
        await self._enqueue_new()
        for place, number in self._queues.heads():
            if self._stopping or len(self._active_queues) >= self._config.max_concurrent:
                break
            if place[0] not in self._active_queues and (
                left := await self._start_command(place, number, task_group)
            ):
                pauses.append(left)
        return min(
            pauses + await self._post_reply_actions.start_ready(partial(self._create_task, task_group)),
            default=None,
        )

    async def _enqueue_new(self) -> None:
        """Put what has come since the last time into its lane: nothing is read twice, however much waits."""
        while rows := await retry_until_committed(
            self._db, self._emit, self._command_store.list_pending, self._queues.newest_id, FETCH_BATCH_SIZE
        ):
            for row in rows:
                if self._stopping:
                    return
                self._queues.newest_id = row.id
                try:
                    entry = self._registry.match(to_handler_command(row))
                except Exception as error:  # noqa: BLE001  (whatever it was, it ends this Command and no other)
                    await self._finish_failed(row, "failed", detail=f"{type(error).__name__}: {error}")
                else:
                    self._queues.append(_handler_key(entry), row.id)

    async def _start_command(self, key: HandlerKey, command_id: int, task_group: asyncio.TaskGroup) -> float:
        """Start a Command; returns how long its handler asked to wait yet, 0 for not at all."""
        now = asyncio.get_running_loop().time()
        left = max(self._retry_at.get(key[1], 0.0) - now, self._resource_backoff.remaining_s(command_id, now))
        if left > 0:
            return left
        row = await retry_until_committed(self._db, self._emit, self._command_store.get_pending, command_id)
        if self._stopping:
            return 0.0
        self._queues.pop(key)
        if row is not None:
            command = to_handler_command(row)
            self._active_queues[key[0]] = command_id
            work = self._process(row, command, self._registry.match(command), key[0])
            self._create_task(task_group, work, f"command {command_id}")
        return 0.0

    def _create_task(
        self, task_group: asyncio.TaskGroup, coroutine: Coroutine[Any, Any, None], name: str
    ) -> None:
        task = task_group.create_task(coroutine, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _process(
        self, row: CommandRow, command: Command, spec: HandlerSpec | None, queue_key: str
    ) -> None:
        """One Command from `received` to its end."""
        try:
            if self._is_expired(row, spec):
                reason = "older than max_age_s allows"
                await retry_until_committed(
                    self._db, self._emit, self._command_store.finish, row.id, CommandState.EXPIRED, reason
                )
                self._log("expired", row, reason, severity=Severity.WARNING)
            elif spec is None:
                await self._finish_unmatched(row, command)
            else:
                await self._run_handler(row, command, spec)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this Command and no other)
            await self._finish_failed(row, "failed", detail=f"{type(error).__name__}: {error}")
        finally:
            del self._active_queues[queue_key]
            self._deadlines.clear(f"command {row.id}")
            self._wake_event.set()

    def _is_expired(self, row: CommandRow, spec: HandlerSpec | None) -> bool:
        """By a clock that is trusted; one that cannot tell judges nothing."""
        if row.timestamp is None:
            return False
        stamped, running = row.timestamp.timestamp(), asyncio.get_running_loop().time()
        age = self._age_estimator.estimate_age_s(
            stamped, self._command_store.newest_timestamp, self._wall_clock(), running
        )
        limit = self._config.max_age_s if spec is None or spec.max_age_s is None else spec.max_age_s
        return age is not None and limit is not None and age > limit

    async def _finish_unmatched(self, row: CommandRow, command: Command) -> None:
        if not command.words and command.mode == "text":
            await retry_until_committed(
                self._db,
                self._emit,
                self._command_store.finish,
                row.id,
                CommandState.DONE,
                "empty, nothing to do",
            )
            self._log("done", row, "an empty Command, no handler for it")
        else:
            word = command.words[0] if command.words else "binary"
            await self._finish_failed(row, f"unknown {word[:20]}", detail="no handler")

    async def _run_handler(self, row: CommandRow, command: Command, spec: HandlerSpec) -> None:
        attempt = command.attempt
        await retry_until_committed(
            self._db,
            self._emit,
            self._command_store.mark_running,
            row.id,
            spec.name,
            repeatable=spec.repeatable,
        )
        self._log("running", row, f"handler {spec.name}" + (f", attempt {attempt}" if attempt > 1 else ""))
        if spec.kind == "builtin":
            names = self._registry.trigger_names
            await self._finish_done(row, spec, builtin.run(spec, command, names, self._format_status), None)
            return
        timeout = self._config.timeout_s if spec.timeout_s is None else spec.timeout_s
        self._deadlines.expect_within(f"command {row.id}", timeout + HANDLER_DEADLINE_GRACE_S)
        outcome = await self._runner.run(spec, command, timeout)
        self._deadlines.clear(f"command {row.id}")
        if isinstance(outcome, NotStarted):
            await self._requeue_not_started(row, spec, outcome.reason)
            return
        if self._stopping and not isinstance(outcome, Finished):
            return  # what is still running is left to the next start
        self._resource_backoff.on_started(row.id)
        match outcome:
            case Finished(reply, then):
                await self._finish_done(row, spec, reply, then)
            case RetryLater(reason) if attempt < MAX_ATTEMPTS and spec.repeatable:
                await retry_until_committed(self._db, self._emit, self._command_store.requeue, row.id, reason)
                self._queues.prepend(_handler_key(spec), row.id)
                pause = RETRY_LATER_BACKOFF.delay(attempt, self._random)
                self._retry_at[spec.name] = asyncio.get_running_loop().time() + pause
                self._log("later", row, f"{reason}; again in {pause:.0f} s")
            case RetryLater(reason):
                await self._finish_failed(row, "failed", detail=f"{reason}; not tried again")
            case Failed(reason):
                await self._finish_failed(row, "failed", detail=reason)
            case TimedOut():
                await self._finish_failed(row, "timed out", detail=f"ended after {timeout:g} s")

    async def _requeue_not_started(self, row: CommandRow, spec: HandlerSpec, reason: str) -> None:
        """Nothing of it has run, so this was no attempt: back to those that wait."""
        now = asyncio.get_running_loop().time()
        if not self._stopping and not self._resource_backoff.on_exhausted(row.id, reason, now):
            await self._finish_failed(row, "failed", detail=f"{reason}; given up")
            return
        await retry_until_committed(
            self._db, self._emit, self._command_store.requeue, row.id, reason, count_attempt=False
        )
        self._queues.prepend(_handler_key(spec), row.id)
        self._log("not started", row, reason, severity=Severity.DEBUG)

    async def _finish_done(
        self, row: CommandRow, spec: HandlerSpec, content: str | bytes | None, action_name: str | None
    ) -> None:
        replies: Sequence[OutgoingMessage] = ()
        if content and row.answerable:
            try:
                replies = await retry_while_exhausted(
                    self._random, self._emit, self._compose_replies, row, content, spec.reply_to
                )
            except ComposeError as error:
                await self._finish_failed(row, "answer", detail=str(error))
                return
        action = None if action_name is None else (spec.name, action_name)
        await retry_until_committed(
            self._db, self._emit, self._command_store.finish, row.id, CommandState.DONE, None, replies, action
        )
        self._log("done", row, "" if replies else "no answer")
        self._log_replies_queued(row, replies)

    async def _finish_failed(self, row: CommandRow, error_text: str, detail: str = "") -> None:
        """The Command ends as `failed`; it is answered unless that could loop or happens too often."""
        reason = detail or error_text
        replies: Sequence[OutgoingMessage] = ()
        answers = await retry_until_committed(
            self._db, self._emit, self._outbox_store.count_error_answers_within, 3600
        )
        if row.answerable and answers < MAX_ERROR_ANSWERS_PER_HOUR:
            replies = await retry_while_exhausted(
                self._random,
                self._emit,
                self._compose_replies,
                row,
                f"{ERROR_ANSWER_PREFIX}{error_text}",
                None,
                error_answer=True,
            )
        await retry_until_committed(
            self._db, self._emit, self._command_store.finish, row.id, CommandState.FAILED, reason, replies
        )
        self._log("failed", row, reason, severity=Severity.WARNING)
        self._log_replies_queued(row, replies)

    def _compose_replies(
        self, row: CommandRow, content: str | bytes, reply_to: str | None, *, error_answer: bool = False
    ) -> list[OutgoingMessage]:
        parts = compose(content, row.sid, self._service, self._reply_config, row.id & 0xFF)
        destination = reply_to or self._service.number
        return [
            OutgoingMessage(destination, part, number, len(parts), error_answer)
            for number, part in enumerate(parts, 1)
        ]

    def _log_replies_queued(self, row: CommandRow, replies: Sequence[OutgoingMessage]) -> None:
        if replies:
            texts = [each.user_data.text or "" for each in replies]
            self._log(
                "queued", row, f"answer to {mask_number(replies[0].destination)}", "".join(texts) or None
            )
            self._on_reply_queued()

    def _log(
        self,
        kind: str,
        row: CommandRow,
        message: str,
        content: str | bytes | None = None,
        severity: Severity = Severity.INFO,
    ) -> None:
        self._emit(Event(kind, message, command_id=row.id, sid=row.sid, content=content, severity=severity))


def _handler_key(spec: HandlerSpec | None) -> HandlerKey:
    return ("", "") if spec is None else (spec.queue_key, spec.name)
