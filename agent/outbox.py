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
from agent.at.error import CommandRefused, CommandTimedOut, ErrorClass, ModemLost
from agent.health import Health
from agent.journal.journal import DAY_S
from agent.journal.outbox import Outbox as Queue
from agent.journal.rows import ReplyRow
from agent.journal.skin import COMMITS_AGAIN, Skin, cannot_commit, insist
from agent.modem.modem import Modem
from agent.modem.sending import NotSent, Outcome, Refused, Sent, Unknown
from agent.recovery import SendPause
from agent.retry import Waits
from agent.story import Step, Tell, Weight, masked
from agent.waiting import Waiting

SEND_S = 400.0
"""Longest time one message may take before the watchdog worries: twice the slowest module's own limit."""
ATTEMPTS = 12
"""Tries of a message that is refused for a time; with the waits below they span some hours."""
WAITS = Waits(first_s=5, cap_s=3600)
LONG_WAITS = Waits(first_s=60, cap_s=3600)
"""Where the network or the SIM has trouble: it passes in minutes, asking more often helps nobody."""
QUOTA_WAITS = Waits(first_s=3600, cap_s=4 * 3600)
"""After the network said that the quota is used up; all tries together span more than a day."""
DISK_S = 60.0
"""A journal that cannot commit lets nothing be sent."""
NETWORK_S = 15.0
"""Where no network takes messages, none is tried; so often it is looked whether one does now."""
AT_START_S = 60.0
"""The longest that a message which failed before waits at the start of the agent."""
IDLE = inf
"""As a pause: until something is queued."""


@dataclass(frozen=True, slots=True)
class SendingRules:
    """What the operator allows; keys of ``[service]``."""

    max_per_minute: int = 10
    max_per_day: int = 200
    status_reports: bool = False
    resend_unknown: bool = False
    max_answer_age_s: float = DAY_S


class Outbox:
    """The sending task of one session."""

    def __init__(
        self,
        modem: Modem,
        skin: Skin,
        queue: Queue,
        rules: SendingRules,
        waiting: Waiting,
        random: Random,
        tell: Tell,
        health: Health,
        settled: Callable[[], None],
        work: asyncio.Event,
        rest: SendPause,
    ) -> None:
        """`work` is set when something was queued; `settled` is called when a message has met its fate.

        `rest` knows whether messages take the module down.
        """
        self._modem = modem
        self._skin = skin
        self._queue = queue
        self._rules = rules
        self._waiting = waiting
        self._random = random
        self._tell = tell
        self._health = health
        self._settled = settled
        self._work = work
        self._rest = rest
        self._held = ""
        self._open = False
        """Whether what is queued from now on may be sent although others wait."""
        self._not_begun: int | None = None
        """A message that was to be `sending`; it has not left, whether that was committed or not."""
        self._journal_failed = False

    @property
    def held(self) -> str:
        """What keeps messages back, for people; empty where nothing does."""
        return self._held or self._waiting.why(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Settle what the last session left, then send until this one ends."""
        try:
            for number in await insist(self._skin, self._tell, self._queue.interrupted):
                reason = "its session ended while it was being sent; left alone"
                self._tell(Step("unknown", reason, reply=number, weight=Weight.WARNING))
                self._settled()
            while True:
                self._work.clear()
                pause = await self._next()
                if pause is not None:
                    await self._modem.wait(self._work if self._open else asyncio.Event(), pause)
        except ModemLost:
            return

    async def _next(self) -> float | None:
        """Send the oldest message that need not wait; returns the pause before the next, None for none."""
        self._open = False
        now = asyncio.get_running_loop().time()
        try:
            if self._not_begun is not None:
                await self._skin.run(self._queue.back, self._not_begun, "", attempted=False)
                self._not_begun = None
            await self._give_up()
            if left := self._waiting.all_left(now):
                return await self._until_old(left)
            held = self._waiting.held(now)
            reply = await self._skin.run(self._queue.next, tuple(held))
            if reply is None:
                self._open = True
                return await self._until_old(min(held.values())) if held else IDLE
            if reply.attempts and not self._waiting.knows(reply.destination):
                # Sending may be what ended the agent: a start in front of it hurries nothing.
                pause = min(WAITS.after(reply.attempts, self._random), AT_START_S)
                self._waiting.hold(reply.destination, now + pause, "tried before the last start")
                return None
            if (why_for := self._obstacle() or await self._skin.run(self._limit)) is not None:
                why, pause = why_for
                await self._hold(reply, why)
                return await self._until_old(pause)
        except sqlite3.Error as trouble:
            return self._journal_fails(trouble)
        self._held = ""
        return await self._send(reply)

    async def _give_up(self) -> None:
        """What has waited for too long is not sent: nobody expects it any more."""
        limit = self._rules.max_answer_age_s
        for reply in await self._skin.run(self._queue.too_old, limit, self._rules.max_per_day):
            last = f"; {reply.reason}" if reply.reason else ""
            await self._fail(reply, f"not sent within {limit / 3600:g} h, given up{last}")

    async def _until_old(self, pause: float) -> float:
        """A pause that ends when the oldest message becomes too old."""
        age = await self._skin.run(self._queue.oldest_age)
        left = inf if age is None else self._rules.max_answer_age_s - age
        return min(pause, left + 1) if left > 0 else pause

    def _obstacle(self) -> tuple[str, float] | None:
        """Why and for how long the module or its network holds all back; no attempt is counted."""
        registration = self._modem.condition.registration
        if not registration.can_send:
            return f"{registration}: messages wait for a network", NETWORK_S
        if pause := self._rest.remaining(asyncio.get_running_loop().time()):
            return "sending rests, since it took the module down", pause
        return None

    def _limit(self) -> tuple[str, float] | None:
        """Why and for how long to hold all messages back. A cap holds, it never drops."""
        rules = self._rules
        if self._queue.sent_within(60) >= rules.max_per_minute:
            return f"the rate of {rules.max_per_minute} messages a minute is reached", 10
        if self._queue.sent_within(DAY_S) >= rules.max_per_day:
            return f"the daily cap of {rules.max_per_day} messages a day is reached", 600
        return None

    async def _hold(self, reply: ReplyRow, why: str) -> None:
        """Said once, and noted at the message that would be next."""
        if self._held != why:
            self._held = why
            self._tell(Step("held", why, weight=Weight.WARNING))
            await self._skin.run(self._queue.note, reply.id, f"held: {why}")

    async def _send(self, reply: ReplyRow) -> float | None:
        begun = False

        async def body_leaves() -> None:
            nonlocal begun
            await self._skin.run(self._queue.sending, reply.id)
            begun = True
            if self._journal_failed:
                self._journal_failed = False
                self._tell(COMMITS_AGAIN)
            self._rest.left(asyncio.get_running_loop().time())
            self._say(
                "sending",
                reply,
                f"to {masked(reply.destination)}",
                reply.user_data.text or reply.user_data.data,
            )

        self._health.within("outbox", SEND_S)
        try:
            outcome = await self._modem.send(self._submit(reply), body_leaves)
        except ModemLost:
            raise
        except sqlite3.Error as trouble:
            self._not_begun = reply.id
            return self._journal_fails(trouble)
        except (CommandRefused, CommandTimedOut) as error:
            outcome = Unknown(str(error)) if begun else NotSent(str(error))
        except (OSError, MemoryError) as error:  # of the host, not of the message
            reason = f"{error or 'out of memory'}"
            outcome = Unknown(reason) if begun else NotSent(reason)
        except Exception as error:  # noqa: BLE001  (whatever it was, it ends this message and no other)
            reason = f"{type(error).__name__}: {error}"
            return await (self._unknown(reply, reason) if begun else self._fail(reply, reason))
        finally:
            self._health.ended("outbox")
        return await self._settle(reply, outcome, begun=begun)

    async def _settle(self, reply: ReplyRow, outcome: Outcome, *, begun: bool) -> float | None:
        """Note the outcome; `begun`: that it might leave has been committed."""
        match outcome:
            case Sent(message_reference):
                await insist(self._skin, self._tell, self._queue.sent, reply.id, message_reference)
                named = "" if message_reference is None else f"message reference {message_reference}"
                self._say("sent", reply, named)
                self._met_its_fate(reply)
                return None
            case Unknown(reason):
                return await self._unknown(reply, reason)
            case NotSent(reason):
                lost = bool(self._modem.loss)  # then the session ends, and the next one is made after a wait
                return await self._again(reply, reason, begun=begun, hold=not lost)
            case Refused(error):
                return await self._refused(reply, error, begun=begun)

    def _submit(self, reply: ReplyRow) -> pdu.Submit:
        return pdu.Submit(
            destination_address=pdu.Address.parse(reply.destination),
            user_data=reply.user_data,
            data_coding_scheme=reply.user_data.data_coding_scheme,
            status_report_request=self._rules.status_reports,
        )

    def _journal_fails(self, trouble: sqlite3.Error) -> float:
        """Once for each trouble; nothing is sent meanwhile."""
        if not self._journal_failed:
            self._journal_failed = True
            self._tell(cannot_commit(trouble))
        return DISK_S

    async def _unknown(self, reply: ReplyRow, reason: str) -> float | None:
        if self._rules.resend_unknown and reply.attempts == 0:
            return await self._once_more(reply, reason)
        await insist(self._skin, self._tell, self._queue.end, reply.id, "unknown", reason)
        self._say("unknown", reply, f"{reason}; left alone", weight=Weight.WARNING)
        self._met_its_fate(reply)
        return None

    async def _once_more(self, reply: ReplyRow, reason: str) -> float | None:
        """It may have left, and the operator wants it sent all the same. The one that may be out counts."""
        await insist(self._skin, self._tell, self._queue.copy, reply.id, f"outcome unknown: {reason}")
        pause = WAITS.after(1, self._random)
        self._waiting.hold(reply.destination, asyncio.get_running_loop().time() + pause, reason)
        self._say("unknown", reply, f"{reason}; once more in {pause:.0f} s", weight=Weight.WARNING)
        return None

    async def _refused(self, reply: ReplyRow, error: CommandRefused, *, begun: bool) -> float | None:
        match error.error_class:
            case ErrorClass.AS_SENT:
                await insist(self._skin, self._tell, self._queue.sent, reply.id, None)
                self._say("sent", reply, str(error))
                self._met_its_fate(reply)
                return None
            case ErrorClass.UNKNOWN:
                return await self._unknown(reply, str(error))
            case ErrorClass.PERMANENT:
                return await self._fail(reply, str(error))
            case ErrorClass.QUOTA:
                return await self._again(reply, str(error), begun=begun, waits=QUOTA_WAITS, all_wait=True)
            case ErrorClass.NOT_READY:
                return await self._again(reply, str(error), begun=begun, waits=LONG_WAITS, all_wait=True)
            case ErrorClass.LATER:
                return await self._again(reply, str(error), begun=begun, waits=LONG_WAITS)
            case _:
                return await self._again(reply, str(error), begun=begun)

    async def _again(
        self,
        reply: ReplyRow,
        reason: str,
        *,
        begun: bool,
        waits: Waits = WAITS,
        hold: bool = True,
        all_wait: bool = False,
    ) -> float | None:
        """Back into the queue, to be tried after a wait that grows with the attempts on disk.

        Without `hold` the next session tries at once. `all_wait`: the trouble is with the module or the SIM,
        so others would only meet it, too.
        """
        attempts = reply.attempts + 1
        if attempts >= ATTEMPTS:
            return await self._fail(reply, f"{reason}; given up after {attempts} attempts")
        await insist(self._skin, self._tell, self._queue.back, reply.id, reason, attempted=not begun)
        pause = waits.after(attempts, self._random)
        until = asyncio.get_running_loop().time() + (pause if hold else 0)
        self._waiting.hold(reply.destination, until, reason)
        if all_wait:
            self._waiting.hold_all(until, reason)
        self._say("not sent", reply, f"{reason}; again in {pause:.0f} s", weight=Weight.WARNING)
        return None if hold else pause

    async def _fail(self, reply: ReplyRow, reason: str) -> float | None:
        await insist(self._skin, self._tell, self._queue.end, reply.id, "failed", reason)
        self._say("failed", reply, reason, weight=Weight.WARNING)
        self._met_its_fate(reply)
        return None

    def _met_its_fate(self, reply: ReplyRow) -> None:
        self._waiting.done(reply.destination)
        self._settled()

    def _say(
        self,
        what: str,
        reply: ReplyRow,
        detail: str,
        content: str | bytes | None = None,
        weight: Weight = Weight.NORMAL,
    ) -> None:
        self._tell(
            Step(what, detail, reply.command, reply.sid, reply=reply.id, content=content, weight=weight)
        )
