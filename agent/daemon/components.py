"""The composition root: creates the objects of the agent and connects them. No other module does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import pdu
from agent.at.client import AtClient
from agent.at.transport.open import make_opener
from agent.at.transport.port_opener import PortOpener
from agent.common.conditions import ConditionMemory
from agent.common.config import Config
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.daemon.agent_status import ANSWERED, AgentStatus
from agent.daemon.control_api import ControlApi
from agent.daemon.dependencies import Dependencies
from agent.daemon.session import Session
from agent.daemon.sim_memory import JournalSimMemory
from agent.daemon.supervisor import SessionFactory, Supervisor
from agent.handlers.program import check_program
from agent.journal.actions import ActionStore
from agent.journal.alarm import AlarmStore
from agent.journal.inbox import CommandStore
from agent.journal.journal import Journal
from agent.journal.mounts import explain_volatile
from agent.journal.outbox import OutboxStore
from agent.journal.overview import JournalOverview
from agent.journal.reply_spread import ReplySpread
from agent.journal.reset_budget import ResetBudget, ResetLimits
from agent.journal.sims import SimStore
from agent.modem.identification import AUTO_PROFILE
from agent.modem.init_commands import InitCommands
from agent.modem.modem import Modem
from agent.modem.notification_check import NotificationMemory
from agent.modem.options import ModemOptions
from agent.modem.send_refusals import SendRefusals
from agent.modem.silent_slots import SilentSlots
from agent.modem.sim import SimConfig
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.composer import MessageComposer
from agent.pipeline.dispatcher import Dispatcher, JournalStores
from agent.pipeline.ignored_messages import IgnoredMessageRunner
from agent.pipeline.message_recorder import MessageRecorder
from agent.pipeline.post_reply_actions import Handlers
from agent.pipeline.receiver import Receiver
from agent.pipeline.reply_handover import ReplyHandover
from agent.pipeline.send_backoff import DestinationBackoff
from agent.pipeline.send_state import SendState
from agent.pipeline.sender import Sender
from agent.recovery.configured_power import make_configured_power
from agent.recovery.executor import ModuleUsers, RecoveryExecutor, RecoveryOptions
from agent.recovery.policy import RecoveryPolicy
from agent.service.classify import MessageHistory, classify
from agent.service.compose import ReplyConfig
from agent.service.message import ReceivedMessage
from agent.service.profile import SERVICE_PROFILES
from agent.version import VERSION
from hardware.identify import PortInfo
from hardware.port_users import describe_other_holders
from hardware.power import PowerUnavailable
from hardware.power_command import CommandPowerSwitch
from hardware.profile import DriverProfile, ProfileError, load_driver_profile

if TYPE_CHECKING:
    from agent.daemon.alarm import Alarm
    from agent.daemon.until_idle import IdleLimits, UntilIdle
    from agent.journal.open_work import OpenWork


class Components:
    """The objects of one agent that outlive sessions with the module; it also makes those of a session."""

    def __init__(
        self,
        *,
        config: Config,
        dependencies: Dependencies,
        runtime: Runtime,
        journal: Journal,
        handlers: Handlers,
        conditions: ConditionMemory,
        request_exit: Callable[[str], None],
    ) -> None:
        """`request_exit` is called with the reason when another process should take over."""
        self._config = config
        self._dependencies = dependencies
        self.runtime = runtime
        self._journal = journal
        self._handlers = handlers
        self._service = SERVICE_PROFILES[config.service.name]
        self._opener = dependencies.opener or make_opener(config.modem.port, config.modem.baud)
        self._sim_memory = JournalSimMemory(runtime=runtime, sim_store=SimStore(journal))
        self._notification_memory = NotificationMemory()
        self._silent_slots = SilentSlots()
        self._init_commands = InitCommands(config.modem.init)
        reply_queued = asyncio.Event()
        self._send_state = SendState(
            destination_backoff=DestinationBackoff(),
            brownout_guard=BrownoutGuard(runtime.random),
            refusals=SendRefusals(),
            reply_queued=reply_queued,
            handover=ReplyHandover(reply_queued.set),
        )
        self.outbox_store = OutboxStore(journal, ReplySpread(config.service.reply_spread_s, runtime.random))
        self.command_store = CommandStore(
            journal,
            self.outbox_store,
            dedup_without_sid=config.journal.dedup_without_sid,
            has_ignored_handler=lambda: handlers.registry.ignored_handler is not None,
        )
        self.ignored_runner = IgnoredMessageRunner(
            runtime=runtime, ignored=self.command_store.ignored, handlers=handlers
        )
        stores = JournalStores(
            journal_path=journal.path,
            volatile_reason=self._explain_volatile_journal(),
            command_store=self.command_store,
            outbox_store=self.outbox_store,
            action_store=ActionStore(journal),
            overview=JournalOverview(journal, self.command_store, self.outbox_store),
        )
        composer = MessageComposer(
            self._service,
            ReplyConfig(
                reply_sid=config.service.reply_sid,
                max_parts=config.service.max_parts,
                allow_ucs2=config.service.allow_ucs2,
            ),
        )
        self.dispatcher = Dispatcher(
            runtime=runtime,
            stores=stores,
            handlers=handlers,
            composer=composer,
            handover=self._send_state.handover,
            format_status=self._format_status_line,
        )
        self.recovery_executor = self._make_recovery_executor()
        self.supervisor = Supervisor(
            runtime=runtime,
            session_factory=SessionFactory(
                opener=self._opener,
                make_modem=self._make_modem,
                make_session=self._make_session,
                trace=dependencies.trace,
            ),
            recovery_executor=self.recovery_executor,
            brownout_guard=self._send_state.brownout_guard,
            request_exit=request_exit,
            notify_status=lambda text: dependencies.notify(f"STATUS={text}"),
        )
        self.agent_status = AgentStatus(
            runtime=runtime,
            stores=stores,
            service_config=config.service,
            supervisor=self.supervisor,
            recovery_executor=self.recovery_executor,
            dispatcher=self.dispatcher,
            conditions=conditions,
        )
        self.alarm = self._make_alarm()
        self.control_api = ControlApi(
            runtime=runtime,
            outbox_store=self.outbox_store,
            composer=composer,
            supervisor=self.supervisor,
            agent_status=self.agent_status,
            on_queued=self._send_state.reply_queued.set,
            describe_alarm=lambda: "" if self.alarm is None else self.alarm.describe(),
        )
        self.control_server = dependencies.make_control_server(
            config.control.socket,
            {
                "status": self.control_api.get_status,
                "send": self.control_api.send_message,
                "wait": self.control_api.wait_for_outcome,
                "at": self.control_api.run_at_command,
                "signal": self.control_api.measure_signal,
            },
            runtime.emit,
        )

    def wake(self) -> None:
        """Make the tasks that run handlers look for work: a message was stored, or handlers are new."""
        self.dispatcher.wake()
        self.ignored_runner.wake()

    def publish_state(self) -> None:
        """Publish the state of the gateway where a target of forwarded Commands wants it."""
        if targets := self.dispatcher.forwarder.targets:
            state = self.agent_status.describe_gateway()
            for target in targets.values():
                target.publish_state(state)

    def make_until_idle(self, limits: IdleLimits) -> UntilIdle:
        """Return what waits until the agent is idle."""
        from agent.daemon.until_idle import UntilIdle  # noqa: PLC0415  (few agents end by themselves)
        from agent.journal.open_work import read_open_work  # noqa: PLC0415

        def read_work(waiting_s: float) -> OpenWork:
            has_handler = self._handlers.registry.ignored_handler is not None
            return read_open_work(self._journal, waiting_s, has_ignored_handler=has_handler)

        return UntilIdle(
            limits=limits,
            runtime=self.runtime,
            read_open_work=read_work,
            find_obstacle=self._find_receiving_obstacle,
        )

    def _find_receiving_obstacle(self) -> str:
        """Return why messages cannot be received now, "" if they can and those of the module were read."""
        problems = (each for each in self.agent_status.find_problems() if each.prevents != ANSWERED)
        session = self.supervisor.connection.session
        if (problem := next(problems, None)) is not None or session is None:
            return str(problem)
        return "" if session.has_swept else "the messages in the module are being read"

    async def is_idle(self) -> bool:
        """Return True if no handler runs and no message is being sent: now the process may end."""
        with contextlib.suppress(sqlite3.Error):
            states = await self.runtime.db.run(self.outbox_store.count_by_state)
            return not states.get("sending") and not self.dispatcher.active_queues
        return False

    def _explain_volatile_journal(self) -> str:
        """Log and return why the journal does not survive a loss of power; "" if it does, or need not."""
        config = self._config.journal
        if config.allow_volatile or not (text := explain_volatile(config.path, self._dependencies.mountinfo)):
            return ""
        self.runtime.emit(Event(EventKind.JOURNAL_VOLATILE, text, severity=Severity.WARNING))
        return text

    def _make_alarm(self) -> Alarm | None:
        """Return the alarm, None if no program is configured."""
        config = self._config.alarm
        if not config.command:
            return None
        from agent.daemon.alarm import Alarm  # noqa: PLC0415  (few agents have an alarm)

        if problem := check_program(config.command):
            text = f"alarm.command: {problem}"
            self.runtime.emit(Event(EventKind.WARNING, text, severity=Severity.WARNING))
        return Alarm(
            config=config,
            runtime=self.runtime,
            store=AlarmStore(self._journal),
            find_problems=self.agent_status.examine,
            run_program=self._handlers.runner.run_program,
        )

    def _make_recovery_executor(self) -> RecoveryExecutor:
        dependencies, config = self._dependencies, self._config.recovery
        users = ModuleUsers(self._opener)
        power = dependencies.power
        try:
            power = power or make_configured_power(
                config, users.device_path, self._journal.path, self._handlers.runner.run_program
            )
        except PowerUnavailable as error:
            text = f"{error}; the agent cannot switch the module's power"
            self.runtime.emit(Event(EventKind.WARNING, text, severity=Severity.WARNING))
        return RecoveryExecutor(
            runtime=self.runtime,
            policy=RecoveryPolicy(
                self.runtime.random,
                has_power_switch=power is not None,
                can_switch_on=power is not None
                and (power.is_toggle or isinstance(power, CommandPowerSwitch)),
            ),
            options=RecoveryOptions(
                power,
                config.may_drop_data,
                dependencies.describe_module_users or users.describe_users,
                DriverProfile() if power is None else self._configured_driver(),
            ),
            reset_budget=ResetBudget(
                self._journal, ResetLimits(config.resets_per_hour, config.resets_per_day)
            ),
            opener=self._opener,
            send_refusals=self._send_state.refusals,
        )

    def _configured_driver(self) -> DriverProfile:
        """Return the driver table of the configured profile, the generic one if it is to be identified."""
        name = self._config.modem.profile
        try:
            return DriverProfile() if name == AUTO_PROFILE else load_driver_profile(name)
        except ProfileError:  # the first session reports it
            return DriverProfile()

    def _make_modem(self, client: AtClient) -> Modem:
        """Return the modem of a session, for a port that has just been opened."""
        config, opener = self._config.modem, self._opener
        options = ModemOptions(
            message_format=config.message_format,
            status_reports=self._config.service.status_reports,
            profile=config.profile,
            port_info=opener.read_port_info() if isinstance(opener, PortOpener) else PortInfo(),
            silent_slots=self._silent_slots,
            sim_config=SimConfig(self._sim_memory, self._dependencies.pin, config.service_centre or ""),
            init_commands=self._init_commands,
            notification_memory=self._notification_memory,
        )
        return self._dependencies.make_modem(client, options)

    def _make_session(self, modem: Modem) -> Session:
        """Return the tasks of a session with an initialised modem."""
        receiver = Receiver(
            runtime=self.runtime,
            modem=modem,
            command_store=self.command_store,
            recorder=MessageRecorder(
                runtime=self.runtime,
                command_store=self.command_store,
                classify=self._classify,
                on_stored=self.wake,
                starter=self.dispatcher,
            ),
            describe_port_users=self._describe_port_users,
            run_on_first_start=self._config.journal.first_start == "run",
        )
        sender = Sender(
            runtime=self.runtime,
            modem=modem,
            outbox_store=self.outbox_store,
            config=self._config.service,
            state=self._send_state,
            on_reply_settled=self._on_reply_settled,
        )
        return Session(modem, receiver, sender, self.supervisor.connection.signal_history)

    def _classify(self, message: pdu.Tpdu, raw: str, history: MessageHistory) -> ReceivedMessage:
        """Decide what a message is. The ports that handlers ask for may change with a reload."""
        return classify(message, raw, history, self._service, self._handlers.registry.handled_ports)

    def _describe_port_users(self) -> str:
        """Return a sentence about other users of the port. It reads /proc and may block."""
        path = self._opener.device_path if isinstance(self._opener, PortOpener) else None
        return describe_other_holders(str(path or self._config.modem.port), os.getpid())

    def _format_status_line(self) -> str:
        """Return the answer of the built-in handler `status`, short enough for one SMS."""
        session = self.supervisor.connection.session
        if session is None:
            return f"modem-agent {VERSION}"
        registration = session.registration or "registration unknown"
        return f"modem-agent {VERSION}, {registration}, {session.signal or ''}"

    def _on_reply_settled(self) -> None:
        """Wake the actions and `send` requests that wait for a message: it is now sent, failed or unknown."""
        self.dispatcher.wake()
        self.control_api.on_reply_settled()
