"""Sends the messages that the journal has queued: one at a time, in order, within the operator's limits.

A message is `queued`, then `sending` from the moment its body may leave, then `sent`, `failed` or `unknown`.
An unknown outcome is not resent unless a setting allows it: a second copy costs money and may do harm.
`agent.modem.send_refusals` decides whether the message or the module is at fault if it is refused.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from math import inf

import pdu
from agent.at.errors import CommandRefused, CommandTimedOut, ErrorClass, ModemLost
from agent.common.backoff import Backoff
from agent.common.config import ServiceConfig
from agent.common.events import Event, EventKind, Severity, mask_number
from agent.common.runtime import Runtime
from agent.journal.executor import COMMIT_RECOVERED_EVENT, commit_failed_event, retry_until_committed
from agent.journal.models import ReplyRow, ReplyState
from agent.journal.outbox import OutboxStore
from agent.journal.timestamps import DAY_S
from agent.modem.modem import Modem
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, SendOutcome, Sent
from agent.pipeline.send_backoff import NETWORK_FAILURE_BACKOFF, RETRY_BACKOFF, refusal_backoff
from agent.pipeline.send_state import SendState

SEND_DEADLINE_S = 400.0
"""Longest time for one message: twice the timeout of the slowest module."""
MAX_ATTEMPTS = 12
"""Attempts for a message that may be at fault; with the backoffs below they span some hours."""
MAX_ATTEMPTS_WHILE_ALL_FAIL = 48
"""Attempts for a message while no message is accepted. A day of hourly attempts needs fewer, so only an agent that
is restarted again and again makes as many."""
LOST_RESULT_PAUSE_S = 5.0
"""Pause after a message whose result was lost: meanwhile the receiver reads what the module has announced."""
JOURNAL_RETRY_S = 60.0
"""Time between attempts while the journal cannot commit; nothing is sent meanwhile."""
NETWORK_CHECK_INTERVAL_S = 15.0
"""Time between checks of the registration while no network accepts messages."""
MINUTE_LIMIT_CHECK_INTERVAL_S = 10.0
"""Time between checks while the rate limit per minute is reached."""
DAY_LIMIT_CHECK_INTERVAL_S = 600.0
"""Time between checks while the limit per day is reached."""
MAX_DELAY_AFTER_RESTART_S = 60.0
"""Longest backoff, after a start of the agent, for a message that had failed before the start."""
UNTIL_QUEUED = inf
"""A delay that ends when a message is queued."""
TASK = "sender"
"""Name of the task for the watchdog."""


class Sender:
    """The sending task of one session."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        modem: Modem,
        outbox_store: OutboxStore,
        config: ServiceConfig,
        state: SendState,
        on_reply_settled: Callable[[], None],
    ) -> None:
        """Create the sender of a session with an initialised modem.

        `on_reply_settled` is called after each message that reached `sent`, `failed` or `unknown`.
        """
        self._modem = modem
        self._runtime = runtime
        self._db = runtime.db
        self._emit = runtime.emit
        self._outbox_store = outbox_store
        self._config = config
        self._destination_backoff = state.destination_backoff
        self._brownout_guard = state.brownout_guard
        self._refusals = state.refusals
        self._reply_queued = state.reply_queued
        self._on_reply_settled = on_reply_settled
        self._blocked_by = ""
        self._wakes_on_queued = False
        """True if a message that is queued from now on may be sent while others have to wait."""
        self._unsent_reply_id: int | None = None
        """A message whose change to `sending` failed. It has not left, whether that was committed or not."""
        self._journal_failed = False
        self._was_without_network = False
        """True if messages had to wait for a network when the last one was due."""
        self._awaiting_result: tuple[int, float] | None = None
        """The message whose body has left and whose result is missing, and since when."""

    @property
    def awaited_result(self) -> str:
        """The message that waits for its result, with the time, as readable text; empty if there is none."""
        if self._awaiting_result is None:
            return ""
        reply_id, since = self._awaiting_result
        waited_s, most_s = _now() - since, self._modem.send_timeout_s
        return f"reply {reply_id} waits for its result, {waited_s:.0f} s so far and {most_s:.0f} s at most"

    @property
    def blocked_by(self) -> str:
        """The reason why messages wait, as readable text; empty if none has to wait."""
        return self._blocked_by or self._destination_backoff.describe(_now())

    async def run(self) -> None:
        """Close the messages that the last session left in `sending`, then send until this session ends."""
        try:
            for reply_id in await retry_until_committed(self._runtime, self._outbox_store.close_interrupted):
                reason = "its session ended while it was being sent; it is not resent"
                self._emit(Event(EventKind.UNKNOWN, reason, reply_id=reply_id, severity=Severity.WARNING))
                self._on_reply_settled()
            if self._refusals.was_reset:
                self._destination_backoff.end_waits()
            while True:
                self._reply_queued.clear()
                delay = await self._send_next()
                if delay is not None:
                    wake_up = self._reply_queued if self._wakes_on_queued else asyncio.Event()
                    await self._modem.wait(wake_up, delay)
        except ModemLost:
            return

    async def _send_next(self) -> float | None:
        """Send the oldest message that may leave. Return the delay of the next attempt, None for no delay."""
        self._wakes_on_queued = False
        now = _now()
        try:
            if self._unsent_reply_id is not None:
                await self._db.run(self._outbox_store.requeue, self._unsent_reply_id, "", count_attempt=False)
                self._unsent_reply_id = None
            await self._expire_old()
            if delay := self._destination_backoff.all_remaining_s(now):
                return await self._limit_to_expiry(delay)
            held = self._destination_backoff.held_destinations(now)
            reply = await self._db.run(self._outbox_store.next_queued, tuple(held), MAX_ATTEMPTS)
            if reply is None:
                self._blocked_by = ""
                self._wakes_on_queued = True
                spread_s = await self._db.run(self._outbox_store.spread_left_s)
                delay = min([*held.values(), UNTIL_QUEUED if spread_s is None else spread_s])
                return await self._limit_to_expiry(delay) if delay < UNTIL_QUEUED else UNTIL_QUEUED
            if reply.attempts and not self._destination_backoff.has_failed(reply.destination):
                # Sending may have ended the agent, so a restart must not shorten the backoff.
                delay = min(
                    RETRY_BACKOFF.delay(reply.attempts, self._runtime.random), MAX_DELAY_AFTER_RESTART_S
                )
                self._destination_backoff.hold(reply.destination, now + delay, "tried before the last start")
                return None
            if self._was_without_network and self._modem.status.registration.can_send:
                self._was_without_network = False
                await self._db.run(self._outbox_store.restart_spread)
                return None
            blocked = self._check_modem() or await self._db.run(self._check_rate_limits)
            if blocked is not None:
                reason, delay = blocked
                await self._log_held(reply, reason)
                return await self._limit_to_expiry(delay)
        except sqlite3.Error as error:
            return self._handle_journal_failure(error)
        self._blocked_by = ""
        return await self._send(reply)

    async def _expire_old(self) -> None:
        """Give up the messages that have waited longer than `max_answer_age_s`."""
        limit_s = self._config.max_answer_age_s
        for reply in await self._db.run(self._outbox_store.list_expired, limit_s, self._config.max_per_day):
            last_reason = f"; {reply.reason}" if reply.reason else ""
            await self._finish_failed(reply, f"not sent within {limit_s / 3600:g} h, given up{last_reason}")

    async def _limit_to_expiry(self, delay_s: float) -> float:
        """Return the delay, or a shorter one that ends when the oldest message expires."""
        age_s = await self._db.run(self._outbox_store.oldest_queued_age)
        left_s = inf if age_s is None else self._config.max_answer_age_s - age_s
        return min(delay_s, left_s + 1) if left_s > 0 else delay_s

    def _check_modem(self) -> tuple[str, float] | None:
        """Return the reason and the seconds for which module or network block all messages, or None.

        No attempt is counted.
        """
        registration = self._modem.status.registration
        if not registration.can_send:
            self._was_without_network = True
            return f"{registration}: messages wait for a network", NETWORK_CHECK_INTERVAL_S
        if delay := self._brownout_guard.remaining_s(_now()):
            return "sending is paused because the module restarted while it transmitted", delay
        return None

    def _check_rate_limits(self) -> tuple[str, float] | None:
        """Return the reason and the seconds for which a limit blocks all messages, or None.

        A limit delays messages and drops none.
        """
        config = self._config
        if self._outbox_store.count_sent_within(60) >= config.max_per_minute:
            reason = f"the rate limit of {config.max_per_minute} messages a minute is reached"
            return reason, MINUTE_LIMIT_CHECK_INTERVAL_S
        if self._outbox_store.count_sent_within(DAY_S) >= config.max_per_day:
            reason = f"the daily limit of {config.max_per_day} messages is reached"
            return reason, DAY_LIMIT_CHECK_INTERVAL_S
        return None

    async def _log_held(self, reply: ReplyRow, reason: str) -> None:
        """Log a new reason once, and store it with the message that would be next."""
        if self._blocked_by != reason:
            self._blocked_by = reason
            self._emit(Event(EventKind.HELD, reason, severity=Severity.WARNING))
            await self._db.run(self._outbox_store.set_wait_reason, reply.id, f"waiting: {reason}")

    async def _send(self, reply: ReplyRow) -> float | None:
        marked_sending = False

        async def before_body() -> None:
            nonlocal marked_sending
            await self._db.run(self._outbox_store.mark_sending, reply.id)
            marked_sending = True
            if self._journal_failed:
                self._journal_failed = False
                self._emit(COMMIT_RECOVERED_EVENT)
            self._brownout_guard.on_message_sending(_now())
            content = reply.user_data.text or reply.user_data.data
            self._log(EventKind.SENDING, reply, f"to {mask_number(reply.destination)}", content)
            self._awaiting_result = reply.id, _now()

        self._runtime.deadlines.expect_within(TASK, SEND_DEADLINE_S)
        try:
            outcome = await self._modem.send(self._build_submit(reply), before_body)
        except ModemLost:
            raise
        except sqlite3.Error as error:
            self._unsent_reply_id = reply.id
            return self._handle_journal_failure(error)
        except (CommandRefused, CommandTimedOut, OSError, MemoryError) as error:  # not the message's fault
            reason = str(error) or "out of memory"
            outcome = OutcomeUnknown(reason) if marked_sending else NotSent(reason)
        except Exception as error:  # noqa: BLE001  (an error ends this message and no other)
            reason = f"{type(error).__name__}: {error}"
            if marked_sending:
                return await self._handle_unknown(reply, reason)
            await self._finish_failed(reply, reason)
            return None
        finally:
            self._awaiting_result = None
            self._runtime.deadlines.clear(TASK)
        return await self._record_outcome(reply, outcome, marked_sending=marked_sending)

    async def _record_outcome(
        self, reply: ReplyRow, outcome: SendOutcome, *, marked_sending: bool
    ) -> float | None:
        """Commit the outcome. `marked_sending` is True if the change to `sending` was committed."""
        match outcome:
            case Sent(message_reference):
                text = "" if message_reference is None else f"message reference {message_reference}"
                await self._finish_sent(reply, message_reference, text)
                return None
            case OutcomeUnknown(reason):
                return await self._handle_unknown(reply, reason)
            case NotSent(reason):
                # Without the modem the session ends; the next one tries at once, after its own backoff.
                hold = not self._modem.loss_reason
                return await self._requeue(reply, reason, marked_sending=marked_sending, hold=hold)
            case Refused(error):
                return await self._handle_refusal(reply, error, marked_sending=marked_sending)

    def _build_submit(self, reply: ReplyRow) -> pdu.Submit:
        return pdu.Submit(
            destination_address=pdu.Address.parse(reply.destination),
            user_data=reply.user_data,
            data_coding_scheme=reply.user_data.data_coding_scheme,
            status_report_request=self._config.status_reports,
        )

    def _handle_journal_failure(self, error: sqlite3.Error) -> float:
        """Log a new failure once. Return the delay until the next attempt; nothing is sent before it."""
        if not self._journal_failed:
            self._journal_failed = True
            self._emit(commit_failed_event(error))
        return JOURNAL_RETRY_S

    async def _handle_unknown(self, reply: ReplyRow, reason: str) -> float | None:
        self._suspect_module(reason)
        if self._config.resend_unknown and reply.attempts == 0:
            await self._resend_unknown(reply, reason)
            return LOST_RESULT_PAUSE_S
        await retry_until_committed(
            self._runtime, self._outbox_store.finish, reply.id, ReplyState.UNKNOWN, reason
        )
        self._log(EventKind.UNKNOWN, reply, f"{reason}; it is not resent", severity=Severity.WARNING)
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
        self._log(EventKind.UNKNOWN, reply, f"{reason}; resent in {delay:.0f} s", severity=Severity.WARNING)

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
                return await self._handle_unknown(reply, reason)
            case ErrorClass.BARRED:
                pass  # by the network, on purpose
            case ErrorClass.PERMANENT:
                if not await self._is_module_suspected(reply, error):
                    await self._finish_failed(reply, reason)
                    return None
                reason = f"{reason}; messages were accepted before, so the module is suspected"
                hold_all = True
                if self._refusals.restart_reason:
                    backoff = NETWORK_FAILURE_BACKOFF
            case _:
                self._suspect_module(reason)
        self._refusals.add_message(reply.id)
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

        It is given up after `MAX_ATTEMPTS`, unless it was refused and nothing was accepted since: then it waits
        behind the others, which may show that it is at fault, until it is too old. Without `hold` the next session tries at once. `hold_all` makes all destinations wait: the module or
        the SIM is at fault, so the other messages would fail as well.
        """
        attempts = reply.attempts + 1
        most = MAX_ATTEMPTS_WHILE_ALL_FAIL if self._refusals.is_unexplained(reply.id) else MAX_ATTEMPTS
        if attempts >= most:
            await self._finish_failed(reply, f"{reason}; given up after {attempts} attempts")
            return None
        await retry_until_committed(
            self._runtime, self._outbox_store.requeue, reply.id, reason, count_attempt=not marked_sending
        )
        delay = backoff.delay(attempts, self._runtime.random)
        until = _now() + (delay if hold else 0)
        self._destination_backoff.hold(reply.destination, until, reason)
        if hold_all:
            self._destination_backoff.hold_all(until, reason)
        self._log(
            EventKind.NOT_SENT, reply, f"{reason}; next attempt in {delay:.0f} s", severity=Severity.WARNING
        )
        return None if hold else delay

    async def _finish_sent(self, reply: ReplyRow, message_reference: int | None, text: str) -> None:
        self._refusals.on_accepted()
        await retry_until_committed(self._runtime, self._outbox_store.mark_sent, reply.id, message_reference)
        self._log(EventKind.SENT, reply, text)
        self._settle(reply)

    async def _finish_failed(self, reply: ReplyRow, reason: str) -> None:
        await retry_until_committed(
            self._runtime, self._outbox_store.finish, reply.id, ReplyState.FAILED, reason
        )
        self._log(EventKind.FAILED, reply, reason, severity=Severity.WARNING)
        self._settle(reply)

    def _settle(self, reply: ReplyRow) -> None:
        """Release the other messages to this destination, and report that a message is settled."""
        self._destination_backoff.release(reply.destination)
        self._refusals.remove_message(reply.id)
        self._on_reply_settled()

    def _log(
        self,
        kind: EventKind,
        reply: ReplyRow,
        message: str,
        content: str | bytes | None = None,
        severity: Severity = Severity.INFO,
    ) -> None:
        self._emit(
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
