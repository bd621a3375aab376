"""The client of a module: executes AT commands one at a time, and returns or raises the outcome of each.

Commands are executed in the order of the calls. A caller may be cancelled; its command runs to its end, and
the next command waits for that. After a command without a usable result the connection is resynchronised
before another command is written, and only then the caller receives CommandTimedOut. A connection that cannot
be resynchronised is lost, and with it the session.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

from agent.at.command import AtCommand, PayloadKind
from agent.at.connection import AtConnection
from agent.at.connection_state import ConnectionState
from agent.at.error_codes import ErrorKind
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import Information, UrcEvent
from agent.at.no_answer import explain_no_answer
from agent.at.pending_command import PendingCommand
from agent.at.resync import PROBE, SYNC_QUERIES, is_in_data_mode, resynchronise, wake_module
from agent.at.trace import Trace
from agent.at.transport.base import Transport, TransportOpener
from agent.at.urc_queue import UrcQueue
from pdu.record import Record

QueuedT = TypeVar("QueuedT")

BeforeBody = Callable[[], Awaitable[None]]

POST_ERROR_GAP_S = 0.1
"""Pause after a plain ERROR, which some modules follow by an OK. V.250 5.5 asks for it after every result."""
SLEEP_AFTER_S = 5.0
"""Silence after which a module may sleep (SIMCom's +CSCLK=2: 5 s) and lose the first octets of a command. An
AT is then written first: always if the module has lost octets before, otherwise only if the silence is longer
than every silence after which it was awake. A module that has just sent a URC is awake, unless it has lost
octets before."""
SILENCE_FACTOR = 1.1
"""A silence counts as longer than another one by this factor, because the sweep interval varies slightly."""


class Response(Record):
    """The answer to a command that was carried out."""

    information: tuple[Information, ...] = ()
    echo_seen: bool = False
    """True if the module echoed the command line."""
    is_doubtful: bool = False
    """True if lines or octets came meanwhile that nothing explains: a part of the answer may be lost."""

    @property
    def text(self) -> str:
        """The first information line, empty where there is none."""
        return self.information[0].text if self.information else ""


class CommandExchange(Protocol):
    """Executes AT commands; an `AtClient` does, and so does a running agent on request."""

    async def exchange(self, command: AtCommand) -> Response:
        """Execute a command in turn. Raises CommandRefused, CommandTimedOut, ModemLost."""


class AtClient:
    """Executes commands over one connection. It cannot be used after the connection is lost or closed."""

    def __init__(self, trace: Trace | None = None, command_gap_s: float = 0.0) -> None:
        """`command_gap_s`: pause after a final result code; some modules need 20 to 100 ms."""
        self._connection = AtConnection(UrcQueue[UrcEvent](_unchanged), trace, self._on_command_finished)
        self._lock = asyncio.Lock()
        self._command_gap_s = command_gap_s
        self._min_timeouts_s: Mapping[str, float] = {}
        self._next_command_at = 0.0
        self._recovery_task: asyncio.Task[None] | None = None
        """The task that resynchronises or wakes the module, while it runs."""
        self._transport: Transport | None = None
        self.error_counts: Counter[str] = Counter()
        """AT commands without a successful result: `refused` and `timed_out`."""

    @classmethod
    async def open(
        cls, opener: TransportOpener, trace: Trace | None = None, *, command_gap_s: float = 0.0
    ) -> AtClient:
        """Open the transport. Raises PortUnavailable."""
        client = cls(trace, command_gap_s)
        client._transport = await opener(client._connection)
        client._connection.attach(client._transport)
        return client

    # Unsolicited events

    @property
    def urcs(self) -> UrcQueue[Any]:
        """The queue of unsolicited events: `UrcEvent`, or what `interpret_urcs` makes of them."""
        return self._connection.urcs

    def interpret_urcs(self, interpret: Callable[[UrcEvent], QueuedT | None]) -> UrcQueue[QueuedT]:
        """Queue what `interpret` returns for each event instead of the event; None drops the event.

        Returns the new queue. It begins with the events that have not been read yet.
        """
        before: UrcQueue[Any] = self._connection.urcs
        after = self._connection.urcs = UrcQueue(interpret)
        while (event := before.try_get()) is not None:
            after.put(event)
        if self._connection.lost_error is not None:
            after.close(self._connection.lost_error)
        return after

    # Commands

    async def exchange(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        """Execute a command in turn. Raises CommandRefused, CommandTimedOut, ModemLost.

        `before_body` is awaited after the prompt and before the first octet of the body. If it raises, text
        entry is closed, nothing is sent, and the exception is passed on.
        """
        async with self._lock:
            return await self._execute(command, before_body)

    def exclusive(self) -> ExclusiveAccess:
        """Return a context for several commands in a row: `async with client.exclusive() as access`."""
        return ExclusiveAccess(self._lock, self._execute)

    def set_echo_expected(self, expected: bool, *, forbids_body: bool = False) -> None:
        """Set whether the module echoes. An echo that is not expected is reported as `EchoReturned`.

        `forbids_body`: no body is written after such an echo, because with lost settings it would have
        another meaning.
        """
        self._connection.echo_expected = expected
        self._connection.echo_forbids_body = forbids_body

    def set_timing(self, command_gap_s: float, min_timeouts_s: Mapping[str, float]) -> None:
        """Set the pause after a final result code, and the minimum timeouts by command name (`+CMGS`).

        The longer of the minimum and the command's own timeout is used.
        """
        self._command_gap_s = command_gap_s
        self._min_timeouts_s = min_timeouts_s

    def set_urc_payloads(self, urc_payloads: Mapping[str, PayloadKind]) -> None:
        """Set which URCs are followed by a payload in the message format in use."""
        self._connection.protocol.set_urc_payloads(urc_payloads)

    async def wake_module(self, timeout_s: float, *, may_change: bool = True) -> None:
        """Make the module answer, whatever state it is in. Raises ModemLost if it does not.

        Without `may_change` no setting is written, and a data call is not left.
        """
        async with self._lock:
            await self._wait_settled()
            if not self._connection.is_lost:
                self._connection.begin_wake()
                self._start_recovery(partial(self._wake_or_fail, timeout_s, may_change=may_change))
                await self._wait_settled()
            self._raise_if_lost()

    # Closing

    @property
    def lost(self) -> asyncio.Event:
        """Set when no command can be executed any more."""
        return self._connection.lost

    @property
    def lost_error(self) -> ModemLost | None:
        """The reason why the connection was lost; None before that."""
        return self._connection.lost_error

    def close(self, reason: str = "the session was closed") -> None:
        """End the session at once: pending and later commands fail with ModemLost."""
        self._connection.fail(ModemLost(reason))

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again."""
        if self._transport is not None:
            await self._transport.wait_closed()

    # One command

    async def _execute(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        await self._wait_ready()
        silence_s = self._silence_s()
        finished = await self._run_command(command, before_body)
        may_have_slept = silence_s > max(
            SLEEP_AFTER_S, SILENCE_FACTOR * self._connection.longest_awake_silence_s
        )
        if may_have_slept and _may_have_been_missed(finished):
            await self._wait_ready()
            finished = await self._run_command(command, before_body)
            self._connection.port_state.module_sleeps = bool(finished.information) or (
                finished.final is not None and finished.final.ok
            )
        return self._make_response(finished)

    async def _run_command(self, command: AtCommand, before_body: BeforeBody | None) -> PendingCommand:
        pending = self._start_command(command)
        try:
            while not pending.is_finished:
                await pending.wait_progress()
                if pending.awaits_body and before_body is not None:
                    await before_body()
                if pending.awaits_body:
                    self._connection.send_body(pending)
        except BaseException:
            pending.is_cancelled = True
            if pending.awaits_body:
                self._connection.abandon(pending, "aborted before the body")
            raise
        await self._wait_settled()
        return pending

    async def _wait_ready(self) -> None:
        """Wait until a command may be written, and probe a module that may be asleep. Raises ModemLost."""
        await self._wait_settled()
        pause_s = self._next_command_at - asyncio.get_running_loop().time()
        if pause_s > 0:
            await self._connection.pause(pause_s)
        silence_s = self._silence_s()
        if not self._connection.is_lost and self._may_be_asleep(silence_s):
            probe = self._start_command(PROBE if self._connection.answers_bare_at else SYNC_QUERIES[0])
            await probe.wait_finished()
            await self._wait_settled()
            if probe.information or (probe.final is not None and probe.final.ok):
                self._connection.longest_awake_silence_s = max(
                    self._connection.longest_awake_silence_s, silence_s
                )
            elif probe.final is None:
                self._connection.port_state.module_sleeps = True
        self._raise_if_lost()

    async def _wait_settled(self) -> None:
        """Wait until the connection is idle, or lost."""
        await self._connection.idle.wait()
        if self._recovery_task is not None:  # lost during a recovery, which still attributes late results
            await asyncio.wait([self._recovery_task])

    def _raise_if_lost(self) -> None:
        if self._connection.lost_error is not None:
            raise ModemLost(str(self._connection.lost_error))

    def _silence_s(self) -> float:
        """Seconds since the last write."""
        return asyncio.get_running_loop().time() - self._connection.last_sent_at

    def _may_be_asleep(self, silence_s: float) -> bool:
        """Return True if the module may lose the first octets of a command now."""
        if self._connection.port_state.module_sleeps or silence_s <= SLEEP_AFTER_S:
            return silence_s > SLEEP_AFTER_S
        received_ago_s = asyncio.get_running_loop().time() - self._connection.last_received_at
        longest_s = self._connection.longest_awake_silence_s
        return received_ago_s > SLEEP_AFTER_S and silence_s > SILENCE_FACTOR * longest_s

    def _start_command(self, command: AtCommand) -> PendingCommand:
        return self._connection.start_command(command, self._command_timeout_s(command))

    def _command_timeout_s(self, command: AtCommand) -> float:
        if not self._min_timeouts_s:
            return command.timeout_s
        return max(command.timeout_s, self._min_timeouts_s.get(command.name, 0.0))

    def _on_command_finished(self, finished: PendingCommand) -> None:
        """Set the earliest time of the next command, and start a resynchronisation if one is needed."""
        final = finished.final
        is_plain_error = final is not None and not final.ok and final.kind is ErrorKind.PLAIN
        gap_s = max(self._command_gap_s, POST_ERROR_GAP_S if is_plain_error else 0.0)
        self._next_command_at = asyncio.get_running_loop().time() + gap_s
        if self._connection.state is ConnectionState.RESYNCING:
            self._start_recovery(partial(self._resync_or_fail, finished))

    # Recovery

    def _start_recovery(self, recovery: Callable[[], Awaitable[None]]) -> None:
        """Run a recovery in a task of its own, so that the cancellation of a caller does not interrupt it."""

        async def recover() -> None:
            try:
                await recovery()
            except Exception as error:  # noqa: BLE001  (no caller awaits this task; the session must end)
                reason = f"internal error in the AT connection: {type(error).__name__}: {error}"
                self._connection.fail(ModemLost(reason))
            finally:
                self._recovery_task = None
                self._connection.mark_ready()

        self._recovery_task = asyncio.get_running_loop().create_task(recover(), name="resynchronise")

    async def _resync_or_fail(self, abandoned: PendingCommand) -> None:
        """Resynchronise, and attribute late results to the abandoned command."""
        if not await resynchronise(self._connection, abandoned):
            reason = abandoned.failure_reason or "it answered something else"
            self._connection.fail(
                ModemLost(f"no answer to {abandoned.command.redacted_line} and none since: {reason}")
            )
        names = {pattern.prefix for pattern in abandoned.command.response_patterns if pattern.prefix}
        for late in abandoned.stale_results:
            if late.final is None and not late.is_prompt and late.text.partition(":")[0] in names:
                abandoned.information.append(Information(late.text, late.payload))
            elif late.final is not None and (abandoned.final is None or abandoned.final.ok):
                informed = bool(abandoned.information) or not abandoned.command.requires_information
                if informed or not late.final.ok:
                    abandoned.final = late.final

    async def _wake_or_fail(self, timeout_s: float, *, may_change: bool) -> None:
        if not await wake_module(self._connection, timeout_s, may_change=may_change):
            reason = explain_no_answer(
                self._connection.recent_lines, is_data_mode=is_in_data_mode(self._connection)
            )
            hint = self._connection.port_state.no_answer_hint
            self._connection.fail(ModemLost(f"no module answers: {reason}" + (f"; {hint}" if hint else "")))

    def _make_response(self, finished: PendingCommand) -> Response:
        """Return the response of a finished command, or raise its error."""
        command, final = finished.command.redacted_line, finished.final
        if final is not None and not final.ok:
            self.error_counts["refused"] += 1
            raise CommandRefused(command, final, body_sent=finished.body_sent)
        if final is not None or finished.information:
            return Response(tuple(finished.information), finished.echo_seen, finished.is_doubtful)
        if self._connection.lost_error is not None:
            raise ModemLost(str(self._connection.lost_error), command, body_sent=finished.body_sent)
        self.error_counts["timed_out"] += 1
        raise CommandTimedOut(
            command,
            f"{command}: {finished.failure_reason}",
            body_sent=finished.body_sent,
            escape_confirmed=finished.escape_confirmed,
            module_restarted=bool(finished.boot_urc),
            stale_results=tuple(finished.stale_results),
        )


def _unchanged(event: UrcEvent) -> UrcEvent:
    return event


def _may_have_been_missed(finished: PendingCommand) -> bool:
    """Return True if a sleeping module may have received only part of it, and a retry is harmless.

    Such a module does not answer a query at all, or answers ERROR; a refused command has had no effect.
    """
    command, final = finished.command, finished.final
    if command.no_retry or finished.prompt_seen or finished.information:
        return False
    if final is None:
        return command.requires_information and not command.body and not finished.boot_urc
    return not final.ok and final.kind is ErrorKind.PLAIN


class ExclusiveAccess:
    """The right to execute several commands with no other command between them."""

    def __init__(self, lock: asyncio.Lock, execute: Callable[[AtCommand], Awaitable[Response]]) -> None:
        self._lock = lock
        self._execute = execute

    async def __aenter__(self) -> Self:
        await self._lock.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    async def exchange(self, command: AtCommand) -> Response:
        """Execute a command. Raises what `AtClient.exchange` raises."""
        return await self._execute(command)
