"""The channel to a module: whose turn it is, and what became of each command.

Turns are taken in order of asking. Whoever waits for a command may be cancelled; the conversation goes on to
its end, and the next command waits for that. A command without a final result makes the line doubtful: it is
brought back into step before anything else is asked, and only then is the time-out told. A line that cannot
be brought back is lost, and so is the session.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.at.command import AtCommand, PayloadKind
from agent.at.connection import AtConnection, PendingCommand
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import Information, UrcEvent
from agent.at.resync import PROBE, SYNC_QUERIES, is_in_data_mode, resynchronise, wake_module
from agent.at.trace import Trace
from agent.at.transport.base import Transport, TransportOpener
from agent.at.urc_queue import UrcQueue
from hardware.recording import redact_pins

QueuedT = TypeVar("QueuedT")

BeforeBody = Callable[[], Awaitable[None]]

_KERNEL_LOG_LINE = re.compile(r"\[ *\d+\.\d{3,}\] ")
"""How the kernel begins a line of its log: seconds since it started."""

POST_ERROR_GAP_S = 0.1
"""After a plain ERROR: some modules follow it by an OK. V.250 5.5 asks for this pause after every result."""
SLEEP_AFTER_S = 5.0
"""Silence after which a module may sleep (SIMCom's +CSCLK=2: 5 s) and lose the first octets. An AT goes ahead
of the command then: always where one was lost before, else after a silence longer than any that the module
was found awake after. Unless it missed something, one that has just told of a message is awake."""
SILENCE_FACTOR = 1.1
"""So much longer a silence must be to be another one: sweeps do not come to the millisecond."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a command that was carried out."""

    information: tuple[Information, ...] = ()
    echo_seen: bool = False
    """Whether the module echoed the command line."""

    @property
    def text(self) -> str:
        """The first information line, empty where there is none."""
        return self.information[0].text if self.information else ""


class AtClient:
    """One connection. It may be used until it is lost or closed, and not again."""

    def __init__(self, trace: Trace | None = None, command_gap_s: float = 0.0) -> None:
        """`pause_s`: from a final result to the next command, for modules that ask for one (20 to 100 ms)."""
        self._connection = AtConnection(UrcQueue[UrcEvent](_unchanged), trace, self._on_command_finished)
        self._lock = asyncio.Lock()
        self._idle = asyncio.Event()
        self._idle.set()
        self._command_gap_s = command_gap_s
        self._min_timeouts_s: Mapping[str, float] = {}
        self._next_command_at = 0.0
        self._resync_task: asyncio.Task[None] | None = None
        self._transport: Transport | None = None

    @classmethod
    async def open(
        cls, opener: TransportOpener, trace: Trace | None = None, *, command_gap_s: float = 0.0
    ) -> AtClient:
        """Open the wire. Raises PortUnavailable."""
        channel = cls(trace, command_gap_s)
        channel._transport = await opener(channel._connection)
        channel._connection.attach(channel._transport)
        return channel

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

    # Asking

    async def exchange(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        """Ask, in turn. Raises CommandRefused, CommandTimedOut, ModemLost.

        `before_body` is awaited after the prompt and before the first octet of the body; when it raises,
        text entry is given up and nothing was sent.
        """
        async with self._lock:
            return await self._execute(command, before_body)

    def set_echo_expected(self, expected: bool, *, forbids_body: bool = False) -> None:
        """Whether the module echoes. An echo that is not expected is reported as `EchoReturned`.

        `forbids_body`: no body is written after it, because with lost settings it would mean another thing.
        """
        self._connection.echo_expected = expected
        self._connection.echo_forbids_body = forbids_body

    def set_timing(self, command_gap_s: float, min_timeouts_s: Mapping[str, float]) -> None:
        """The pace of this module: the pause after a result, and longest times by name of a command.

        The longer of that time and the command's own counts.
        """
        self._command_gap_s = command_gap_s
        self._min_timeouts_s = min_timeouts_s

    def set_urc_payloads(self, urc_payloads: Mapping[str, PayloadKind]) -> None:
        """Which unsolicited codes are followed by which payload, in the message format in use."""
        self._connection.protocol.set_urc_payloads(urc_payloads)

    def exclusive(self) -> ExclusiveAccess:
        """Several commands with nothing of others between them: `async with channel.turn() as turn`."""
        return ExclusiveAccess(self._lock, self._execute)

    async def wake_module(self, timeout_s: float) -> None:
        """Make the module answer, whatever state it was left in. Raises ModemLost when it does not."""
        async with self._lock:
            await self._idle.wait()
            self._start_resync(self._wake_or_fail(timeout_s))
            await self._idle.wait()
            if self._connection.lost_error is not None:
                raise ModemLost(str(self._connection.lost_error))

    # The end

    @property
    def lost(self) -> asyncio.Event:
        """Set when nothing more can be asked."""
        return self._connection.lost

    @property
    def lost_error(self) -> ModemLost | None:
        """Why the channel was lost; None while it lives."""
        return self._connection.lost_error

    def close(self, reason: str = "the session was closed") -> None:
        """End the session at once: whatever is under way and whatever comes later fails with ModemLost."""
        self._connection.fail(ModemLost(reason))

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again."""
        if self._transport is not None:
            await self._transport.wait_closed()

    # Inside

    async def _execute(self, command: AtCommand, before_body: BeforeBody | None = None) -> Response:
        await self._wait_ready()
        silence = self._silence_s()
        conversation = await self._run_command(command, before_body)
        if silence > max(
            SLEEP_AFTER_S, SILENCE_FACTOR * self._connection.longest_awake_silence_s
        ) and _may_have_been_missed(conversation):
            await self._wait_ready()
            again = await self._run_command(command, before_body)
            self._connection.port_state.module_sleeps = again.has_information or (
                again.final is not None and again.final.ok
            )
            conversation = again
        return self._make_response(conversation)

    async def _run_command(self, command: AtCommand, before_body: BeforeBody | None) -> PendingCommand:
        conversation = self._start_command(command)
        try:
            while not conversation.is_finished:
                await conversation.wait_progress()
                if (
                    conversation.prompt_seen
                    and not conversation.body_started
                    and not conversation.is_finished
                ):
                    if before_body is not None:
                        await before_body()
                    if not conversation.is_finished:
                        self._connection.send_body(conversation)
        except BaseException:
            conversation.is_cancelled = True
            if conversation.prompt_seen and not conversation.body_started:
                self._connection.abandon(conversation, "given up before the body")
            raise
        await self._idle.wait()
        return conversation

    async def _wait_ready(self) -> None:
        """Wait until a command may be written."""
        loop = asyncio.get_running_loop()
        await self._idle.wait()
        if (pause := self._next_command_at - loop.time()) > 0:
            await self._connection.pause(pause)
        silence = self._silence_s()
        if self._connection.lost_error is None and self._may_be_asleep(silence):
            knock = self._start_command(PROBE if self._connection.answers_bare_at else SYNC_QUERIES[0])
            while not knock.is_finished:
                await knock.wait_progress()
            await self._idle.wait()
            if knock.information or (knock.final is not None and knock.final.ok):
                self._connection.longest_awake_silence_s = max(
                    self._connection.longest_awake_silence_s, silence
                )
            elif knock.final is None:
                self._connection.port_state.module_sleeps = True
        if self._connection.lost_error is not None:
            raise ModemLost(str(self._connection.lost_error))

    def _silence_s(self) -> float:
        """How long nothing was written."""
        return asyncio.get_running_loop().time() - self._connection.last_sent_at

    def _may_be_asleep(self, silence_s: float) -> bool:
        """Whether the first octets might be lost now."""
        if self._connection.port_state.module_sleeps or silence_s <= SLEEP_AFTER_S:
            return silence_s > SLEEP_AFTER_S
        quiet = asyncio.get_running_loop().time() - self._connection.last_received_at
        return quiet > SLEEP_AFTER_S and silence_s > SILENCE_FACTOR * self._connection.longest_awake_silence_s

    def _start_command(self, command: AtCommand) -> PendingCommand:
        self._idle.clear()
        return self._connection.start_command(command, self._command_timeout_s(command))

    def _command_timeout_s(self, command: AtCommand) -> float:
        """The longest time of a command."""
        if not self._min_timeouts_s:
            return command.timeout_s
        name = command.line[2:].partition("=")[0].partition("?")[0]
        return max(command.timeout_s, self._min_timeouts_s.get(name, 0.0))

    def _on_command_finished(self, pending: PendingCommand) -> None:
        """A conversation is over: free the line, or bring it back into step first."""
        if self._resync_task is not None:
            return  # one of the questions of the recovery itself
        now = asyncio.get_running_loop().time()
        final = pending.final
        plain_error = final is not None and not final.ok and final.kind == "error"
        self._next_command_at = now + max(self._command_gap_s, POST_ERROR_GAP_S if plain_error else 0.0)
        doubtful = final is None or (
            final.ok and pending.command.requires_information and not pending.information
        )
        if doubtful and self._connection.lost_error is None:
            self._connection.stale_results.clear()  # now: what is late may follow in the same octets
            self._start_resync(self._resync_or_fail(pending))
        else:
            self._idle.set()

    def _start_resync(self, resync: Awaitable[None]) -> None:
        """Run a recovery as a task of the channel's own: nobody's cancellation ends it half way."""

        async def recover() -> None:
            try:
                await resync
            except Exception as error:  # noqa: BLE001  (nobody awaits this task; the session must end)
                self._connection.fail(ModemLost(f"the conversation broke: {type(error).__name__}: {error}"))
            finally:
                self._resync_task = None
                self._idle.set()

        self._idle.clear()
        self._resync_task = asyncio.get_running_loop().create_task(recover(), name="resynchronise")

    async def _resync_or_fail(self, abandoned: PendingCommand) -> None:
        if not await resynchronise(self._connection, abandoned):
            reason = abandoned.failure_reason or "it answered something else"
            self._connection.fail(
                ModemLost(f"no answer to {abandoned.command.redacted_line} and none since: {reason}")
            )
        form = {answer.prefix for answer in abandoned.command.response_patterns if answer.prefix}
        for late in abandoned.stale_results:
            if late.final is None and not late.is_prompt and late.text.partition(":")[0] in form:
                abandoned.information.append(Information(late.text, late.payload))
            elif late.final is not None and (abandoned.final is None or abandoned.final.ok):
                informed = bool(abandoned.information) or not abandoned.command.requires_information
                if informed or not late.final.ok:
                    abandoned.final = late.final

    async def _wake_or_fail(self, timeout_s: float) -> None:
        if not await wake_module(self._connection, timeout_s):
            self._connection.fail(ModemLost(f"no module answers: {self._explain_no_answer()}"))

    def _explain_no_answer(self) -> str:
        """What came instead of an answer, for a person who looks for the right port."""
        heard = list(self._connection.recent_lines)
        if is_in_data_mode(self._connection):
            return "the port is in data mode (PPP); something else has dialled on it"
        if not heard:
            return "nothing came back (wrong port, module off, or another baud rate)"
        if any(line.startswith(("$GP", "$GN")) for line in heard):
            return "only positions come ($GP..., NMEA): this is the GNSS port of the module"
        if any("login:" in line for line in heard):
            return "a login console is on this port; disable serial-getty for it"
        if any(_KERNEL_LOG_LINE.search(line) for line in heard):
            return (
                "the kernel writes its log to this port; take its console= out of the kernel's command line"
            )
        if any("no text" in line for line in heard):
            return f"only {heard[-1]} (another baud rate?)"
        return f"what came last was {redact_pins(heard[-1])!r}"

    def _make_response(self, finished: PendingCommand) -> Response:
        """What the one who asked is told."""
        command, final = finished.command.redacted_line, finished.final
        body_sent = finished.body_started
        if final is not None and not final.ok:
            raise CommandRefused(command, final, body_sent=body_sent)
        if final is not None or finished.has_information:
            return Response(tuple(finished.information), finished.echo_seen)
        if self._connection.lost_error is not None:
            raise ModemLost(str(self._connection.lost_error), command, body_sent=body_sent)
        raise CommandTimedOut(
            command,
            f"{command}: {finished.failure_reason}",
            body_sent=body_sent,
            escape_confirmed=finished.escape_confirmed,
            stale_results=tuple(finished.stale_results),
        )


def _unchanged(event: UrcEvent) -> UrcEvent:
    return event


def _may_have_been_missed(finished: PendingCommand) -> bool:
    """Whether a module that slept may have got a piece of it, and asking again can do no harm.

    It answered nothing at all to a question, or ERROR: what was refused has not been done.
    """
    command, final = finished.command, finished.final
    if command.no_retry or finished.prompt_seen or finished.information:
        return False
    if final is None:
        return (
            command.requires_information
            and not command.body
            and not finished.failure_reason.startswith("the module")
        )
    return not final.ok and final.kind == "error"


class ExclusiveAccess:
    """The right to ask several commands in a row."""

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
        """Ask. Raises what `Channel.exchange` does."""
        return await self._execute(command)
