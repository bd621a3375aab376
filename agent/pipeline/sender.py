"""From the journal to the module: one message after the other, in order, within what the operator pays for.

A message is `queued`, then `sending` from the moment its body may have left, then sent, refused or unknown.
What is unknown is left alone unless a setting says otherwise: a second copy costs money and may do harm.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from random import Random

import pdu
from agent.at.errors import CommandRefused, CommandTimedOut, ErrorClass, ModemLost
from agent.common.backoff import Backoff
from agent.common.events import Event, EventSink, Severity, mask_number
from agent.common.watchdog import DeadlineMonitor
from agent.journal.executor import (
    COMMIT_RECOVERED_EVENT,
    DbExecutor,
    commit_failed_event,
    retry_until_committed,
)
from agent.journal.journal import DAY_S
from agent.journal.models import ReplyRow, ReplyState
from agent.journal.outbox import OutboxStore as Queue
from agent.modem.modem import Modem
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, SendOutcome, Sent
from agent.pipeline.brownout import BrownoutGuard
from agent.pipeline.send_backoff import DestinationBackoff

SEND_DEADLINE_S = 400.0
"""Longest time one message may take before the watchdog worries: twice the slowest module's own limit."""
MAX_ATTEMPTS = 12
"""Tries of a message that is refused for a time; with the waits below they span some hours."""
RETRY_BACKOFF = Backoff(initial_s=5, max_s=3600)
NETWORK_FAILURE_BACKOFF = Backoff(initial_s=60, max_s=3600)
"""Where the network or the SIM has trouble: it passes in minutes, asking more often helps nobody."""
QUOTA_BACKOFF = Backoff(initial_s=3600, max_s=4 * 3600)
"""After the network said that the quota is used up; all tries together span more than a day."""
JOURNAL_RETRY_S = 60.0
"""A journal that cannot commit lets nothing be sent."""
NETWORK_CHECK_INTERVAL_S = 15.0
"""Where no network takes messages, none is tried; so often it is looked whether one does now."""
MAX_DELAY_AFTER_RESTART_S = 60.0
"""The longest that a message which failed before waits at the start of the agent."""
UNTIL_QUEUED_S = inf
"""As a pause: until something is queued."""


@dataclass(frozen=True, slots=True)
class SendConfig:
    """What the operator allows; keys of ``[service]``."""

    max_per_minute: int = 10
    max_per_day: int = 200
    status_reports: bool = False
    resend_unknown: bool = False
    max_answer_age_s: float = DAY_S


class Sender:
    """The sending task of one session."""

    def __init__(
        self,
        modem: Modem,
        db: DbExecutor,
        outbox_store: Queue,
        config: SendConfig,
        destination_backoff: DestinationBackoff,
        random: Random,
        emit: EventSink,
        deadlines: DeadlineMonitor,
        on_reply_settled: Callable[[], None],
        reply_queued: asyncio.Event,
        brownout_guard: BrownoutGuard,
    ) -> None:
        """`work` is set when something was queued; `settled` is called when a message has met its fate.

        `rest` knows whether messages take the module down.
        """
        self._modem = modem
        self._db = db
        self._outbox_store = outbox_store
        self._config = config
        self._destination_backoff = destination_backoff
        self._random = random
        self._emit = emit
        self._deadlines = deadlines
        self._on_reply_settled = on_reply_settled
        self._reply_queued = reply_queued
        self._brownout_guard = brownout_guard
        self._blocked_by = ""
        self._wakes_on_queued = False
        """Whether what is queued from now on may be sent although others wait."""
        self._unsent_reply_id: int | None = None
        """A message that was to be `sending`; it has not left, whether that was committed or not."""
        self._journal_failed = False

    @property
    def blocked_by(self) -> str:
        """What keeps messages back, for people; empty where nothing does."""
        return self._blocked_by or self._destination_backoff.describe(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Settle what the last session left, then send until this one ends."""
        try:
            for number in await retry_until_committed(
                self._db, self._emit, self._outbox_store.close_interrupted
            ):
                reason = "its session ended while it was being sent; left alone"
                self._emit(Event("unknown", reason, reply_id=number, severity=Severity.WARNING))
                self._on_reply_settled()
            while True:
                self._reply_queued.clear()
                pause = await self._send_next()
                if pause is not None:
                    await self._modem.wait(
                        self._reply_queued if self._wakes_on_queued else asyncio.Event(), pause
                    )
        except ModemLost:
            return

    async def _send_next(self) -> float | None:
        """Send the oldest message that need not wait; returns the pause before the next, None for none."""
        self._wakes_on_queued = False
        now = asyncio.get_running_loop().time()
        try:
            if self._unsent_reply_id is not None:
                await self._db.run(self._outbox_store.requeue, self._unsent_reply_id, "", count_attempt=False)
                self._unsent_reply_id = None
            await self._expire_old()
            if left := self._destination_backoff.all_remaining_s(now):
                return await self._limit_to_expiry(left)
            held = self._destination_backoff.held_destinations(now)
            reply = await self._db.run(self._outbox_store.next_queued, tuple(held))
            if reply is None:
                self._wakes_on_queued = True
                return await self._limit_to_expiry(min(held.values())) if held else UNTIL_QUEUED_S
            if reply.attempts and not self._destination_backoff.has_failed(reply.destination):
                # Sending may be what ended the agent: a start in front of it hurries nothing.
                pause = min(RETRY_BACKOFF.delay(reply.attempts, self._random), MAX_DELAY_AFTER_RESTART_S)
                self._destination_backoff.hold(reply.destination, now + pause, "tried before the last start")
                return None
            if (why_for := self._check_modem() or await self._db.run(self._check_rate_limits)) is not None:
                why, pause = why_for
                await self._log_held(reply, why)
                return await self._limit_to_expiry(pause)
        except sqlite3.Error as trouble:
            return self._handle_journal_failure(trouble)
        self._blocked_by = ""
        return await self._send(reply)

    async def _expire_old(self) -> None:
        """What has waited for too long is not sent: nobody expects it any more."""
        limit = self._config.max_answer_age_s
        for reply in await self._db.run(self._outbox_store.list_expired, limit, self._config.max_per_day):
            last = f"; {reply.reason}" if reply.reason else ""
            await self._finish_failed(reply, f"not sent within {limit / 3600:g} h, given up{last}")

    async def _limit_to_expiry(self, delay_s: float) -> float:
        """A pause that ends when the oldest message becomes too old."""
        age = await self._db.run(self._outbox_store.oldest_queued_age)
        left = inf if age is None else self._config.max_answer_age_s - age
        return min(delay_s, left + 1) if left > 0 else delay_s

    def _check_modem(self) -> tuple[str, float] | None:
        """Why and for how long the module or its network holds all back; no attempt is counted."""
        registration = self._modem.status.registration
        if not registration.can_send:
            return f"{registration}: messages wait for a network", NETWORK_CHECK_INTERVAL_S
        if pause := self._brownout_guard.remaining_s(asyncio.get_running_loop().time()):
            return "sending rests, since it took the module down", pause
        return None

    def _check_rate_limits(self) -> tuple[str, float] | None:
        """Why and for how long to hold all messages back. A cap holds, it never drops."""
        rules = self._config
        if self._outbox_store.count_sent_within(60) >= rules.max_per_minute:
            return f"the rate of {rules.max_per_minute} messages a minute is reached", 10
        if self._outbox_store.count_sent_within(DAY_S) >= rules.max_per_day:
            return f"the daily cap of {rules.max_per_day} messages a day is reached", 600
        return None

    async def _log_held(self, reply: ReplyRow, reason: str) -> None:
        """Said once, and noted at the message that would be next."""
        if self._blocked_by != reason:
            self._blocked_by = reason
            self._emit(Event("held", reason, severity=Severity.WARNING))
            await self._db.run(self._outbox_store.set_wait_reason, reply.id, f"held: {reason}")

    async def _send(self, reply: ReplyRow) -> float | None:
        begun = False

        async def body_leaves() -> None:
            nonlocal begun
            await self._db.run(self._outbox_store.mark_sending, reply.id)
            begun = True
            if self._journal_failed:
                self._journal_failed = False
                self._emit(COMMIT_RECOVERED_EVENT)
            self._brownout_guard.on_message_sending(asyncio.get_running_loop().time())
            self._log(
                "sending",
                reply,
                f"to {mask_number(reply.destination)}",
                reply.user_data.text or reply.user_data.data,
            )

        self._deadlines.expect_within("outbox", SEND_DEADLINE_S)
        try:
            outcome = await self._modem.send(self._build_submit(reply), body_leaves)
        except ModemLost:
            raise
        except sqlite3.Error as trouble:
            self._unsent_reply_id = reply.id
            return self._handle_journal_failure(trouble)
        except (CommandRefused, CommandTimedOut) as error:
            outcome = OutcomeUnknown(str(error)) if begun else NotSent(str(error))
        except (OSError, MemoryError) as error:  # of the host, not of the message
            reason = f"{error or 'out of memory'}"
            outcome = OutcomeUnknown(reason) if begun else NotSent(reason)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this message and no other)
            reason = f"{type(error).__name__}: {error}"
            return await (
                self._handle_unknown(reply, reason) if begun else self._finish_failed(reply, reason)
            )
        finally:
            self._deadlines.clear("outbox")
        return await self._record_outcome(reply, outcome, marked_sending=begun)

    async def _record_outcome(
        self, reply: ReplyRow, outcome: SendOutcome, *, marked_sending: bool
    ) -> float | None:
        """Note the outcome; `begun`: that it might leave has been committed."""
        match outcome:
            case Sent(message_reference):
                await retry_until_committed(
                    self._db, self._emit, self._outbox_store.mark_sent, reply.id, message_reference
                )
                named = "" if message_reference is None else f"message reference {message_reference}"
                self._log("sent", reply, named)
                self._finish_settled(reply)
                return None
            case OutcomeUnknown(reason):
                return await self._handle_unknown(reply, reason)
            case NotSent(reason):
                lost = bool(
                    self._modem.loss_reason
                )  # then the session ends, and the next one is made after a wait
                return await self._requeue(reply, reason, marked_sending=marked_sending, hold=not lost)
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
        """Once for each trouble; nothing is sent meanwhile."""
        if not self._journal_failed:
            self._journal_failed = True
            self._emit(commit_failed_event(error))
        return JOURNAL_RETRY_S

    async def _handle_unknown(self, reply: ReplyRow, reason: str) -> float | None:
        if self._config.resend_unknown and reply.attempts == 0:
            return await self._resend_unknown(reply, reason)
        await retry_until_committed(
            self._db, self._emit, self._outbox_store.finish, reply.id, ReplyState.UNKNOWN, reason
        )
        self._log("unknown", reply, f"{reason}; left alone", severity=Severity.WARNING)
        self._finish_settled(reply)
        return None

    async def _resend_unknown(self, reply: ReplyRow, reason: str) -> float | None:
        """It may have left, and the operator wants it sent all the same. The one that may be out counts."""
        await retry_until_committed(
            self._db,
            self._emit,
            self._outbox_store.requeue_possibly_sent,
            reply.id,
            f"outcome unknown: {reason}",
        )
        pause = RETRY_BACKOFF.delay(1, self._random)
        self._destination_backoff.hold(reply.destination, asyncio.get_running_loop().time() + pause, reason)
        self._log("unknown", reply, f"{reason}; once more in {pause:.0f} s", severity=Severity.WARNING)
        return None

    async def _handle_refusal(
        self, reply: ReplyRow, error: CommandRefused, *, marked_sending: bool
    ) -> float | None:
        match error.error_class:
            case ErrorClass.ALREADY_DELIVERED:
                await retry_until_committed(
                    self._db, self._emit, self._outbox_store.mark_sent, reply.id, None
                )
                self._log("sent", reply, str(error))
                self._finish_settled(reply)
                return None
            case ErrorClass.OUTCOME_UNKNOWN:
                return await self._handle_unknown(reply, str(error))
            case ErrorClass.PERMANENT:
                return await self._finish_failed(reply, str(error))
            case ErrorClass.BARRED:
                return await self._requeue(
                    reply, str(error), marked_sending=marked_sending, backoff=QUOTA_BACKOFF, hold_all=True
                )
            case ErrorClass.NOT_READY:
                return await self._requeue(
                    reply,
                    str(error),
                    marked_sending=marked_sending,
                    backoff=NETWORK_FAILURE_BACKOFF,
                    hold_all=True,
                )
            case ErrorClass.RETRY_LATER:
                return await self._requeue(
                    reply, str(error), marked_sending=marked_sending, backoff=NETWORK_FAILURE_BACKOFF
                )
            case _:
                return await self._requeue(reply, str(error), marked_sending=marked_sending)

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
        """Back into the queue, to be tried after a wait that grows with the attempts on disk.

        Without `hold` the next session tries at once. `all_wait`: the trouble is with the module or the SIM,
        so others would only meet it, too.
        """
        attempts = reply.attempts + 1
        if attempts >= MAX_ATTEMPTS:
            return await self._finish_failed(reply, f"{reason}; given up after {attempts} attempts")
        await retry_until_committed(
            self._db,
            self._emit,
            self._outbox_store.requeue,
            reply.id,
            reason,
            count_attempt=not marked_sending,
        )
        pause = backoff.delay(attempts, self._random)
        until = asyncio.get_running_loop().time() + (pause if hold else 0)
        self._destination_backoff.hold(reply.destination, until, reason)
        if hold_all:
            self._destination_backoff.hold_all(until, reason)
        self._log("not sent", reply, f"{reason}; again in {pause:.0f} s", severity=Severity.WARNING)
        return None if hold else pause

    async def _finish_failed(self, reply: ReplyRow, reason: str) -> float | None:
        await retry_until_committed(
            self._db, self._emit, self._outbox_store.finish, reply.id, ReplyState.FAILED, reason
        )
        self._log("failed", reply, reason, severity=Severity.WARNING)
        self._finish_settled(reply)
        return None

    def _finish_settled(self, reply: ReplyRow) -> None:
        self._destination_backoff.release(reply.destination)
        self._on_reply_settled()

    def _log(
        self,
        kind: str,
        reply: ReplyRow,
        message: str,
        content: str | bytes | None = None,
        severity: Severity = Severity.INFO,
    ) -> None:
        self._emit(
            Event(
                kind,
                message,
                severity=severity,
                command_id=reply.command_id,
                sid=reply.sid,
                reply_id=reply.id,
                content=content,
            )
        )
