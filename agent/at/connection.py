"""One connection to a module: transport, protocol and clock together. At most one command is pending.

Everything here happens in callbacks of the event loop (bytes were received, a deadline passed). So a command
runs to its end even if its caller no longer waits for it. Deadlines are absolute: URCs do not postpone them.
The states and their transitions are listed in `agent.at.connection_state`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from agent.at.boot_urcs import BootUrc, classify_boot_urc
from agent.at.command import AtCommand
from agent.at.connection_state import COMMAND_STATES, ConnectionState, check_transition
from agent.at.contention import ContentionDetector
from agent.at.errors import ModemLost
from agent.at.events import (
    AtEvent,
    EchoReturned,
    FinalResult,
    Information,
    Noise,
    NoiseKind,
    PortContention,
    Prompt,
    StaleResult,
    Unsolicited,
)
from agent.at.line_parser import is_result_code
from agent.at.pending_command import PendingCommand
from agent.at.protocol import AtProtocol
from agent.at.trace import Trace, escape_bytes
from agent.at.transport.base import PortState, SerialTransport, Transport
from agent.at.urc_queue import UrcQueue

_log = logging.getLogger("modem-agent.at")

PROMPT_TO_BODY_TIMEOUT_S = 30.0
"""Timeout from the prompt to the body: a commit to a slow SD card takes no longer. Modules close text entry
by themselves after about a minute."""
REFUSAL_GRACE_S = 0.5
"""After a result code without information a synchronisation query waits this long for its information: either
the result belonged to the past and the answer follows at once, or the query was refused. V.250 5.7 allows
gaps of 0.1 s."""
NOISE_LOG_INTERVAL_S = 10.0
"""Noise is logged once, and again only after this long without noise."""
BOOT_GRACE_S = 2.0
"""Time left for a pending command after a boot URC. Either the module has nearly finished its start, and the
answer comes at once, or it never comes."""


class AtConnection:
    """The reader of a transport. It is used once: a lost connection stays lost."""

    def __init__(
        self, urcs: UrcQueue[Any], trace: Trace | None, on_finished: Callable[[PendingCommand], None]
    ) -> None:
        """`on_finished` is called with each command of the client as it ends, before its caller resumes.

        The connection is then IDLE or RESYNCING. It is not called when the connection is lost.
        """
        self._loop = asyncio.get_running_loop()
        self.protocol = AtProtocol()
        self.urcs = urcs
        self.idle = asyncio.Event()
        """Set while the state is IDLE or LOST."""
        self.idle.set()
        self.lost = asyncio.Event()
        """Set when the state is LOST."""
        self.lost_error: ModemLost | None = None
        self.last_received_at = self._loop.time()
        self.last_sent_at = self._loop.time()
        self.longest_awake_silence_s = 0.0
        """The longest time without a write after which the module still received the first octets."""
        self.port_state = PortState()
        self.recent_lines: deque[str] = deque(maxlen=8)
        """The last received lines that were not answers. They explain why no module answers."""
        self.stale_results: deque[StaleResult] = deque(maxlen=32)
        """Results of abandoned commands. Each resynchronisation begins by clearing it."""
        self.stale_final_count = 0
        self.rejects_sync_queries = False
        """True if the module has refused every synchronisation query."""
        self.answers_bare_at = True
        """True if the module answers a bare AT by OK."""
        self.echo_expected = True
        """True while an echo is normal. Otherwise it shows that the module has lost its settings."""
        self.echo_forbids_body = False
        """True if a body would have another meaning with lost settings."""
        self._state = ConnectionState.IDLE
        self._final_waiter: asyncio.Future[StaleResult | None] | None = None
        self._trace = trace
        self._on_finished = on_finished
        self._transport: Transport | None = None
        self._pending: PendingCommand | None = None
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._contention = ContentionDetector(self._loop.time())
        self._command_sent_at = 0.0
        self._last_noise_at = -NOISE_LOG_INTERVAL_S

    # State

    @property
    def state(self) -> ConnectionState:
        """The current state."""
        return self._state

    @property
    def is_lost(self) -> bool:
        """True once nothing more can be written."""
        return self._state is ConnectionState.LOST

    def begin_wake(self) -> None:
        """Enter WAKING."""
        self._enter(ConnectionState.WAKING)

    def mark_ready(self) -> None:
        """Leave RESYNCING or WAKING: the module answers in order. Does nothing on a lost connection."""
        if not self.is_lost:
            self._enter(ConnectionState.IDLE)

    def _enter(self, state: ConnectionState) -> None:
        check_transition(self._state, state)
        self._state = state
        if self._pending is not None and state in COMMAND_STATES:
            self._pending.reached = state
        if state in {ConnectionState.IDLE, ConnectionState.LOST}:
            self.idle.set()
        else:
            self.idle.clear()

    # Transport

    def attach(self, transport: Transport) -> None:
        """Use the opened transport."""
        self._transport = transport
        if isinstance(transport, SerialTransport):
            self.port_state = transport.port_state

    def data_received(self, data: bytes) -> None:
        """Process bytes from the transport."""
        if self.is_lost:
            return
        self.last_received_at = self._loop.time()
        if self._trace is not None:
            self._trace.log_received(data, self.last_received_at)
        try:
            for event in self.protocol.receive_data(data):
                self._handle_event(event)
            self.flush_output()
        except Exception as error:  # noqa: BLE001  (an error here must end the session, not stop the reading)
            _log.exception("internal error in the AT connection")
            self.fail(ModemLost(f"internal error in the AT connection: {type(error).__name__}: {error}"))

    def connection_lost(self, reason: str) -> None:
        """Enter LOST, because the transport has failed or was closed by the other end."""
        self.fail(ModemLost(reason))

    def write(self, data: bytes) -> None:
        """Write bytes outside of any command. Does nothing on a lost connection."""
        if self._transport is None or self.is_lost:
            return
        self.last_sent_at = self._loop.time()
        if self._trace is not None:
            self._trace.log_sent(data, self.last_sent_at)
        self._transport.write(data)

    def set_baud(self, baud: int) -> None:
        """Change the baud rate. What was received at the previous rate is discarded."""
        if isinstance(self._transport, SerialTransport) and not self.is_lost:
            self._transport.set_baud(baud)
            self.protocol.discard_partial_line()
            self.recent_lines.clear()

    def flush_output(self) -> None:
        """Write what the protocol has to send."""
        if data := self.protocol.data_to_send():
            self.write(data)

    def fail(self, error: ModemLost) -> None:
        """Enter LOST, and end the pending command. Later commands fail too. The first error counts."""
        if self.is_lost:
            return
        self.lost_error = error
        self._enter(ConnectionState.LOST)
        if self._transport is not None:
            self._transport.close()
        self.lost.set()
        self.urcs.close(error)
        self._resolve_final_waiter(None)
        if self._pending is not None:
            self._finish(self._pending, str(error))

    # One command

    def start_command(self, command: AtCommand, timeout_s: float | None = None) -> PendingCommand:
        """Write a command line. No other command may be pending.

        From IDLE the connection enters COMMAND_PENDING. In RESYNCING and WAKING, where only queries of the
        resynchronisation are written, the state does not change.
        """
        self.protocol.send_command(command)
        self._contention.on_command_sent(command.name)
        self._command_sent_at = self._loop.time()
        pending = self._pending = PendingCommand(command)
        if self._state is ConnectionState.IDLE:
            self._enter(ConnectionState.COMMAND_PENDING)
        # On a lost connection no answer can come, and its end was reported before this command was pending.
        self._set_deadline(0 if self.is_lost else command.timeout_s if timeout_s is None else timeout_s)
        self.flush_output()
        return pending

    def send_body(self, pending: PendingCommand) -> None:
        """Write the body. From its first octet on the outcome may be unknown."""
        self._enter(ConnectionState.BODY_SENT)
        self.protocol.send_body()
        self._set_deadline(pending.command.body_timeout_s)
        self.flush_output()

    def abandon(self, pending: PendingCommand, reason: str) -> None:
        """Stop waiting for the final result code of this command, if it is still pending."""
        if pending is self._pending:
            self.protocol.abandon()
            self._finish(pending, reason)

    async def wait_final_result(self, timeout_s: float) -> StaleResult | None:
        """Write nothing until a stale final result code comes, and return it. Return None on timeout.

        Returns None at once when the connection is lost.
        """
        if self.is_lost:
            return None
        self._final_waiter = waiter = self._loop.create_future()
        timer = self._loop.call_later(timeout_s, _resolve_waiter, waiter)
        try:
            result: StaleResult | None = await waiter
        finally:
            timer.cancel()
            self._final_waiter = None
        return result

    async def pause(self, duration_s: float) -> None:
        """Wait for this long, or until the connection is lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(duration_s):
                await self.lost.wait()

    def _resolve_final_waiter(self, result: StaleResult | None) -> None:
        if self._final_waiter is not None:
            _resolve_waiter(self._final_waiter, result)

    def _set_deadline(self, timeout_s: float) -> None:
        """Set the deadline of the pending command."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        self._deadline_timer = self._loop.call_later(timeout_s, self._on_deadline)

    def _shorten_deadline(self, timeout_s: float) -> None:
        """Bring the deadline forward; never postpone it."""
        if self._deadline_timer is not None and self._deadline_timer.when() > self._loop.time() + timeout_s:
            self._set_deadline(timeout_s)

    def _on_deadline(self) -> None:
        if (pending := self._pending) is not None:
            restarted = f"the module restarted ({pending.boot_urc})" if pending.boot_urc else ""
            self.abandon(pending, restarted or "no final result in time")

    def _finish(self, pending: PendingCommand, reason: str = "") -> None:
        """End the pending command, with a final result code or with the reason why there is none."""
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
        if self._state in COMMAND_STATES:
            if pending.needs_resync:
                self.stale_results.clear()  # now: a late result may follow in the bytes of the same read
                self._enter(ConnectionState.RESYNCING)
            else:
                self._enter(ConnectionState.IDLE)
            self._on_finished(pending)
        pending.notify_waiter()

    def _check_answer_complete(self, pending: PendingCommand) -> None:
        """Report an answer of which a part is missing to the contention detector."""
        now = self._loop.time()
        self._contention.on_command_finished(now)
        if pending.command.is_sync_marker:
            return  # it is sent only after an answer was missing
        if pending.final is None and self.last_received_at > self._command_sent_at and not pending.boot_urc:
            self._report_contention(self._contention.on_incomplete_answer(now))

    def _report_contention(self, evidence: str) -> None:
        if evidence and not self.is_lost:
            self.urcs.put(PortContention(evidence))

    # Events of the protocol

    def _handle_event(self, event: AtEvent) -> None:
        pending = self._pending
        self._report_contention(self._contention.on_event(event, self.last_received_at))
        match event:
            case Information() if pending is not None:
                pending.information.append(event)
                if not any(pattern.may_repeat for pattern in pending.command.response_patterns):
                    self._shorten_deadline(pending.command.final_result_grace_s)
            case FinalResult() if pending is not None:
                pending.final = event
                self._finish(pending)
            case Prompt() if pending is not None:
                self._handle_prompt(pending)
            case Unsolicited(text):
                if pending is not None and not is_result_code(text):
                    pending.is_doubtful = True
                self.recent_lines.append(text or "a message without its header")
                self.urcs.put(event)
                if classify_boot_urc(text) in {BootUrc.STARTED, BootUrc.MAYBE_STARTED}:
                    self._handle_boot_urc(text)
            case StaleResult(final=final):
                self.stale_results.append(event)
                if final is not None:
                    self.stale_final_count += 1
                    self._resolve_final_waiter(event)
                    if pending is not None and pending.command.is_sync_marker:
                        self._shorten_deadline(REFUSAL_GRACE_S)
            case Noise(kind, sample):
                if pending is not None:
                    pending.is_doubtful = True
                self._handle_noise(kind, sample)

    def _handle_prompt(self, pending: PendingCommand) -> None:
        self._enter(ConnectionState.PROMPT)
        if pending.is_cancelled:
            self.abandon(pending, "cancelled by the caller")
        elif self.protocol.echo_seen and not self.echo_expected and self.echo_forbids_body:
            self.abandon(pending, "the module has lost its settings")
        else:
            self._set_deadline(PROMPT_TO_BODY_TIMEOUT_S)
            pending.notify_waiter()

    def _handle_boot_urc(self, text: str) -> None:
        if self._pending is not None:
            self._pending.boot_urc = text
        self._contention.on_boot(self.last_received_at)
        self._shorten_deadline(BOOT_GRACE_S)

    def _handle_noise(self, kind: NoiseKind, sample: bytes) -> None:
        now = self._loop.time()
        self.recent_lines.append(f"{kind.value}: {escape_bytes(sample)}")
        if now - self._last_noise_at > NOISE_LOG_INTERVAL_S:
            _log.info("noise on the line: %s", kind.value)  # no sample: it may be part of a message
        self._last_noise_at = now


def _resolve_waiter(waiter: asyncio.Future[StaleResult | None], result: StaleResult | None = None) -> None:
    if not waiter.done():
        waiter.set_result(result)
