"""Calls the program of `[alarm]` when Commands could not be received or answered for a while, and afterwards.

The program is called once for each change, also over restarts of the agent: the change is committed before
the call. If the agent ended during the call, the program is called once more: it may not have told anybody. A
program that restarts the device is therefore called twice, and not for ever. If the journal itself is the
problem, the program is called nevertheless.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from agent.common.config import AlarmConfig
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.handlers.program import Program
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from agent.journal.alarm import AlarmState, AlarmStore


class Alarm:
    """The task that calls the program."""

    def __init__(
        self,
        *,
        config: AlarmConfig,
        runtime: Runtime,
        store: AlarmStore,
        find_problems: Callable[[], Awaitable[Sequence[object]]],
        run_program: Callable[[Program], Awaitable[HandlerResult]],
    ) -> None:
        """`find_problems` returns sentences about what is wrong now, the most important first."""
        self._config = config
        self._runtime = runtime
        self._store = store
        self._find_problems = find_problems
        self._run_program = run_program
        self._state = AlarmState()
        self._saved = self._state
        self._not_started: Program | None = None
        """The last call, if the device had no resources for it, or if the agent ended during it."""
        self._failure = ""
        """How the last call failed."""
        self._check_due = asyncio.Event()

    def check_soon(self) -> None:
        """Make the task look for problems. It is called twice a minute."""
        self._check_due.set()

    async def run(self) -> None:
        """Run until the task is cancelled."""
        with contextlib.suppress(sqlite3.Error):  # the first commit reports it
            self._state = self._saved = await self._runtime.db.run(self._store.load)
        if self._state.is_calling:
            self._state = self._state.replace(is_calling=False)
            await self._save()
            since = self._state.since or self._store.now()
            told = "problem" if self._state.is_raised else "ok"
            self._not_started = self._make_program(told, self._state.reason, since.wall)
        while True:
            await self._check_due.wait()
            self._check_due.clear()
            try:
                await self._check()
            except Exception as error:  # noqa: BLE001  (an error in the alarm must not end the agent)
                text = f"internal error: {type(error).__name__}: {error}"
                self._runtime.emit(Event(EventKind.ALARM, text, severity=Severity.ERROR))

    def describe(self) -> str:
        """Return what the program was told and how it ended, for `modem-agent status`; "" if nothing."""
        text = (
            f"{self._config.command[0]} was called for: {self._state.reason}" if self._state.is_raised else ""
        )
        return "; ".join(filter(None, (text, self._failure)))

    async def _check(self) -> None:
        if self._not_started is not None:
            await self._call(self._not_started)
        problems, now, state = await self._find_problems(), self._store.now(), self._state
        if not problems:
            self._state = AlarmState(reason=state.reason, is_calling=state.is_raised or state.is_calling)
            await self._save()
            if state.is_raised:
                await self._call(self._make_program("ok", state.reason, now.wall))
            return
        if state.since is None:
            # It is stored if the next check finds it as well: most problems end in a minute.
            self._state = state.replace(since=now)
            return
        if not state.is_raised and now.uptime - state.since.uptime >= self._config.after_s:
            self._state = AlarmState(
                is_raised=True, reason=str(problems[0]), since=state.since, is_calling=True
            )
        await self._save()
        if self._state.is_raised and not state.is_raised:
            await self._call(self._make_program("problem", self._state.reason, state.since.wall))

    async def _save(self) -> None:
        if self._state != self._saved:
            with contextlib.suppress(sqlite3.Error):  # it is kept in memory; the next check tries again
                await self._runtime.db.run(self._store.save, self._state)
                self._saved = self._state

    def _make_program(self, state: str, reason: str, since: float) -> Program:
        environment = {
            "ALARM_STATE": state,
            "ALARM_REASON": reason.replace("\0", "?").encode(errors="replace").decode(),
            "ALARM_SINCE": datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds"),
        }
        return Program((*self._config.command, state), self._config.timeout_s, environment)

    async def _call(self, program: Program) -> None:
        self._not_started = None
        text = f"{program.words[0]} {program.environment['ALARM_STATE']}"
        result = await self._run_program(program)
        self._state = self._state.replace(is_calling=isinstance(result, NotStarted))
        await self._save()
        match result:
            case Finished():
                self._failure = ""
                reason = program.environment["ALARM_REASON"]
                self._runtime.emit(Event(EventKind.ALARM, f"{text}: {reason}", severity=Severity.WARNING))
                return
            case NotStarted(reason):
                self._not_started = program
                self._failure = f"{text} cannot be called yet: {reason}"
            case Failed(reason) | RetryLater(reason):
                self._failure = f"{text} failed: {reason}; it is not called again for this"
            case TimedOut():
                seconds = f"{program.timeout_s:g}"
                self._failure = f"{text} was killed after {seconds} s; it is not called again for this"
        self._runtime.emit(Event(EventKind.ALARM, self._failure, severity=Severity.ERROR))
