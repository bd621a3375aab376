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
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.common.config import ServiceConfig
from agent.common.events import Event, EventKind, Severity, mask_number
from agent.common.runtime import Runtime
from agent.journal.executor import COMMIT_RECOVERED_EVENT, commit_failed_event, retry_until_committed
from agent.journal.models import OutgoingMessage, ReplyRow
from agent.journal.outbox import OutboxStore
from agent.journal.timestamps import DAY_S
from agent.modem.modem import Modem
from agent.modem.sending import NotSent, OutcomeUnknown, SendOutcome
from agent.pipeline.outcome_recorder import OutcomeRecorder
from agent.pipeline.reply_handover import Handover, HandoverEnded
from agent.pipeline.send_backoff import RETRY_BACKOFF
from agent.pipeline.send_state import SendState

SEND_DEADLINE_S = 400.0
"""Longest time for one message: twice the timeout of the slowest module."""
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
        self._handover = state.handover
        self._on_reply_settled = on_reply_settled
        self._outcomes = OutcomeRecorder(
            runtime=runtime,
            modem=modem,
            outbox_store=outbox_store,
            state=state,
            resend_unknown=config.resend_unknown,
            on_reply_settled=on_reply_settled,
        )
        self._blocked_by = ""
        self._wakes_on_queued = False
        """True if a message that is queued from now on may be sent while others have to wait."""
        self._unsent_reply_id: int | None = None
        """A message whose change to `sending` failed. It has not left, whether that was committed or not."""
        self._journal_failed = False
        self._prompts_in_time = True
        """False if a prompt of this session came too late for a reply that was handed over."""
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
                    await self._wait(delay)
        except ModemLost:
            return

    async def _wait(self, delay_s: float) -> None:
        """Wait for the next attempt. While no message waits, a reply may be handed over. Raises ModemLost."""
        wake_up = self._reply_queued if self._wakes_on_queued else asyncio.Event()
        if delay_s == UNTIL_QUEUED:
            self._handover.open(self._accepts_handover, lambda: self._check_rate_limits() is None)
        try:
            await self._modem.wait(wake_up, delay_s)
        except ModemLost:
            if (handover := self._handover.close()) is not None:
                await self._send_handed_over(handover)  # it is known that it has not left
            raise
        finally:
            handover = self._handover.close()
        if handover is not None and (pause_s := await self._send_handed_over(handover)) is not None:
            await self._modem.wait(asyncio.Event(), pause_s)

    def _accepts_handover(self) -> bool:
        """Return True if the module can be asked for the prompt of a reply now."""
        return (
            not self._journal_failed
            and not self._config.reply_spread_s  # each reply waits in the outbox
            and not self._was_without_network
            and self._unsent_reply_id is None
            and self._prompts_in_time
            and self._modem.prompts_at_once
            and self._check_modem() is None
        )

    async def _send_next(self) -> float | None:
        """Send the oldest message that may leave. Return the delay of the next attempt, None for no delay."""
        self._wakes_on_queued = False
        now = _now()
        try:
            if self._unsent_reply_id is not None:
                await self._db.run(self._outbox_store.requeue, self._unsent_reply_id, "", count_attempt=False)
                self._unsent_reply_id = None
            if delay := self._destination_backoff.all_remaining_s(now):
                await self._expire_old(await self._db.run(self._list_expired))
                return await self._limit_to_expiry(delay)
            held = self._destination_backoff.held_destinations(now)
            expired, reply, spread_s, limited = await self._db.run(self._find_next, tuple(held))
            if expired:
                await self._expire_old(expired)
                return None
            if reply is None:
                self._blocked_by = ""
                self._wakes_on_queued = True
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
            blocked = self._check_modem() or limited
            if blocked is not None:
                reason, delay = blocked
                await self._log_held(reply, reason)
                return await self._limit_to_expiry(delay)
        except sqlite3.Error as error:
            return self._handle_journal_failure(error)
        self._blocked_by = ""
        return await self._send(reply)

    def _find_next(
        self, held: tuple[str, ...]
    ) -> tuple[list[ReplyRow], ReplyRow | None, float | None, tuple[str, float] | None]:
        """Return the expired messages, the next message, and why a limit blocks it, in one call.

        Without a next message, the third value is the seconds until another has waited for its spread.
        """
        reply = self._outbox_store.next_queued(held)
        if reply is None:
            return self._list_expired(), None, self._outbox_store.spread_left_s(), None
        return self._list_expired(), reply, None, self._check_rate_limits()

    def _list_expired(self) -> list[ReplyRow]:
        return list(self._outbox_store.list_expired(self._config.max_answer_age_s, self._config.max_per_day))

    async def _expire_old(self, expired: list[ReplyRow]) -> None:
        """Give up messages that have waited longer than `max_answer_age_s`."""
        for reply in expired:
            last_reason = f"; {reply.reason}" if reply.reason else ""
            await self._outcomes.record_failed(
                reply, f"not sent within {self._config.max_answer_age_s / 3600:g} h, given up{last_reason}"
            )

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

    async def _send_handed_over(self, handover: Handover) -> float | None:
        """Send a reply while its Command ends. Return the delay of the next attempt, None for no delay.

        Raises ModemLost.
        """
        reply: ReplyRow | None = None
        outcome: SendOutcome | None = None

        async def before_body() -> None:
            nonlocal reply
            handover.on_prompt()
            reply = await handover.committed() or await self._mark_queued(handover.command_id)
            if reply is None:
                raise HandoverEnded
            self._on_sending(reply)

        self._runtime.deadlines.expect_within(TASK, SEND_DEADLINE_S)
        try:
            outcome = await self._modem.send(self._build_submit(handover.message), before_body)
        except ModemLost:
            raise
        except Exception as error:  # noqa: BLE001  (an error ends this message and no other)
            if reply is not None:
                outcome = OutcomeUnknown(str(error) or type(error).__name__)
        finally:
            handover.abandon()
            self._awaiting_result = None
            self._runtime.deadlines.clear(TASK)
        if reply is not None and outcome is not None:
            return await self._outcomes.record(reply, outcome, marked_sending=True)
        return await self._record_without_prompt(handover, outcome)

    async def _mark_queued(self, command_id: int) -> ReplyRow | None:
        """Mark a reply `sending` that was queued because its prompt was late; None if it may not leave."""
        reply = await self._db.run(self._find_sendable, command_id)
        if reply is None:
            return None
        try:
            await self._db.run(self._outbox_store.mark_sending, reply.id)
        except sqlite3.Error:
            self._unsent_reply_id = reply.id
            raise
        return reply

    def _find_sendable(self, command_id: int) -> ReplyRow | None:
        reply = self._outbox_store.next_queued()
        is_next = reply is not None and reply.command_id == command_id
        return reply if is_next and self._check_rate_limits() is None else None

    async def _record_without_prompt(self, handover: Handover, outcome: SendOutcome | None) -> float | None:
        """Record an attempt whose reply is in the outbox. Without an outcome it is tried again from there."""
        await handover.committed()
        self._prompts_in_time = not handover.was_late
        if outcome is None:
            return None
        try:
            queued = await self._db.run(self._outbox_store.next_queued)
        except sqlite3.Error as error:
            return self._handle_journal_failure(error)
        if queued is None or queued.command_id != handover.command_id:
            return None
        return await self._outcomes.record(queued, outcome, marked_sending=False)

    def _on_sending(self, reply: ReplyRow) -> None:
        """Record that the body of a message is about to leave."""
        self._brownout_guard.on_message_sending(_now())
        content = reply.user_data.text or reply.user_data.data
        self._outcomes.log(EventKind.SENDING, reply, f"to {mask_number(reply.destination)}", content)
        self._awaiting_result = reply.id, _now()

    async def _send(self, reply: ReplyRow) -> float | None:
        marked_sending = False

        async def before_body() -> None:
            nonlocal marked_sending
            await self._db.run(self._outbox_store.mark_sending, reply.id)
            marked_sending = True
            if self._journal_failed:
                self._journal_failed = False
                self._emit(COMMIT_RECOVERED_EVENT)
            self._on_sending(reply)

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
                return await self._outcomes.record_unknown(reply, reason)
            await self._outcomes.record_failed(reply, reason)
            return None
        finally:
            self._awaiting_result = None
            self._runtime.deadlines.clear(TASK)
        return await self._outcomes.record(reply, outcome, marked_sending=marked_sending)

    def _build_submit(self, reply: ReplyRow | OutgoingMessage) -> pdu.Submit:
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


def _now() -> float:
    return asyncio.get_running_loop().time()
