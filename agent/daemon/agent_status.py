"""Builds the response of `modem-agent status`; decides whether Commands can be received and answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from agent.common.conditions import ConditionMemory
from agent.common.config import ServiceConfig
from agent.common.events import Condition
from agent.common.runtime import Runtime
from agent.daemon.session import Session
from agent.daemon.signal_history import INTERVAL_S
from agent.daemon.supervisor import Supervisor
from agent.journal.executor import COMMIT_RECOVERED_EVENT, commit_failed_event
from agent.journal.repair import damaged_copies
from agent.pipeline.dispatcher import Dispatcher, JournalStores
from agent.recovery.executor import RecoveryExecutor
from agent.service.profile import SERVICE_PROFILES
from agent.version import VERSION
from pdu.record import Record

R = TypeVar("R")

BOTH, RECEIVED, ANSWERED, FORWARDED = "received or answered", "received", "answered", "forwarded"
"""The operations on Commands that a problem prevents."""
HANDLER_FAILURE_VALID_S = 300.0
"""Time after which a handler that could not be started is no longer a problem: a start is tried again within
about a minute, and if it was given up, only the next Command shows whether handlers can be started."""


class Problem(Record):
    """A reason why Commands cannot be received or answered now."""

    prevents: str
    """`BOTH`, `RECEIVED`, `ANSWERED` or `FORWARDED`."""
    reason: str

    def __str__(self) -> str:
        return f"Commands cannot be {self.prevents}: {self.reason}"


class AgentStatus:
    """Builds the status from the objects that know its parts."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        stores: JournalStores,
        service_config: ServiceConfig,
        supervisor: Supervisor,
        recovery_executor: RecoveryExecutor,
        dispatcher: Dispatcher,
        conditions: ConditionMemory,
    ) -> None:
        self._runtime = runtime
        self._stores = stores
        self._service_config = service_config
        self._service = SERVICE_PROFILES[service_config.name]
        self._started_at = asyncio.get_running_loop().time()
        self._supervisor = supervisor
        self._recovery_executor = recovery_executor
        self._dispatcher = dispatcher
        self._conditions = conditions

    async def build(self) -> dict[str, Any]:
        """Return the status as JSON values; times are ISO 8601 in UTC."""
        stores, session = self._stores, self._supervisor.connection.session
        await self._check_journal()
        overview = await self._query(stores.overview.read) or {}
        journal = self._conditions.get(Condition.JOURNAL)
        conflict = self._conditions.get(Condition.PORT_CONFLICT)
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_s": round(asyncio.get_running_loop().time() - self._started_at),
            "service": self._service.name,
            "number": self._service.number,
            "problems": [str(problem) for problem in self.find_problems()],
            "modem": self._describe_modem(),
            "port_conflict": conflict and f"{_format_time(conflict.last_at)}: {conflict.message}",
            "recovery": {
                **await self._describe_recovery(),
                "last_reset": _format_times(overview.get("last_reset")),
            },
            "held": None if session is None else session.sending_blocked_by,
            "last_command": _format_times(overview.get("last_command")),
            "last_answer": _format_times(overview.get("last_answer")),
            "last_ignored": _format_times(overview.get("last_ignored")),
            "sent": overview.get("sent"),
            "limits": {
                "minute": self._service_config.max_per_minute,
                "day": self._service_config.max_per_day,
            },
            "price_per_message": self._service_config.price_per_message,
            "journal_error": journal and f"since {_format_time(journal.since)}: {journal.message}",
            "volatile_journal": stores.volatile_reason or None,
            "damaged_journals": [each.name for each in damaged_copies(stores.journal_path)],
            "commands": overview.get("commands", {}),
            "replies": overview.get("replies", {}),
            "running": self._dispatcher.active_queues,
            "handler_errors": self._dispatcher.handler_errors,
            "overdue": self._runtime.deadlines.overdue(),
        }

    async def examine(self) -> list[Problem]:
        """Return the problems, after a commit if the last one failed: nothing else may try for hours."""
        await self._check_journal()
        return self.find_problems()

    def find_problems(self) -> list[Problem]:
        """Return why Commands cannot be received or answered now; empty if they can."""
        problems = self._find_message_problems()
        handlers = self._conditions.get(Condition.HANDLERS)
        if handlers is not None and self._runtime.wall_clock() - handlers.last_at < HANDLER_FAILURE_VALID_S:
            problems.append(Problem(ANSWERED, f"no handler can be started: {handlers.message}"))
        for target in self._dispatcher.forwarder.targets.values():
            if (condition := self._conditions.get(target.condition)) is not None:
                problems.append(Problem(FORWARDED, condition.message))
        return problems

    def describe_gateway(self) -> dict[str, Any]:
        """Return what is published about this gateway, as JSON values."""
        session, problems = self._supervisor.connection.session, self.find_problems()
        modem = {} if session is None else session.describe()
        published = ("module", "operator", "registration", "signal_dbm")
        return {name: modem.get(name) for name in published} | {
            "problem": problems[0].reason if problems else ""
        }

    def _find_message_problems(self) -> list[Problem]:
        """Return why messages cannot be received or sent now, whatever the handlers do."""
        session = self._supervisor.connection.session
        problems = []
        if session is None:
            problems.append(
                Problem(BOTH, f"there is no session with the module: {self._supervisor.connection}")
            )
        if (journal := self._conditions.get(Condition.JOURNAL)) is not None:
            problems.append(Problem(BOTH, f"the journal cannot commit: {journal.message}"))
        if overdue := self._runtime.deadlines.overdue():
            problems.append(Problem(BOTH, f"tasks are past their deadline: {', '.join(overdue)}"))
        if session is not None:
            problems += _find_session_problems(session)
        return problems

    def explain_wait(self) -> str:
        """Return what a message that has just been queued waits for; empty if it is sent at once."""
        session = self._supervisor.connection.session
        awaited = "" if session is None else session.awaited_result
        problems = self._find_message_problems()
        return next((each.reason for each in problems if each.prevents != RECEIVED), awaited)

    async def _check_journal(self) -> None:
        """End the condition of a journal that could not commit if it can commit now."""
        if self._conditions.get(Condition.JOURNAL) is None:
            return
        with contextlib.suppress(sqlite3.Error):
            await self._runtime.db.run(self._stores.overview.check_writable)
            self._runtime.emit(COMMIT_RECOVERED_EVENT)

    def _describe_modem(self) -> dict[str, Any]:
        connection, now = self._supervisor.connection, asyncio.get_running_loop().time()
        problem = self._conditions.get(Condition.CONNECTION)
        modem: dict[str, Any] = {
            "state": str(connection),
            "problem": None if problem is None else problem.message,
            "problem_since": None if problem is None else _format_time(problem.since),
            "failed_part": connection.failed_part,
            "sim_absent_since": _format_time(connection.sim_absent_since),
            "sessions": connection.session_count,
            "session_for_s": None if connection.session is None else round(now - connection.session_began_at),
            "signal_history": {"interval_s": INTERVAL_S, "dbm": connection.signal_history.get_values(now)},
        }
        return modem if connection.session is None else modem | connection.session.describe()

    async def _describe_recovery(self) -> dict[str, Any]:
        executor = self._recovery_executor
        await executor.refresh_reset_usage()
        used, budget = executor.reset_usage, executor.reset_limits
        return {
            "state": executor.policy.describe(),
            "not_done": executor.last_skipped or None,
            "resets_hour": used.last_hour,
            "resets_day": used.last_day,
            "resets_per_hour": budget.per_hour,
            "resets_per_day": budget.per_day,
        }

    async def _query(self, function: Callable[[], R]) -> R | None:
        """Return the result of a query on the journal; None if it cannot be read, which is logged."""
        try:
            return await self._runtime.db.run(function)
        except sqlite3.Error as error:
            if self._conditions.get(Condition.JOURNAL) is None:
                self._runtime.emit(commit_failed_event(error))
            return None


def _find_session_problems(session: Session) -> list[Problem]:
    """Return the problems of a session, the most important first."""
    modem, registration = session.modem, session.modem.status.registration
    problems = []
    if modem.is_radio_off:
        problems.append(Problem(BOTH, "the radio of the module is switched off"))
    elif not registration.can_send:
        problems.append(Problem(BOTH, f"{registration}: there is no network"))
    if modem.read_error:
        problems.append(Problem(RECEIVED, f"the module refuses to read its messages: {modem.read_error}"))
    elif modem.is_sim_blocking_reads:
        problems.append(Problem(RECEIVED, "the SIM stays busy, so messages cannot be read"))
    if registration.can_send and session.sending_blocked_by:
        problems.append(Problem(ANSWERED, session.sending_blocked_by))
    return problems


def _format_time(wall: float | None) -> str | None:
    """Return a time in ISO 8601 with seconds, in UTC."""
    return None if wall is None else datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")


def _format_times(row: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a row whose times are formatted."""
    if row is None:
        return None
    return {name: _format_time(value) if isinstance(value, float) else value for name, value in row.items()}
