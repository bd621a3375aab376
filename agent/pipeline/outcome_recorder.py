"""Commits the outcome of each message that was sent or refused, and decides when it is tried again.

An unknown outcome is not resent unless a setting allows it: a second copy costs money and may do harm.
`agent.modem.send_refusals` decides whether the message or the module is at fault if it is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.at.errors import CommandRefused, ErrorClass
from agent.common.backoff import Backoff
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.journal.executor import retry_until_committed
from agent.journal.models import ReplyRow, ReplyState
from agent.journal.outbox import OutboxStore
from agent.journal.timestamps import DAY_S
from agent.modem.modem import Modem
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, SendOutcome, Sent
from agent.pipeline.send_backoff import NETWORK_FAILURE_BACKOFF, RETRY_BACKOFF, refusal_backoff
from agent.pipeline.send_state import SendState

MAX_ATTEMPTS = 12
"""Attempts for a message: a network may charge for one that it refuses. Backoffs spread them over hours."""
LOST_RESULT_PAUSE_S = 5.0
"""Pause after a message whose result was lost: meanwhile the receiver reads what the module has announced."""


class OutcomeRecorder:
    """Records the outcomes of one session. It waits while the journal cannot commit."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        modem: Modem,
        outbox_store: OutboxStore,
        state: SendState,
        resend_unknown: bool,
        on_reply_settled: Callable[[], None],
    ) -> None:
        """`resend_unknown`: a message with an unknown outcome is sent once more.

        `on_reply_settled` is called after each message that reached `sent`, `failed` or `unknown`.
        """
        self._runtime = runtime
        self._modem = modem
        self._outbox_store = outbox_store
        self._destination_backoff = state.destination_backoff
        self._refusals = state.refusals
        self._resend_unknown_once = resend_unknown
        self._on_reply_settled = on_reply_settled

    async def record(self, reply: ReplyRow, outcome: SendOutcome, *, marked_sending: bool) -> float | None:
        """Commit the outcome. `marked_sending` is True if the change to `sending` was committed."""
        match outcome:
            case Sent(message_reference):
                text = "" if message_reference is None else f"message reference {message_reference}"
                await self._finish_sent(reply, message_reference, text)
                return None
            case OutcomeUnknown(reason):
                return await self.record_unknown(reply, reason)
            case NotSent(reason):
                # Without the modem the session ends; the next one tries at once, after its own backoff.
                hold = not self._modem.loss_reason
                return await self._requeue(reply, reason, marked_sending=marked_sending, hold=hold)
            case Refused(error):
                return await self._handle_refusal(reply, error, marked_sending=marked_sending)

    async def record_unknown(self, reply: ReplyRow, reason: str) -> float | None:
        """Commit that a message may have left or not. Return the delay of the next attempt."""
        self._suspect_module(reason)
        if self._resend_unknown_once and reply.attempts == 0:
            await self._resend_unknown(reply, reason)
            return LOST_RESULT_PAUSE_S
        await retry_until_committed(
            self._runtime, self._outbox_store.finish, reply.id, ReplyState.UNKNOWN, reason
        )
        self.log(EventKind.UNKNOWN, reply, f"{reason}; it is not resent", severity=Severity.WARNING)
        self._settle(reply)
        return LOST_RESULT_PAUSE_S

    async def _resend_unknown(self, reply: ReplyRow, reason: str) -> None:
        """Queue a copy of a message that may have left, because a setting allows it. Both count as sent."""
        await retry_until_committed(
            self._runtime,
            self._outbox_store.requeue_possibly_sent,
            reply.id,
            f"outcome unknown: {reason}",
        )
        delay = RETRY_BACKOFF.delay(1, self._runtime.random)
        self._destination_backoff.hold(reply.destination, _now() + delay, reason)
        self.log(EventKind.UNKNOWN, reply, f"{reason}; resent in {delay:.0f} s", severity=Severity.WARNING)

    async def _handle_refusal(
        self, reply: ReplyRow, error: CommandRefused, *, marked_sending: bool
    ) -> float | None:
        reason = str(error)
        backoff, hold_all = refusal_backoff(error.error_class)
        match error.error_class:
            case ErrorClass.ALREADY_DELIVERED:
                await self._finish_sent(reply, None, reason)
                return None
            case ErrorClass.OUTCOME_UNKNOWN:
                return await self.record_unknown(reply, reason)
            case ErrorClass.PERMANENT:
                if not await self._is_module_suspected(reply, error):
                    await self.record_failed(reply, reason)
                    return None
                reason = f"{reason}; messages were accepted before, so the module is suspected"
                hold_all = True
                if self._refusals.restart_reason:
                    backoff = NETWORK_FAILURE_BACKOFF
            case _:
                self._suspect_module(reason)
        return await self._requeue(
            reply, reason, marked_sending=marked_sending, backoff=backoff, hold_all=hold_all
        )

    async def _is_module_suspected(self, reply: ReplyRow, error: CommandRefused) -> bool:
        """Record a permanent error. Return True if the module rather than the message is at fault."""
        accepted_before = await retry_until_committed(
            self._runtime, self._outbox_store.was_accepted_within, reply.destination, DAY_S
        )
        is_suspected = self._refusals.on_refused(error, _now(), accepted_before=accepted_before)
        self._request_restart()
        return is_suspected

    def _suspect_module(self, reason: str) -> None:
        """Record an error that is not permanent, or a lost result."""
        self._refusals.on_failed(reason, _now())
        self._request_restart()

    def _request_restart(self) -> None:
        if self._refusals.restart_reason:
            self._modem.status_changed.set()  # wakes the task that restarts the module

    async def _requeue(
        self,
        reply: ReplyRow,
        reason: str,
        *,
        marked_sending: bool,
        backoff: Backoff = RETRY_BACKOFF,
        hold: bool = True,
        hold_all: bool = False,
    ) -> float | None:
        """Queue a message again, with a backoff that grows with the attempts in the journal.

        It is given up after `MAX_ATTEMPTS`. Without `hold` the next session tries at once. `hold_all` makes
        all destinations wait: the module or the SIM is at fault, so the other messages would fail as well.
        """
        attempts = reply.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            await self.record_failed(reply, f"{reason}; given up after {attempts} attempts")
            return None
        await retry_until_committed(
            self._runtime, self._outbox_store.requeue, reply.id, reason, count_attempt=not marked_sending
        )
        delay = backoff.delay(attempts, self._runtime.random)
        until = _now() + (delay if hold else 0)
        self._destination_backoff.hold(reply.destination, until, reason)
        if hold_all:
            self._destination_backoff.hold_all(until, reason)
        self.log(
            EventKind.NOT_SENT, reply, f"{reason}; next attempt in {delay:.0f} s", severity=Severity.WARNING
        )
        return None if hold else delay

    async def _finish_sent(self, reply: ReplyRow, message_reference: int | None, text: str) -> None:
        self._refusals.on_accepted()
        await retry_until_committed(self._runtime, self._outbox_store.mark_sent, reply.id, message_reference)
        self.log(EventKind.SENT, reply, text)
        self._settle(reply)

    async def record_failed(self, reply: ReplyRow, reason: str) -> None:
        """Commit that a message is given up."""
        await retry_until_committed(
            self._runtime, self._outbox_store.finish, reply.id, ReplyState.FAILED, reason
        )
        self.log(EventKind.FAILED, reply, reason, severity=Severity.WARNING)
        self._settle(reply)

    def _settle(self, reply: ReplyRow) -> None:
        """Release the other messages to this destination, and report that a message is settled."""
        self._destination_backoff.release(reply.destination)
        self._on_reply_settled()

    def log(
        self,
        kind: EventKind,
        reply: ReplyRow,
        message: str,
        content: str | bytes | None = None,
        severity: Severity = Severity.INFO,
    ) -> None:
        """Log an event of a message."""
        self._runtime.emit(
            Event(
                kind,
                message,
                command_id=reply.command_id,
                sid=reply.sid,
                reply_id=reply.id,
                content=content,
                severity=severity,
            )
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
