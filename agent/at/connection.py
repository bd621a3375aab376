"""One line to a module: wire, engine and clock together. At most one command is in the air.

Everything here happens in callbacks of the event loop (octets came, a deadline passed), so a conversation
goes on to its end whether or not anybody still waits for it. Deadlines are absolute: chatter of the module
does not postpone them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from agent.at.command import AtCommand
from agent.at.contention import ContentionDetector
from agent.at.errors import ModemLost
from agent.at.events import (
    EchoReturned,
    FinalResult,
    Information,
    Noise,
    PortContention,
    Prompt,
    StaleResult,
    Unsolicited,
)
from agent.at.protocol import AtProtocol
from agent.at.trace import Trace, escape_bytes
from agent.at.transport.base import PortState, SerialTransport, Transport
from agent.at.urc_queue import UrcQueue

_log = logging.getLogger("modem-agent.at")

PROMPT_TO_BODY_TIMEOUT_S = 30.0
"""From the prompt to the body: a commit to a slow SD card, not more. Modules close the entry by themselves
after a minute or so."""
REFUSAL_GRACE_S = 0.5
"""After a result without information a marking command waits for no longer: either the result was of the past
and the answer follows at once, or it was refused. V.250 5.7 allows gaps of 0.1 s."""
NOISE_LOG_INTERVAL_S = 10.0
"""Noise is told once, then only counted until it has been quiet for so long."""
BOOT_GRACE_S = 2.0
"""What is under way when a module says that it has just started gets this long: either the line belongs to a
start that is nearly over, then the answer comes at once, or it never comes."""

_BOOT_URC = re.compile(r"(APP )?RDY$|\^SYSSTART|\^BOOT|\*ATREADY|\+KSUP|\+AT: READY")
"""Said only by a module that has just started."""


class PendingCommand:
    """One command and what came of it."""

    def __init__(self, command: AtCommand) -> None:
        self.command = command
        self.information: list[Information] = []
        self.stale_results: list[StaleResult] = []
        """What came after it was given up, while the line was brought back into step."""
        self.final: FinalResult | None = None
        self.echo_seen = False
        self.prompt_seen = False
        self.body_started = False
        self.is_cancelled = False
        """Nobody waits for it any more: no body is written."""
        self.escape_confirmed = False
        """ESC was answered by OK after it was given up."""
        self.is_finished = False
        self.failure_reason = ""
        """Why it ended without a final result."""
        self._progress_waiter: asyncio.Future[None] | None = None

    @property
    def has_information(self) -> bool:
        """Whether its information came: where only the final result is missing, that counts as OK."""
        return bool(self.information)

    async def wait_progress(self) -> None:
        """Wait until the prompt comes, or the end."""
        self._progress_waiter = asyncio.get_running_loop().create_future()
        await self._progress_waiter

    def notify_waiter(self) -> None:
        """Tell whoever waits that something has changed."""
        if self._progress_waiter is not None and not self._progress_waiter.done():
            self._progress_waiter.set_result(None)


class AtConnection:
    """The reader of a wire. Single use: a lost line stays lost."""

    def __init__(
        self, urcs: UrcQueue[Any], trace: Trace | None, on_finished: Callable[[PendingCommand], None]
    ) -> None:
        """`ended` is called with each conversation as it ends, before anybody who waits for it goes on."""
        self._loop = asyncio.get_running_loop()
        self.protocol = AtProtocol()
        self.urcs = urcs
        self.lost = asyncio.Event()
        self.lost_error: ModemLost | None = None
        self.last_received_at = self._loop.time()
        """When the last octet came."""
        self.last_sent_at = self._loop.time()
        """When the last octet was written."""
        self.longest_awake_silence_s = 0.0
        """The longest silence of ours after which the module heard the first octets."""
        self.port_state = PortState()
        self.recent_lines: deque[str] = deque(maxlen=8)
        """What came last that was no answer, for a sentence about a line on which no module answers."""
        self.stale_results: deque[StaleResult] = deque(maxlen=32)
        """What came for commands that were given up; whoever brings the line back into step clears it."""
        self.stale_final_count = 0
        self.rejects_sync_queries = False
        """Whether the module has refused everything that could mark the present."""
        self.answers_bare_at = True
        """Whether the module says OK to a bare AT."""
        self._final_waiter: asyncio.Future[StaleResult | None] | None = None
        self.echo_expected = True
        """Whether an echo says nothing; otherwise it shows that the module has lost its settings."""
        self.echo_forbids_body = False
        """Whether with lost settings a body would mean another thing."""
        self._trace = trace
        self._on_finished = on_finished
        self._transport: Transport | None = None
        self._pending: PendingCommand | None = None
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._boot_urc = ""
        self._contention = ContentionDetector(self._loop.time())
        self._command_sent_at = 0.0
        self._last_noise_at = -NOISE_LOG_INTERVAL_S

    # The wire

    def attach(self, transport: Transport) -> None:
        """Take the opened wire."""
        self._transport = transport
        if isinstance(transport, SerialTransport):
            self.port_state = transport.port_state

    def data_received(self, data: bytes) -> None:
        """Octets from the wire."""
        if self.lost_error is not None:
            return
        self.last_received_at = self._loop.time()
        if self._trace is not None:
            self._trace.log_received(data, self.last_received_at)
        try:
            for event in self.protocol.receive_data(data):
                self._handle_event(event)
            self.flush_output()
        except Exception as error:  # noqa: BLE001  (a bug here must end the session, not make it deaf)
            _log.exception("the conversation broke")
            self.fail(ModemLost(f"the conversation broke: {type(error).__name__}: {error}"))

    def connection_lost(self, reason: str) -> None:
        """The wire is gone by itself."""
        self.fail(ModemLost(reason))

    def write(self, data: bytes) -> None:
        """Octets to the wire, outside of any command."""
        if self._transport is None or self.lost_error is not None:
            return
        self.last_sent_at = self._loop.time()
        if self._trace is not None:
            self._trace.log_sent(data, self.last_sent_at)
        self._transport.write(data)

    def set_baud(self, baud: int) -> None:
        """Go on at another rate; what came at the one before was nothing."""
        if isinstance(self._transport, SerialTransport) and self.lost_error is None:
            self._transport.set_baud(baud)
            self.protocol.discard_partial_line()
            self.recent_lines.clear()

    def flush_output(self) -> None:
        """Write what the engine has to say."""
        if data := self.protocol.data_to_send():
            self.write(data)

    def fail(self, error: ModemLost) -> None:
        """End everything that is under way and everything that comes later. The first reason counts."""
        if self.lost_error is not None:
            return
        self.lost_error = error
        if self._transport is not None:
            self._transport.close()
        self.lost.set()
        self.urcs.close(error)
        self._resolve_final_waiter(None)
        if self._pending is not None:
            self._finish(self._pending, str(error))

    # One command

    def start_command(self, command: AtCommand, timeout_s: float | None = None) -> PendingCommand:
        """Write a command. The line must be free."""
        self.protocol.send_command(command)
        self._contention.on_command_sent(command.line)
        self._command_sent_at = self._loop.time()
        conversation = self._pending = PendingCommand(command)
        self._boot_urc = ""
        # Of a lost line nothing is waited for: its end was told when there was no conversation to end.
        self._set_deadline(
            0 if self.lost_error is not None else command.timeout_s if timeout_s is None else timeout_s
        )
        self.flush_output()
        return conversation

    def send_body(self, pending: PendingCommand) -> None:
        """Write the body; from its first octet on the outcome may be unknown."""
        pending.body_started = True
        self.protocol.send_body()
        self._set_deadline(pending.command.body_timeout_s)
        self.flush_output()

    def abandon(self, pending: PendingCommand, reason: str) -> None:
        """Wait no longer for its final result."""
        if pending is self._pending:
            self.protocol.abandon()
            self._finish(pending, reason)

    async def wait_final_result(self, timeout_s: float) -> StaleResult | None:
        """Ask nothing until a final result comes, which is returned, or until so much time has passed.

        None at once from a lost line.
        """
        if self.lost_error is not None:
            return None
        self._final_waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, _resolve_waiter, waiter)
        try:
            heard: StaleResult | None = await waiter
        finally:
            timer.cancel()
            self._final_waiter = None
        return heard

    async def pause(self, duration_s: float) -> None:
        """Ask nothing for so long, or until the line is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await self.lost.wait()

    def _resolve_final_waiter(self, result: StaleResult | None) -> None:
        if self._final_waiter is not None:
            _resolve_waiter(self._final_waiter, result)

    def _set_deadline(self, timeout_s: float) -> None:
        """Set the deadline of the conversation."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._deadline_timer = self._loop.call_later(timeout_s, self._on_deadline)

    def _shorten_deadline(self, timeout_s: float) -> None:
        """Bring the deadline forward, never back."""
        if self._deadline_timer is not None and self._deadline_timer.when() > self._loop.time() + timeout_s:
            self._set_deadline(timeout_s)

    def _on_deadline(self) -> None:
        if (conversation := self._pending) is not None:
            reason = (
                f"the module restarted ({self._boot_urc})" if self._boot_urc else "no final result in time"
            )
            self.abandon(conversation, reason)

    def _finish(self, pending: PendingCommand, reason: str = "") -> None:
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._pending = self._deadline_timer = None
        pending.is_finished = True
        pending.failure_reason = reason
        pending.echo_seen = self.protocol.echo_seen
        self._check_answer_complete(pending)
        if pending.echo_seen and not self.echo_expected:
            self.echo_expected = True
            self.urcs.put(EchoReturned())
        self._on_finished(pending)
        pending.notify_waiter()

    def _check_answer_complete(self, pending: PendingCommand) -> None:
        """Look whether it got its answer whole."""
        now, final = self._loop.time(), pending.final
        self._contention.on_command_finished(now)
        if pending.command.is_sync_marker:
            return  # it is asked where something is wrong already
        if final is None and self.last_received_at > self._command_sent_at and not self._boot_urc:
            self._report_contention(self._contention.on_incomplete_answer(now))

    def _report_contention(self, finding: str) -> None:
        if finding and self.lost_error is None:
            self.urcs.put(PortContention(finding))

    # What was heard

    def _handle_event(
        self, event: Information | FinalResult | Prompt | Unsolicited | StaleResult | Noise
    ) -> None:
        conversation = self._pending
        self._report_contention(self._contention.on_event(event, self.last_received_at))
        match event:
            case Information() if conversation is not None:
                conversation.information.append(event)
                if not any(form.may_repeat for form in conversation.command.response_patterns):
                    self._shorten_deadline(conversation.command.final_result_grace_s)
            case FinalResult() if conversation is not None:
                conversation.final = event
                self._finish(conversation)
            case Prompt() if conversation is not None:
                conversation.prompt_seen = True
                if conversation.is_cancelled:
                    self.abandon(conversation, "nobody waits for it any more")
                elif self.protocol.echo_seen and not self.echo_expected and self.echo_forbids_body:
                    self.abandon(conversation, "the module has lost its settings")
                else:
                    self._set_deadline(PROMPT_TO_BODY_TIMEOUT_S)
                    conversation.notify_waiter()
            case Unsolicited(text):
                self.recent_lines.append(text)
                self.urcs.put(event)
                if _BOOT_URC.match(text):
                    self._boot_urc = text
                    self._contention.on_boot(self.last_received_at)
                    self._shorten_deadline(BOOT_GRACE_S)
            case StaleResult(final=final):
                self.stale_results.append(event)
                if final is not None:
                    self.stale_final_count += 1
                    self._resolve_final_waiter(event)
                    if conversation is not None and conversation.command.is_sync_marker:
                        self._shorten_deadline(REFUSAL_GRACE_S)
            case Noise(reason, sample):
                self._handle_noise(reason, sample)

    def _handle_noise(self, reason: str, sample: bytes) -> None:
        now = self._loop.time()
        self.recent_lines.append(f"{reason}: {escape_bytes(sample)}")
        if now - self._last_noise_at > NOISE_LOG_INTERVAL_S:
            _log.info("noise on the line: %s", reason)  # what it reads may be part of a message
        self._last_noise_at = now


def _resolve_waiter(waiter: asyncio.Future[StaleResult | None], result: StaleResult | None = None) -> None:
    if not waiter.done():
        waiter.set_result(result)
