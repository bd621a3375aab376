"""Examines everything between the configuration and the last reply, in the order in which it depends on it.

If the agent runs, it is asked by its control socket: it has the port open, and two programs on one port steal
each other's answers. If no agent runs, the port is opened here and the module is only asked, nothing is set.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.at.client import CommandExchange
from agent.at.errors import CommandRefused, ModemLost
from agent.at.resync import PROBE, SYNC_QUERIES
from agent.at.trace import Trace
from agent.at.transport.base import PortErrorKind, PortUnavailable
from agent.common.config import Config, ConfigError
from agent.daemon.control_client import AgentNotRunning, ControlError
from agent.daemon.supervisor import FailedPart
from agent.diagnosis.agent_exchange import AgentExchange, AgentRequest
from agent.diagnosis.configuration import ConfigReport, HandlerReport
from agent.diagnosis.finding import MODULE_CHECKS, Check, Finding, Level, skip
from agent.diagnosis.forwarding_checks import ForwardingFacts, check_forwarding
from agent.diagnosis.journal_checks import DiskReader, check_clock, check_journal
from agent.diagnosis.last_error import LOG_STEP, check_last_error
from agent.diagnosis.loopback import check_loopback
from agent.diagnosis.module_answers import ModuleAnswers, ModuleInterview
from agent.diagnosis.module_checks import check_module
from agent.diagnosis.module_connection import MakeOpener, WrongBaudRate, connect
from agent.diagnosis.port_checks import AGAIN, PortChecks
from agent.journal.mounts import MOUNTINFO
from hardware.identify import PortInfo
from hardware.port_finder import read_port_info
from hardware.port_users import SystemUser
from hardware.sysfs import UsbPort, find_usb_port

INTERVIEW_TIMEOUT_S = 25.0
"""Some modules need a second for each answer; one that answers nothing has failed before."""
FIRST_COMMANDS = (PROBE, SYNC_QUERIES[0])
"""What wakes a module whose port was just opened. A running agent is asked for them as well, so that a
recording of its answers can be replayed to any client."""
_PORT_ERRORS = {
    PortErrorKind.ABSENT: (Check.PORT, f"switch it on, and check [modem] port in agent.toml, {AGAIN}"),
    PortErrorKind.AMBIGUOUS: (Check.PORT, f"name one in agent.toml, {AGAIN}"),
    PortErrorKind.BUSY: (Check.HOLDER, f"stop that program, {AGAIN}"),
    PortErrorKind.FORBIDDEN: (Check.RIGHTS, "sudo modem-agent doctor"),
}
"""The check that an error at the opening belongs to, and what to do."""
_AFTER_CONFIGURATION = tuple(Check)[1:]
_FROM_MODULE = (Check.MODULE, *MODULE_CHECKS)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoctorDependencies:
    """What the doctor reads and asks."""

    check_settings: Callable[[], ConfigReport]
    check_handlers: Callable[[Config], Awaitable[HandlerReport]]
    make_opener: MakeOpener
    make_request: Callable[[Path], AgentRequest]
    """Takes the control socket."""
    has_pin: Callable[[Config], bool]
    wall_clock: Callable[[], float]
    """Returns seconds since 1970."""
    describe_unit: Callable[[], str]
    """Returns why the service does not run, as a sentence; "" if it does, or is not installed."""
    forwarding: ForwardingFacts = field(default_factory=ForwardingFacts)
    agent_user: SystemUser | None = None
    root: Path = Path("/")
    mountinfo: Path = MOUNTINFO
    read_disk: DiskReader = os.statvfs
    trace: Trace | None = None
    """Gets the conversation with the module."""


@dataclass(slots=True)
class Examination:
    """What the doctor has found beside its findings, for the bundle."""

    config: Config | None = None
    """None if agent.toml cannot be read."""
    status: dict[str, Any] | None = None
    """What the running agent reports; None if none answers."""
    answers: ModuleAnswers = field(default_factory=ModuleAnswers)


@dataclass(frozen=True, slots=True)
class ConnectedModule:
    """A module that can be asked."""

    exchange: CommandExchange
    usb_port: UsbPort | None
    """None on a UART or behind a socket."""


class Doctor:
    """Examines one agent and its module, once."""

    def __init__(self, dependencies: DoctorDependencies, *, sends: bool = False) -> None:
        """`sends`: send a message to the service at the end."""
        self._use = dependencies
        self._sends = sends
        self.result = Examination()

    async def examine(self) -> AsyncIterator[Finding]:
        """Yield the findings in order."""
        report = self._use.check_settings()
        yield _judge_settings(report)
        if {"modem.port", "control.socket", "journal.path"} & report.unknown_keys:
            for finding in skip(_AFTER_CONFIGURATION, "agent.toml does not say where it is"):
                yield finding
            return
        config = self.result.config = report.settings
        request = self._use.make_request(config.control.socket)
        agent = await self._ask_status(request)
        yield agent
        for finding in await self._examine_module(config, request, agent):
            yield finding
        status = self.result.status
        yield check_journal(
            config.journal.path,
            allow_volatile=config.journal.allow_volatile,
            mountinfo=self._use.mountinfo,
            read_disk=self._use.read_disk,
            agent_user=self._use.agent_user,
            status=status,
        )
        yield check_clock(config.journal.path, self._use.wall_clock(), self.result.answers.clock)
        yield _judge_handlers(await self._use.check_handlers(config))
        yield check_forwarding(config, self._use.forwarding, [] if status is None else status["problems"])
        yield check_last_error(status, self._use.describe_unit(), config.journal.path)
        if not self._sends:
            yield Finding(Check.LOOPBACK, Level.SKIPPED, "--send sends a message to the service")
        elif status is None:
            reason = "messages are sent by the running agent only"
            yield Finding(Check.LOOPBACK, Level.SKIPPED, reason, "sudo systemctl start modem-agent")
        else:
            yield await check_loopback(request)

    @asynccontextmanager
    async def connect_module(self) -> AsyncIterator[ConnectedModule]:
        """Yield the module, through the running agent or by its port.

        Raises PortUnavailable, ModemLost, ConfigError, and ControlError if the agent cannot be asked.
        """
        config = self._use.check_settings().settings
        request = self._use.make_request(config.control.socket)
        node = self._port_checks(config).find_node()
        usb_port = find_usb_port(node, self._use.root) if isinstance(node, Path) else None
        try:
            await request({"do": "status"})
        except AgentNotRunning:
            async with connect(self._use.make_opener, config.modem, self._use.trace) as client:
                yield ConnectedModule(client, usb_port)
        else:
            yield ConnectedModule(AgentExchange(request, self._use.trace), usb_port)

    async def _ask_status(self, request: AgentRequest) -> Finding:
        try:
            status = dict(await request({"do": "status"}))
        except AgentNotRunning:
            reason = "no agent runs; the module is asked directly, and nothing is changed in it"
            return Finding(Check.AGENT, Level.OK, reason)
        except ControlError as error:
            step = f"sudo modem-agent doctor; {LOG_STEP}"
            return Finding(Check.AGENT, Level.WRONG, str(error), step)
        if "pid" not in status:
            reason = f"the running agent is version {status.get('version')}, older than this command"
            return Finding(Check.AGENT, Level.WRONG, reason, "sudo systemctl restart modem-agent")
        self.result.status = status
        return Finding(
            Check.AGENT, Level.OK, f"the agent runs (version {status['version']}, pid {status['pid']})"
        )

    def _port_checks(self, config: Config) -> PortChecks:
        pid = None if self.result.status is None else int(self.result.status["pid"])
        return PortChecks(config.modem.port, self._use.root, self._use.agent_user, pid)

    async def _examine_module(self, config: Config, request: AgentRequest, agent: Finding) -> list[Finding]:
        """Return the findings on port and module."""
        port_checks = self._port_checks(config)
        findings = list(port_checks.run())
        if agent.level is Level.WRONG:
            return [*findings, *skip(_FROM_MODULE, "the agent has the port, and cannot be asked")]
        if self.result.status is not None:
            return await self._examine_by_agent(config, request, findings, self.result.status["modem"])
        if any(finding.level is Level.WRONG for finding in findings):
            return [*findings, *skip(_FROM_MODULE, "the port cannot be used")]
        node = port_checks.find_node()
        port_info = read_port_info(node, self._use.root) if isinstance(node, Path) else PortInfo()
        try:
            async with connect(self._use.make_opener, config.modem, self._use.trace) as client:
                return findings + await self._ask_module(config, client, port_info, None)
        except ConfigError as error:
            return [*findings, *skip(_FROM_MODULE, str(error))]
        except PortUnavailable as error:
            check, step = _PORT_ERRORS[error.kind]
            failed = Finding(check, Level.WRONG, str(error), step)
            return [*_replace(findings, failed), *skip(_FROM_MODULE, "the port cannot be used")]
        except WrongBaudRate as error:
            step = f'write baud = {error.found} into [modem] of agent.toml, or baud = "auto"'
            return findings + _without_answer(str(error), step)
        except ModemLost as error:
            step = "press its power key for 1 to 2 s, wait half a minute, then modem-agent doctor again"
            return findings + _without_answer(str(error), step)

    async def _examine_by_agent(
        self, config: Config, request: AgentRequest, findings: list[Finding], modem: dict[str, Any]
    ) -> list[Finding]:
        if "registration" in modem:  # there is a session
            exchange = AgentExchange(request, self._use.trace)
            return findings + await self._ask_module(config, exchange, PortInfo(), modem)
        reason = str(modem.get("problem") or modem["state"])
        if modem.get("failed_part") == FailedPart.PORT:
            is_known = any(finding.level is Level.WRONG for finding in findings)
            failed = Finding(Check.PORT, Level.WRONG, reason)
            findings = findings if is_known else _replace(findings, failed)
            return [*findings, *skip(_FROM_MODULE, "the port cannot be used")]
        if modem.get("failed_part") == FailedPart.SIM:
            return [
                *findings,
                Finding(Check.MODULE, Level.OK, "the module answers"),
                Finding(Check.SIM, Level.WRONG, reason, LOG_STEP),
                *skip(MODULE_CHECKS[1:], "it needs a SIM that is ready"),
            ]
        return findings + _without_answer(reason, LOG_STEP)

    async def _ask_module(
        self, config: Config, exchange: CommandExchange, port_info: PortInfo, modem: dict[str, Any] | None
    ) -> list[Finding]:
        """Return the findings on a module that answers. Raises ModemLost without an agent."""
        interview = ModuleInterview(exchange, config.modem.profile, port_info)
        self.result.answers = interview.answers
        try:
            async with asyncio.timeout(INTERVIEW_TIMEOUT_S):
                for command in FIRST_COMMANDS if modem is not None else ():
                    with contextlib.suppress(CommandRefused):
                        await exchange.exchange(command)
                await interview.run()
        except TimeoutError:
            interview.answers.unanswered.append(f"all questions within {INTERVIEW_TIMEOUT_S:.0f} s")
        except ModemLost as error:
            if modem is None:
                raise
            return _without_answer(str(error), LOG_STEP)
        return list(
            check_module(
                interview.answers,
                status=modem,
                has_pin=self._use.has_pin(config),
                service_centre=config.modem.service_centre or "",
            )
        )


def _judge_settings(report: ConfigReport) -> Finding:
    if report.errors:
        first, *others = report.errors
        step = "correct it, then modem-agent config check"
        return Finding(Check.CONFIGURATION, Level.WRONG, first, step, tuple(others))
    settings = report.settings
    reason = f"agent.toml is valid: {settings.service.name} on {settings.modem.port}"
    return Finding(Check.CONFIGURATION, Level.OK, reason, "", tuple(report.notes))


def _judge_handlers(report: HandlerReport) -> Finding:
    if report.errors:
        first, *others = report.errors
        step = "correct it, then modem-agent config check; sudo systemctl reload modem-agent"
        return Finding(Check.HANDLERS, Level.WRONG, first, step, tuple(others))
    reason = f"handlers for {', '.join(report.triggers)}"
    if report.notes:
        return Finding(Check.HANDLERS, Level.WARNING, report.notes[0], "", tuple(report.notes[1:]))
    return Finding(Check.HANDLERS, Level.OK, reason)


def _replace(findings: Iterable[Finding], new: Finding) -> list[Finding]:
    """Return the findings with another one for a check; those of the port after it are skipped."""
    result: list[Finding] = []
    for finding in findings:
        depends = new in result and finding.check in {Check.RIGHTS, Check.HOLDER, Check.MODEM_MANAGER}
        skipped = replace(finding, level=Level.SKIPPED, reason="the port cannot be used", next_step="")
        result.append(new if finding.check is new.check else skipped if depends else finding)
    return result


def _without_answer(reason: str, next_step: str) -> list[Finding]:
    """Return the findings on a module that cannot be asked."""
    return [
        Finding(Check.MODULE, Level.WRONG, reason, next_step),
        *skip(MODULE_CHECKS, "the module does not answer"),
    ]
