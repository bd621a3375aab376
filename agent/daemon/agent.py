"""The lifecycle of the agent: start, run the tasks, maintain the journal, notify the watchdog, stop."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
from functools import partial
from typing import TYPE_CHECKING

from agent.common.cancellation import run_unless_stopped
from agent.common.conditions import ConditionMemory
from agent.common.config import Config
from agent.common.events import Event, EventKind, EventSink, Severity
from agent.common.log_throttle import LogThrottle
from agent.common.runtime import Runtime
from agent.common.watchdog import DeadlineMonitor
from agent.daemon.components import Components
from agent.daemon.dependencies import Dependencies
from agent.daemon.event_stream import EventStream
from agent.daemon.reload import Reloader, log_mistakes
from agent.forwarding.targets import list_specs
from agent.handlers.registry import HandlerRegistry, load_registry
from agent.handlers.runner import Runner
from agent.journal.executor import retry_until_committed
from agent.journal.journal import Journal
from agent.journal.outbox import OutboxStore
from agent.journal.pruning import Pruner
from agent.pipeline.post_reply_actions import Handlers
from agent.version import VERSION

if TYPE_CHECKING:
    from agent.daemon.metrics_source import AgentMetrics

__all__ = ["Agent", "Dependencies", "NotIdleInTime", "RecoveryExhausted"]

HANDLER_SHUTDOWN_S = 3.0
"""Time that running handlers get when the agent stops."""
TASK_SHUTDOWN_S = 1.0
"""Time that the tasks get after that."""
MAINTENANCE_INTERVAL_S = 3600.0
"""Interval between two maintenance runs, which give up messages whose parts did not all arrive."""
FULL_PRUNE_EVERY_N_RUNS = 24
"""One of this many maintenance runs prunes the whole journal."""


CHECK_INTERVAL_S = 30.0
"""Interval between two checks of the control socket, if the watchdog sets none."""


class RecoveryExhausted(Exception):  # noqa: N818  (not an error of the program: systemd restarts the process)
    """Only another process can help, so this one ends. The text names the problem."""


class NotIdleInTime(Exception):  # noqa: N818  (not an error of the program: the time was over)
    """The agent was to end when it is idle, and the longest time has passed. The text says what is left."""


class Agent:
    """One agent: one module, one service, one journal."""

    def __init__(self, config: Config, emit: EventSink, dependencies: Dependencies | None = None) -> None:
        self._config = config
        self._emit = emit
        self._dependencies = dependencies or Dependencies()
        self._stop_requested = asyncio.Event()
        self._reload_requested = asyncio.Event()
        self._exit_reason = ""
        self._unfinished = ""
        self.components: Components | None = None
        """The connected objects, from the time when the handlers are loaded."""

    def stop(self) -> None:
        """Request that `run` returns. May be called at any time in the thread of the event loop."""
        self._stop_requested.set()

    def reload(self) -> None:
        """Request that handlers and agent.toml are read again; `agent.daemon.reload` says what is taken."""
        self._reload_requested.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises JournalUnusable, JournalLocked, HandlerConfigError or ControlUnusable if the agent cannot
        start, RecoveryExhausted or ResourceExhausted if another process should take over, and NotIdleInTime.
        The text of each is a sentence for the operator.
        """
        loop = asyncio.get_running_loop()
        dependencies = self._dependencies
        conditions = ConditionMemory(LogThrottle(self._emit, loop.time), dependencies.wall_clock)
        stream = EventStream(conditions, dependencies.wall_clock)
        emit: EventSink = stream
        metrics = self._make_metrics(stream)
        if metrics is not None:
            emit = metrics.counts
            dependencies = dependencies.replace(notify=metrics.watch_status(dependencies.notify))

        def on_journal_damaged(text: str) -> None:
            event = Event(EventKind.JOURNAL_DAMAGED, text, severity=Severity.ERROR)
            loop.call_soon_threadsafe(partial(emit, event))

        journal = dependencies.open_journal(
            self._config.journal.path, dependencies.wall_clock, loop.time, on_journal_damaged
        )
        try:
            async with contextlib.AsyncExitStack() as stack:
                db = dependencies.db_executor()
                stack.callback(db.close)
                runner = dependencies.runner(emit)
                stack.push_async_callback(runner.close)
                runtime = Runtime(
                    emit=emit,
                    deadlines=DeadlineMonitor(loop.time),
                    random=dependencies.random,
                    wall_clock=dependencies.wall_clock,
                    db=db,
                )
                registry = await run_unless_stopped(self._stop_requested, self._load_handlers(runner))
                if registry is None:
                    return
                targets = tuple(dependencies.make_targets(self._config, runtime.random))
                handlers = Handlers(registry, runner, self._config.handlers, targets)
                components = self.components = Components(
                    config=self._config,
                    dependencies=dependencies,
                    runtime=runtime,
                    journal=journal,
                    handlers=handlers,
                    conditions=conditions,
                    request_exit=self._request_exit,
                )
                components.control_server.add_stream("events", stream.follow)
                await components.control_server.start()
                stack.push_async_callback(components.control_server.stop)
                await self._run_tasks(runtime, journal, components, handlers, metrics)
        finally:
            journal.close()
        if self._exit_reason:
            raise RecoveryExhausted(self._exit_reason)
        if self._unfinished:
            raise NotIdleInTime(self._unfinished)

    async def _load_handlers(self, runner: Runner) -> HandlerRegistry:
        """Load the handler files. Those that cannot be used are logged; the agent starts without them."""
        registry = await load_registry(
            self._config.handlers.directory, runner, forwarding=list_specs(self._config)
        )
        log_mistakes(registry, self._emit)
        return registry

    def _make_metrics(self, emit: EventSink) -> AgentMetrics | None:
        """Return the metrics if the configuration asks for any; without them their code is not in memory."""
        config = self._config
        if config.metrics.listen is None and config.metrics.textfile is None:
            return None
        from agent.daemon.metrics_source import AgentMetrics  # noqa: PLC0415  (see above)

        return AgentMetrics(config.metrics, emit, self._dependencies.wall_clock, config.journal.path)

    def _request_exit(self, reason: str) -> None:
        """End with RecoveryExhausted, so that systemd starts another process."""
        self._exit_reason = reason
        self.stop()

    async def _run_tasks(
        self,
        runtime: Runtime,
        journal: Journal,
        components: Components,
        handlers: Handlers,
        metrics: AgentMetrics | None,
    ) -> None:
        dispatcher, supervisor = components.dispatcher, components.supervisor
        async with asyncio.TaskGroup() as group:
            supervisor_task = group.create_task(self._run_supervisor(runtime, components), name="supervisor")
            dispatcher_task = group.create_task(dispatcher.run(), name="dispatcher")
            ignored_task = group.create_task(components.ignored_runner.run(), name="ignored messages")
            forwarding_task = group.create_task(dispatcher.forwarder.run(), name="forwarding")
            maintenance = self._run_maintenance(runtime, journal, components)
            reloader = Reloader(
                config=self._config,
                read_config=self._dependencies.read_config or (lambda: self._config),
                handlers=handlers,
                emit=self._emit,
                notify=self._dependencies.notify,
                on_replaced=components.wake,
            )
            alarm = [] if components.alarm is None else [components.alarm]
            background = [
                *(group.create_task(each.run(), name="alarm") for each in alarm),
                group.create_task(reloader.run(self._reload_requested), name="reload"),
                group.create_task(maintenance, name="maintenance"),
                group.create_task(self._run_checks(runtime, components), name="checks"),
                group.create_task(self._stop_when_idle(runtime, components), name="until idle"),
            ]
            if metrics is not None:
                background.append(group.create_task(metrics.run(components), name="metrics"))
            self._dependencies.notify("READY=1")
            runtime.emit(Event(EventKind.READY, f"modem-agent {VERSION}, {self._config.service.name}"))
            await self._stop_requested.wait()
            self._dependencies.notify("STOPPING=1")
            for task in background:
                task.cancel()
            dispatcher.stop()
            components.ignored_runner.stop()
            supervisor.stop()
            tasks = (supervisor_task, dispatcher_task, ignored_task)
            await asyncio.wait(tasks, timeout=HANDLER_SHUTDOWN_S)
            await handlers.runner.close()
            await asyncio.wait(tasks, timeout=TASK_SHUTDOWN_S)
            for task in (*tasks, forwarding_task):
                # A journal that cannot commit may block it. The next start recovers as after a crash.
                task.cancel()

    async def _stop_when_idle(self, runtime: Runtime, components: Components) -> None:
        """Stop when there is nothing left to do, or when the longest time has passed, if so requested."""
        limits = self._dependencies.until_idle
        if limits is None:
            return
        if reason := await components.make_until_idle(limits).wait():
            self._unfinished = f"not idle within {limits.max_s:g} s: {reason}"
        else:
            runtime.emit(Event(EventKind.IDLE, f"nothing to do for {limits.quiet_s:g} s; the agent ends"))
        self.stop()

    async def _run_supervisor(self, runtime: Runtime, components: Components) -> None:
        """Close messages that the last process was sending, then run sessions with the module."""
        await _close_interrupted_messages(runtime, components.outbox_store)
        await components.supervisor.run()

    async def _run_maintenance(self, runtime: Runtime, journal: Journal, components: Components) -> None:
        """Give up incomplete messages once an hour, and prune the journal once a day."""
        config = self._config.journal
        for run in itertools.count():
            is_full = run % FULL_PRUNE_EVERY_N_RUNS == 0
            pruner = Pruner(
                journal, components.command_store.parts, config.keep_days, config.dedup_days, full=is_full
            )
            with contextlib.suppress(sqlite3.Error):  # the next task that has to commit logs it
                while await runtime.db.run(pruner.prune_batch):  # other calls run between two batches
                    pass
            if pruner.pruned_rows:
                runtime.emit(Event(EventKind.PRUNED, f"{pruner.pruned_rows} old rows"))
            if count := pruner.discarded_messages:
                subject = "a message is" if count == 1 else f"{count} messages are"
                text = f"{subject} given up: not all parts arrived within a day; see inbox --ignored"
                runtime.emit(Event(EventKind.INCOMPLETE, text, severity=Severity.WARNING))
                components.ignored_runner.wake()
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)

    async def _run_checks(self, runtime: Runtime, components: Components) -> None:
        """Notify systemd's watchdog and check the control socket, at the interval of the watchdog.

        The watchdog is not notified while a task is past its deadline: then systemd restarts the agent.
        """
        interval_s = self._dependencies.watchdog_interval_s
        logged: list[str] = []
        while True:
            overdue = runtime.deadlines.overdue()
            if interval_s is not None and not overdue:
                self._dependencies.notify("WATCHDOG=1")
            elif interval_s is not None and overdue != logged:
                text = f"{', '.join(overdue)} did not finish in time: systemd will restart the agent"
                runtime.emit(Event(EventKind.WATCHDOG, text))
            logged = overdue
            components.publish_state()
            if components.alarm is not None:
                components.alarm.check_soon()
            if not await components.control_server.restore():
                await self._replace_runtime_directory(components)
            await asyncio.sleep(interval_s or CHECK_INTERVAL_S)

    async def _replace_runtime_directory(self, components: Components) -> None:
        """End while idle, if only the next start of the service creates the directory again."""
        directory = self._config.control.socket.parent
        if (
            directory in self._dependencies.runtime_directories
            and components.control_server.is_directory_replaced
            and await components.is_idle()
        ):
            self._request_exit(f"{directory} was deleted; systemd creates it again when the agent restarts")


async def _close_interrupted_messages(runtime: Runtime, outbox_store: OutboxStore) -> None:
    """Give messages that were being sent when the last process ended the outcome `unknown`."""
    for reply_id in await retry_until_committed(runtime, outbox_store.close_interrupted):
        reason = "the agent ended while it was being sent; it is not resent"
        runtime.emit(Event(EventKind.UNKNOWN, reason, reply_id=reply_id, severity=Severity.WARNING))
