"""Puts the rooms together: the only place that knows them all, and the seams that it hands down."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
from functools import partial
from pathlib import Path

from agent.at.client import AtClient
from agent.at.transport.base import TransportOpener
from agent.at.transport.open import make_opener
from agent.at.transport.port_opener import PortOpener
from agent.common.cancellation import run_unless_stopped
from agent.common.config import Config
from agent.common.events import Event, EventKind, EventSink, Severity
from agent.common.log_throttle import LogThrottle
from agent.common.watchdog import DeadlineMonitor
from agent.daemon.control_api import ControlApi
from agent.daemon.control_socket import ControlServer
from agent.daemon.dependencies import Dependencies
from agent.daemon.session import Session
from agent.daemon.sim_memory import JournalSimMemory
from agent.daemon.supervisor import Supervisor
from agent.handlers.registry import load_registry
from agent.journal.actions import ActionStore
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.outbox import OutboxStore as Queue
from agent.journal.pruning import Pruner
from agent.journal.reset_budget import ResetBudget, ResetLimits
from agent.journal.sims import SimStore
from agent.modem.modem import Modem
from agent.modem.options import ModemOptions
from agent.modem.sim import SimConfig
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.dispatcher import DispatchConfig, Dispatcher
from agent.pipeline.receiver import Receiver
from agent.pipeline.send_backoff import DestinationBackoff
from agent.pipeline.sender import SendConfig, Sender
from agent.recovery.executor import ModuleUsers, RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import RecoveryPolicy
from agent.service.compose import ReplyConfig
from agent.service.profile import SERVICE_PROFILES
from agent.version import VERSION
from hardware.identify import PortInfo
from hardware.port_users import describe_other_holders
from hardware.power import PowerUnavailable, make_power_switch

__all__ = ["Agent", "Dependencies", "RecoveryExhausted"]

HANDLER_SHUTDOWN_S = 3.0
"""What running handlers get when the agent stops."""
TASK_SHUTDOWN_S = 1.0
"""What everything else gets after that."""
MAINTENANCE_INTERVAL_S = 3600.0
"""Between two looks for messages whose parts did not all come."""
PRUNE_EVERY_N_RUNS = 24
"""Each so manieth look is a whole round."""


class RecoveryExhausted(Exception):  # noqa: N818  (reads as the sentence it is)
    """Nothing helped for long: another process may. The text says what was wrong."""


class Agent:
    """One agent: one module, one service, one journal."""

    def __init__(self, config: Config, emit: EventSink, dependencies: Dependencies | None = None) -> None:
        self._config = config
        self._emit = emit
        self._dependencies = dependencies or Dependencies()
        self._service = SERVICE_PROFILES[config.service.name]
        self._reply_config = ReplyConfig(
            config.service.reply_sid, config.service.max_parts, config.service.allow_ucs2
        )
        self._stop_requested = asyncio.Event()
        self._reply_queued = asyncio.Event()
        self._reset_limits = ResetLimits(config.recovery.resets_per_hour, config.recovery.resets_per_day)
        self._brownout_guard = BrownoutGuard(self._dependencies.random)
        self._exit_reason = ""
        self._destination_backoff = DestinationBackoff()

    def stop(self) -> None:
        """Ask `run` to end; safe to call at any time on the loop."""
        self._stop_requested.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises what makes starting impossible: JournalUnusable, JournalHeld, CatalogueError,
        ControlUnusable; GaveUp and HostExhausted, where it should be started anew; each with its
        sentence.
        """
        loop = asyncio.get_running_loop()
        seams, config = self._dependencies, self._config
        self._emit = LogThrottle(self._emit, loop.time)
        self._deadlines = DeadlineMonitor(loop.time)
        journal = self._journal = Journal(
            config.journal.path,
            seams.wall_clock,
            loop.time,
            lambda text: loop.call_soon_threadsafe(partial(self._on_journal_damaged, text)),
        )
        try:
            async with contextlib.AsyncExitStack() as stack:
                self._db = seams.db_executor()
                stack.callback(self._db.close)
                self._runner = seams.runner(self._emit)
                stack.push_async_callback(self._runner.close)
                if not await run_unless_stopped(self._stop_requested, self._make_components(journal)):
                    return
                control = ControlServer(
                    config.control.socket,
                    {
                        "status": self._control_api.get_status,
                        "send": self._control_api.send_message,
                        "at": self._control_api.run_at_command,
                    },
                    self._emit,
                )
                await control.start()
                stack.push_async_callback(control.stop)
                await self._run_tasks()
        finally:
            journal.close()
        if self._exit_reason:
            raise RecoveryExhausted(self._exit_reason)

    async def _make_components(self, journal: Journal) -> bool:
        """Put the rooms together. A handler file that takes a minute to load delays no end."""
        seams, config = self._dependencies, self._config
        catalogue = await load_registry(config.handlers.directory, self._runner)
        for remark in catalogue.warnings:
            self._emit(Event(EventKind.WARNING, remark, severity=Severity.WARNING))
        self._outbox_store = Queue(journal)
        self._command_store = CommandStore(
            journal, self._outbox_store, dedup_without_sid=config.journal.dedup_without_sid
        )
        self._dispatcher = Dispatcher(
            self._db,
            self._command_store,
            self._outbox_store,
            ActionStore(journal),
            catalogue,
            self._runner,
            self._service,
            DispatchConfig(
                config.handlers.timeout_s, config.handlers.max_age_s, config.handlers.max_concurrent
            ),
            self._reply_config,
            seams.wall_clock,
            seams.random,
            self._emit,
            self._deadlines,
            self._reply_queued.set,
            self._format_status_line,
        )
        self._sim_memory = JournalSimMemory(self._db, SimStore(journal), seams.random, self._emit)
        self._open_port = open_port = seams.opener or make_opener(config.modem.port, config.modem.baud)
        self._recovery_executor = self._make_recovery_executor(journal, open_port)
        self._supervisor = Supervisor(
            open_port,
            self._make_modem,
            self._make_session,
            self._recovery_executor,
            self._brownout_guard,
            self._request_exit,
            self._emit,
            lambda text: seams.notify(f"STATUS={text}"),
            self._deadlines,
            seams.trace,
        )
        self._control_api = ControlApi(
            journal.path,
            self._db,
            self._command_store,
            self._outbox_store,
            self._service,
            self._reply_config,
            self._reset_limits,
            self._supervisor,
            self._recovery_executor,
            self._dispatcher,
            self._deadlines,
            seams.random,
            self._reply_queued.set,
        )
        return True

    def _make_recovery_executor(self, journal: Journal, open_port: TransportOpener) -> RecoveryExecutor:
        """What looks after a module that does not work."""
        seams, rules = self._dependencies, self._config.recovery
        neighbours = ModuleUsers(open_port)
        power = seams.power
        try:
            power = power or make_power_switch(
                rules, neighbours.device_path, Path(f"{self._journal.path}.usb-off")
            )
        except PowerUnavailable as error:
            text = f"{error}; the module's power is not switched"
            self._emit(Event(EventKind.WARNING, text, severity=Severity.WARNING))
        return RecoveryExecutor(
            RecoveryPolicy(seams.random, has_power_switch=power is not None),
            RecoveryOptions(
                power, rules.may_drop_data, seams.describe_module_users or neighbours.describe_users
            ),
            ResetBudget(journal, self._reset_limits),
            self._db,
            open_port,
            self._emit,
            self._deadlines,
        )

    def _describe_port_users(self) -> str:
        """Who else may be on the port, as a sentence; may block."""
        node = self._open_port.device_path if isinstance(self._open_port, PortOpener) else None
        return describe_other_holders(str(node or self._config.modem.port), os.getpid())

    def _request_exit(self, reason: str) -> None:
        """End with a failure, so that whoever started this process starts another one."""
        self._exit_reason = reason
        self.stop()

    def _make_modem(self, client: AtClient) -> Modem:
        """The modem over a channel that has just been opened."""
        config, line = self._config, self._config.modem
        port = self._open_port
        options = ModemOptions(
            message_format=line.message_format,
            status_reports=config.service.status_reports,
            profile=line.profile,
            port_info=port.read_port_info() if isinstance(port, PortOpener) else PortInfo(),
            sim_config=SimConfig(self._sim_memory, self._dependencies.pin, line.service_centre or ""),
        )
        return Modem(client, options)

    def _make_session(self, modem: Modem) -> Session:
        """The tasks over a modem that has just been initialised."""
        rules = self._config.service
        intake = Receiver(
            modem,
            self._db,
            self._command_store,
            self._service,
            self._emit,
            self._deadlines,
            self._dispatcher.wake,
            self._describe_port_users,
            run_on_first_start=self._config.journal.first_start == "run",
        )
        outbox = Sender(
            modem,
            self._db,
            self._outbox_store,
            SendConfig(
                rules.max_per_minute,
                rules.max_per_day,
                rules.status_reports,
                rules.resend_unknown,
                rules.max_answer_age_s,
            ),
            self._destination_backoff,
            self._dependencies.random,
            self._emit,
            self._deadlines,
            self._on_reply_settled,
            self._reply_queued,
            self._brownout_guard,
        )
        return Session(modem, intake, outbox)

    def _format_status_line(self) -> str:
        """For the built-in handler `status`: what fits into one answer."""
        session = self._supervisor.connection.session
        if session is None:
            return f"modem-agent {VERSION}"
        return (
            f"modem-agent {VERSION}, {session.registration or 'registration unknown'}, {session.signal or ''}"
        )

    async def _run_tasks(self) -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = group.create_task(self._run_supervisor(), name="supervisor")
            dispatcher = group.create_task(self._dispatcher.run(), name="dispatcher")
            others = [group.create_task(self._run_maintenance(), name="forget")]
            if self._dependencies.watchdog_interval_s is not None:
                others.append(
                    group.create_task(
                        self._run_watchdog(self._dependencies.watchdog_interval_s), name="watchdog"
                    )
                )
            self._dependencies.notify("READY=1")
            self._emit(Event(EventKind.READY, f"modem-agent {VERSION}, {self._service.name}"))
            await self._stop_requested.wait()
            self._dependencies.notify("STOPPING=1")
            for task in others:
                task.cancel()
            self._dispatcher.stop()
            self._supervisor.stop()
            await asyncio.wait((supervisor, dispatcher), timeout=HANDLER_SHUTDOWN_S)
            await self._runner.close()
            await asyncio.wait((supervisor, dispatcher), timeout=TASK_SHUTDOWN_S)
            for task in (supervisor, dispatcher):
                # A journal that cannot commit, say, holds it: the next start finds it as after a crash.
                task.cancel()

    async def _run_supervisor(self) -> None:
        """Settle what the last start left, then keep a session going."""
        for number in await retry_until_committed(self._db, self._emit, self._outbox_store.close_interrupted):
            reason = "the agent ended while it was being sent; left alone"
            self._emit(Event(EventKind.UNKNOWN, reason, reply_id=number, severity=Severity.WARNING))
        await self._supervisor.run()

    async def _run_maintenance(self) -> None:
        """Give up incomplete messages each hour, prune the journal once a day.

        A little at a time: others want to commit meanwhile.
        """
        days = self._config.journal
        for look in itertools.count():
            whole = look % PRUNE_EVERY_N_RUNS == 0
            forgetting = Pruner(
                self._journal, self._command_store.parts, days.keep_days, days.dedup_days, full=whole
            )
            with contextlib.suppress(sqlite3.Error):  # whoever needs a commit will say so
                while await self._db.run(forgetting.prune_batch):  # others get their turn between two steps
                    pass
            if forgetting.pruned_rows:
                self._emit(Event(EventKind.PRUNED, f"{forgetting.pruned_rows} old rows"))
            if forgetting.discarded_messages:
                count = forgetting.discarded_messages
                which = "a message is" if count == 1 else f"{count} messages are"
                text = f"{which} given up, as not all parts came within a day; see inbox --ignored"
                self._emit(Event(EventKind.INCOMPLETE, text, severity=Severity.WARNING))
            await asyncio.sleep(MAINTENANCE_INTERVAL_S)

    def _on_journal_damaged(self, text: str) -> None:
        self._emit(Event(EventKind.JOURNAL_DAMAGED, text, severity=Severity.ERROR))

    async def _run_watchdog(self, interval_s: float) -> None:
        """Tell systemd's watchdog that everybody keeps their own deadlines; silence is what it acts on."""
        said: list[str] = []
        while True:
            if late := self._deadlines.overdue():
                if late != said:
                    self._emit(
                        Event(EventKind.WATCHDOG, f"{', '.join(late)}: systemd will start the agent anew")
                    )
            else:
                self._dependencies.notify("WATCHDOG=1")
            said = late
            await asyncio.sleep(interval_s)

    def _on_reply_settled(self) -> None:
        """A message was sent, refused or is unknown: actions and people may wait for it."""
        self._dispatcher.wake()
        self._control_api.on_reply_settled()
