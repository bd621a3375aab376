"""Runs Commands from the journal through their handlers, at most as often as each handler allows.

Commands of one handler run in the order of arrival, those of different handlers concurrently up to a limit.
The start of a run is committed before it starts, its end together with the reply. So a handler that reboots
the device leaves its Command `running` in the journal, and at the next start it runs again only if its
handler is repeatable.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Collection, Coroutine
from pathlib import Path
from typing import Any

from agent.common.events import EventKind
from agent.common.runtime import Runtime
from agent.handlers.registry import HandlerSpec
from agent.journal.actions import ActionStore
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import CommandRow, RunStart
from agent.journal.outbox import OutboxStore
from agent.journal.overview import JournalOverview
from agent.pipeline.command_finisher import CommandFinisher
from agent.pipeline.command_forwarder import CommandForwarder
from agent.pipeline.command_runner import MAX_ATTEMPTS, CommandRunner
from agent.pipeline.composer import MessageComposer
from agent.pipeline.handler_queues import HandlerKey, HandlerQueues
from agent.pipeline.post_reply_actions import Handlers, PostReplyActions, to_handler_command
from agent.pipeline.reply_handover import ReplyHandover
from agent.pipeline.resource_backoff import ResourceBackoff
from pdu.record import Record

FETCH_BATCH_SIZE = 100
"""Pending Commands that are read from the journal at a time."""


class JournalStores(Record):
    """The stores of one journal."""

    journal_path: Path
    volatile_reason: str
    """A sentence that says why the journal does not survive a loss of power; "" if it does."""
    command_store: CommandStore
    outbox_store: OutboxStore
    action_store: ActionStore
    overview: JournalOverview


class Dispatcher:
    """The task that runs Commands. It outlives sessions with the module."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        stores: JournalStores,
        handlers: Handlers,
        composer: MessageComposer,
        handover: ReplyHandover,
        format_status: Callable[[], str],
    ) -> None:
        """Create a dispatcher that has not started.

        `handover` passes replies to the sender. `format_status` returns one line
        about the agent, for the built-in handler `status`.
        """
        self._runtime = runtime
        self._db = runtime.db
        self._command_store = stores.command_store
        self._handlers = handlers
        self._registry = handlers.registry
        """The handlers by which the Commands are queued."""
        self._finisher = CommandFinisher(
            runtime=runtime,
            command_store=stores.command_store,
            outbox_store=stores.outbox_store,
            composer=composer,
            handover=handover,
        )
        self.forwarder = CommandForwarder(
            runtime=runtime,
            command_store=stores.command_store,
            finisher=self._finisher,
            targets=handlers.targets,
            retry_now=self._retry_now,
        )
        self._wake_event = asyncio.Event()
        self._active_queues: dict[str, int] = {}
        """Id of the running Command of each queue that has one."""
        self._queues = HandlerQueues()
        self._tasks: dict[asyncio.Task[None], None] = {}
        """Tasks in progress, in the order of their start."""
        self._retry_at: dict[str, float] = {}
        """Time of the next attempt for each handler that asked for a later one."""
        self._stopping = False
        self._task_group: asyncio.TaskGroup | None = None
        """The group of `_tasks`, while Commands may start."""
        self._start_is_uncertain = False
        """True if a Command may be running in the journal although nothing has started it."""
        self._resource_backoff = ResourceBackoff(runtime.random, runtime.emit)
        self._command_runner = CommandRunner(
            runtime=runtime,
            command_store=stores.command_store,
            handlers=handlers,
            finisher=self._finisher,
            forwarder=self.forwarder,
            resource_backoff=self._resource_backoff,
            format_status=format_status,
        )
        self._post_reply_actions = PostReplyActions(
            runtime=runtime,
            action_store=stores.action_store,
            handlers=handlers,
            resource_backoff=self._resource_backoff,
            wake=self.wake,
        )

    def wake(self) -> None:
        """Make the task check which Commands and actions may start now."""
        self._wake_event.set()

    def stop(self) -> None:
        """Start no more Commands and actions. `run` returns when the running handlers have ended."""
        self._stopping = True
        self._command_runner.stop()
        self._post_reply_actions.stop()
        self._wake_event.set()

    @property
    def active_queues(self) -> list[str]:
        """The queues with a running Command."""
        return list(self._active_queues)

    @property
    def handler_errors(self) -> list[str]:
        """A sentence for each mistake because of which a handler cannot be used."""
        return list(itertools.chain.from_iterable(self._registry.unusable.values()))

    async def run(self) -> None:
        """Recover the Commands that the last process left unfinished, then run Commands until `stop`."""
        await self._recover_interrupted()
        async with asyncio.TaskGroup() as task_group:
            self._task_group = task_group
            try:
                while not self._stopping:
                    self._wake_event.clear()
                    delay = await self._start_ready()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(delay):
                            await self._wake_event.wait()
            except asyncio.CancelledError:
                # In order of start: the group would cancel them in an arbitrary order.
                for task in tuple(self._tasks):
                    task.cancel()
                raise
            finally:
                self._task_group = None

    async def _recover_interrupted(self) -> None:
        """Requeue the repeatable Commands that ran when the last process ended; fail the others."""
        for row in await retry_until_committed(self._runtime, self._command_store.list_running):
            if row.repeatable and row.attempts < MAX_ATTEMPTS:
                await retry_until_committed(self._runtime, self._command_store.requeue, row.id, "interrupted")
                self._finisher.log(EventKind.INTERRUPTED, row, "its handler may run again")
            else:
                await self._finisher.finish_failed(row, "interrupted")
        await self._post_reply_actions.log_interrupted()

    async def _start_ready(self) -> float | None:
        """Start all Commands and actions that may start now.

        Return the seconds until the next one may start, or None if none of them waits for a time.
        """
        delays = []
        if self._registry is not self._handlers.registry:  # reloaded: what waits goes to the new handlers
            self._registry = self._handlers.registry
            self._queues = HandlerQueues()
        if self._start_is_uncertain:
            await self._requeue_not_run()
        await self._enqueue_new()
        for key, command_id in self._queues.heads():
            if self._stopping:
                break
            if (
                key.name not in self.forwarder.names
                and self._count_processes() >= self._handlers.config.max_concurrent
            ):
                continue
            if key.queue not in self._active_queues and (delay := await self._start_command(key, command_id)):
                delays.append(delay)
        return min(delays + await self._post_reply_actions.start_ready(self._create_task), default=None)

    async def _requeue_not_run(self) -> None:
        """Requeue the Commands that a failed commit has nevertheless stored as running."""
        self._start_is_uncertain = False
        for row in await retry_until_committed(self._runtime, self._command_store.list_running):
            if row.id not in self._active_queues.values():
                await self._requeue_not_entered(row, "the journal could not commit its start")

    async def _requeue_not_entered(self, row: CommandRow, reason: str) -> None:
        """Requeue a Command that was stored as running although its handler was not entered."""
        await retry_until_committed(
            self._runtime, self._command_store.requeue, row.id, reason, count_attempt=False
        )
        self._put_back(row)

    def _put_back(self, row: CommandRow) -> None:
        """Put a Command that has to be tried again at the front of the queue of its handler."""
        self._queues.prepend(self._find_key(row), row.id)

    def _find_key(self, row: CommandRow) -> HandlerKey:
        """Return the queue of the handler that gets a Command now; a reload may have given it another one."""
        return HandlerKey.of(self._registry.match(to_handler_command(row)))

    def _count_processes(self) -> int:
        """Return the number of running handlers. A Command that is being forwarded has none."""
        return sum(queue not in self.forwarder.names for queue in tuple(self._active_queues))

    def _retry_now(self, name: str) -> None:
        """Let the Commands of a target be delivered at once."""
        self._retry_at.pop(name, None)
        self.wake()

    async def _enqueue_new(self) -> None:
        """Put the Commands that were stored since the last call into the queues of their handlers.

        Each Command is read from the journal once, however many are pending.
        """
        while rows := await retry_until_committed(
            self._runtime, self._command_store.list_pending, self._queues.newest_id, FETCH_BATCH_SIZE
        ):
            for row in rows:
                if self._stopping:
                    return
                self._queues.newest_id = row.id
                if row.id in self._active_queues.values():
                    continue  # since before a reload: it is being forwarded, or its start is being committed
                try:
                    key = self._find_key(row)
                except Exception as error:  # noqa: BLE001  (an error ends this Command and no other)
                    await self._finisher.finish_failed(
                        row, "failed", detail=f"{type(error).__name__}: {error}"
                    )
                else:
                    self._queues.append(key, row.id)

    async def _start_command(self, key: HandlerKey, command_id: int) -> float:
        """Start a Command unless it has to wait. Return the seconds that it has to wait, 0 if it has not."""
        now = _now()
        delay = max(
            self._retry_at.get(key.name, 0.0) - now, self._resource_backoff.remaining_s(command_id, now)
        )
        if delay > 0:
            return delay
        row = await retry_until_committed(self._runtime, self._command_store.get_pending, command_id)
        if self._stopping or self._registry is not self._handlers.registry:
            return 0.0
        self._queues.pop(key)
        if row is not None:
            self._run_in_task(row, key.queue, is_running=False)
        return 0.0

    def choose_start(self, row: CommandRow, unfinished: Collection[int], now: float) -> RunStart | None:
        """Return the handler that may start at once for a new Command; None if it has to wait.

        It starts if no other Command waits, so that it overtakes none. The thread of the journal calls this
        while the loop runs, which may end Commands meanwhile but start none: each start needs that thread.
        """
        active = dict(self._active_queues)
        if self._task_group is None or self._stopping or self._registry is not self._handlers.registry:
            return None
        if not set(unfinished) <= set(active.values()):
            return None
        try:
            spec = self._registry.match(to_handler_command(row))
        except Exception:  # noqa: BLE001  (it ends the Command, by the way of those that wait)
            return None
        if (
            spec is None
            or spec.error
            or spec.queue_key in active
            or spec.kind == "forwarding"
            or self._count_processes() >= self._handlers.config.max_concurrent
            or self._command_runner.is_expired(row, spec, now)
        ):
            return None
        return RunStart(spec.name, spec.repeatable)

    async def run_started(self, row: CommandRow) -> None:
        """Start the handler of a Command that was stored as running.

        The Command waits instead if the agent stops, or if the handlers were reloaded during the commit.
        """
        queue = self._find_key(row).queue
        is_reloaded = self._registry is not self._handlers.registry or queue in self._active_queues
        if self._task_group is None or self._stopping or is_reloaded:
            await self._requeue_not_entered(row, "its handler was not started")
            self._wake_event.set()
            return
        self._queues.newest_id = max(self._queues.newest_id, row.id)
        self._run_in_task(row, queue, is_running=True)

    def on_start_uncertain(self) -> None:
        """Look for a Command that is running in the journal although nothing has started it."""
        self._start_is_uncertain = True
        self._wake_event.set()

    def _run_in_task(self, row: CommandRow, queue: str, *, is_running: bool) -> None:
        """Run a Command in a task of its own. `is_running`: its start is committed."""
        spec = self._registry.match(to_handler_command(row))
        self._active_queues[queue] = row.id
        self._create_task(self._process(row, spec, queue, is_running=is_running), f"command {row.id}")

    def _create_task(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        if self._task_group is None:
            raise RuntimeError("the dispatcher does not run")
        task = self._task_group.create_task(coroutine, name=name)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)

    async def _process(
        self, row: CommandRow, spec: HandlerSpec | None, queue: str, *, is_running: bool
    ) -> None:
        """Run one Command; put it back if it is to be tried again."""
        try:
            delay = await self._command_runner.run(row, spec, is_running=is_running)
            if delay is not None:
                self._put_back(row)
                if spec is not None and delay > 0:
                    self._retry_at[spec.name] = _now() + delay
        except Exception as error:  # noqa: BLE001  (an error ends this Command and no other)
            await self._finisher.finish_failed(row, "failed", detail=f"{type(error).__name__}: {error}")
            self.forwarder.end(row)
        finally:
            del self._active_queues[queue]
            self._wake_event.set()


def _now() -> float:
    return asyncio.get_running_loop().time()
