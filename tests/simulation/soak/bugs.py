"""Bugs that the soak must catch: each changes one thing of the product, in this process only.

`found_by` is a seed that finds it; the same seed without the bug finds nothing. What `change` says stands in
the table of `tests/README.md`.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

from agent.app import Agent
from agent.at import channel
from agent.at.error import CommandRefused, CommandTimedOut
from agent.dispatcher import Dispatcher
from agent.intake import Intake
from agent.journal import doubles, rescue
from agent.journal.actions import Actions
from agent.journal.doubles import Doubles
from agent.journal.forgetting import Forgetting
from agent.journal.inbox import Inbox
from agent.journal.outbox import Outbox as Queue
from agent.journal.parts import Parts
from agent.journal.resets import Resets, Used
from agent.journal.rows import Kept, Outcome
from agent.journal.skin import insist
from agent.modem.news import Direct
from agent.modem.storage import Storage
from agent.outbox import Outbox
from agent.session import Session
from soak import seed

DAYS = 0.4
"""Length of the runs that find them."""


@dataclass(frozen=True)
class Bug:
    """What is changed, how, and which seed finds it."""

    change: str
    patch: Callable
    found_by: int = 0


@contextlib.contextmanager
def planted(name):
    """The product with that bug; with None as it is."""
    if name is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        for owner, attribute, value in BUGS[name].patch():
            stack.enter_context(mock.patch.object(owner, attribute, value))
        yield


def run(number, days, name=None, *, trace=False):
    """One seed with that bug; here, where other processes find it by its name."""
    with planted(name):
        return seed.run(number, days=days, trace=trace)


def caught(name, number=None):
    """What its seed finds with the bug."""
    with planted(name):
        return seed.run(BUGS[name].found_by if number is None else number, days=DAYS).findings


def _delete_before_commit():
    async def take(self, message, *, run=True):
        freed = message.slot is not None and await self._delete(message.slot, message.raw)
        self._say(await self._keep(message, run=run))
        return freed

    return ((Intake, "_take", take),)


def _slot_only():
    return ((Doubles, "remember", lambda *_: None),)


def _sid_alone():
    return ((doubles, "_digest", lambda body: b"the same"),)


def _delete_again():
    async def delete(self, slot, raw):
        for _ in range(3):
            try:
                await self._modem.delete(slot)
            except CommandRefused:
                return False
            except CommandTimedOut:
                continue
            self._inbox.free((slot.store, slot.index))
            return True
        return False

    return ((Intake, "_delete", delete),)


def _retry_unknown():
    async def unknown(self, reply, reason):
        return await self._again(reply, reason, begun=True)

    return ((Outbox, "_unknown", unknown),)


def _sending_early():
    send = Outbox._send

    async def early(self, reply):
        await self._skin.run(self._queue.sending, reply.id)
        return await send(self, reply)

    return ((Outbox, "_send", early),)


def _sending_late():
    def sending(self, reply):
        """Nothing yet."""

    sent = Queue.sent

    def later(self, reply, message_reference):
        self._execute("UPDATE replies SET attempts = attempts + 1 WHERE id = ?", (reply,))
        sent(self, reply, message_reference)

    return ((Queue, "sending", sending), (Queue, "sent", later))


def _timer_feeds():
    async def feed(self, interval_s):
        import asyncio  # noqa: PLC0415  (what the real one has at hand)

        while True:
            self._seams.notify("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    return ((Agent, "_feed", feed),)


def _wall_alone():
    before = Forgetting._before

    def by_wall(self, seconds):
        return before(self, seconds)[0], math.inf

    return ((Forgetting, "_before", by_wall),)


def _run_again():
    async def settle(self):
        for row in await insist(self._skin, self._tell, self._inbox.interrupted):
            await insist(self._skin, self._tell, self._inbox.again, row.id, "interrupted")
        await self._acting.settle()

    return ((Dispatcher, "_settle", settle),)


def _parts_in_memory():
    def part(self, part, now):
        self.__dict__.setdefault("memory", {}).setdefault(part.key, {})[part.number] = part
        return Kept(Outcome.PART)

    def parts(self, key):
        return self.__dict__.get("memory", {}).get(key, {})

    return ((Parts, "keep", part), (Parts, "parts", parts))


def _acknowledge_early():
    follow = Intake._follow

    async def done():
        """It was acknowledged before."""

    async def early(self):
        for number, news in enumerate(self._news):
            if isinstance(news, Direct):
                await news.acknowledge()
                self._news[number] = replace(news, acknowledge=done)
        await follow(self)

    return ((Intake, "_follow", early),)


def _budget_in_memory():
    reserve = Resets.reserve

    def counted(self, *arguments, **named):
        refusal = reserve(self, *arguments, **named)
        self.__dict__["mine"] = self.__dict__.get("mine", 0) + (not refusal)
        return refusal

    return (
        (Resets, "reserve", counted),
        (Resets, "used", lambda self: Used(self.__dict__.get("mine", 0), self.__dict__.get("mine", 0))),
    )


def _late_answers():
    async def in_step(line, past, within_s=0.0):
        line.engine.trust()
        return line.loss is None

    return ((channel, "resynchronise", in_step),)


def _bulk():
    delete = Storage.delete

    async def bulk(self, slot):
        await delete(self, slot)
        async with self._channel.turn() as turn:
            for other in range(1, 6):
                with contextlib.suppress(CommandRefused):
                    await self._exchange(turn, channel.AtCommand(f"AT+CMGD={other}", 30.0))

    return ((Storage, "delete", bulk),)


def _never_acting():
    def begun(self):
        self._journal.commit(
            None, lambda _: self._execute("UPDATE actions SET state = 'waiting' WHERE state = 'acting'")
        )
        return []

    return ((Actions, "interrupted", begun),)


def _attempts_forgotten():
    def sending(self, reply):
        self._journal.commit(
            None, lambda _: self._execute("UPDATE replies SET state = 'sending' WHERE id = ?", (reply,))
        )

    back = Queue.back

    def uncounted(self, reply, reason, *, attempted):
        back(self, reply, reason, attempted=False)

    return ((Queue, "sending", sending), (Queue, "back", uncounted))


def _no_sweep():
    run = Intake.run

    async def listening(self):
        self._sweep_at = math.inf
        await run(self)

    return ((Intake, "run", listening),)


def _reply_apart():
    finish = Inbox.finish

    def apart(self, command, state, reason=None, replies=(), action=None):
        finish(self, command, state, reason, (), action)

    done = Dispatcher._done

    async def queued_later(self, row, entry, content, then):
        await done(self, row, entry, content, then)
        if content and row.answerable:
            replies = self._compose(row, content, entry.reply_to)
            await self._skin.run(self._queue.queue, replies)
            self._queued()

    return ((Inbox, "finish", apart), (Dispatcher, "_done", queued_later))


def _number_within():
    from agent import intake  # noqa: PLC0415  (its name is that of the class's module)

    receive = intake.receive

    def within(message, raw, service, memory):
        address = getattr(message, "originating_address", None)
        if address is not None and service.number in address.number:
            service = replace(service, number=address.number)
        return receive(message, raw, service, memory)

    return ((intake, "receive", within),)


def _silent_end():
    async def task(self, work):
        with contextlib.suppress(Exception):
            await work

    async def fails(self, slot, raw):
        await self._modem.delete(slot)  # what it raises ends the task
        self._inbox.free((slot.store, slot.index))
        return True

    async def run(self):
        while True:
            await self._look()

    return ((Session, "_task", task), (Intake, "_delete", fails), (Intake, "run", run))


def _nothing_rescued():
    return ((rescue, "_copy", lambda *_: None),)


def _no_horizon():
    settle = rescue._settle

    def forgets(target, *arguments):
        settle(target, *arguments)
        target.execute("UPDATE clock SET horizon = NULL")

    return ((rescue, "_settle", forgets),)


BUGS = {
    "delete-before-commit": Bug("a message is deleted, then committed", _delete_before_commit),
    "dedup-by-slot": Bug("only store and index tell a double", _slot_only, 1),
    "dedup-by-sid-alone": Bug("the body is not compared", _sid_alone, 3),
    "delete-without-reading": Bug("a delete without result is repeated unread", _delete_again, 18),
    "retry-after-unknown": Bug("what may have been sent is sent again", _retry_unknown, 35),
    "sending-before-prompt": Bug("`sending` is committed before AT+CMGS", _sending_early, 23),
    "sending-after-body": Bug("`sending` is not committed before the body", _sending_late),
    "watchdog-by-timer": Bug("WATCHDOG=1 whatever the tasks do", _timer_feeds, 3),
    "prune-by-wall-clock": Bug("the running time does not count for forgetting", _wall_alone, 52),
    "run-again": Bug("what was interrupted runs again", _run_again),
    "parts-in-memory": Bug("parts are not committed", _parts_in_memory, 3),
    "acknowledge-before-commit": Bug("+CNMA, then the commit", _acknowledge_early, 3),
    "budget-in-memory": Bug("resets are counted from the start of the agent", _budget_in_memory, 12),
    "late-answers": Bug("after a time-out the next command is written at once", _late_answers, 96),
    "bulk-delete": Bug("more than the one index is deleted", _bulk, 4),
    "acting-again": Bug("an action that had begun is begun again at a start", _never_acting, 1),
    "attempts-in-memory": Bug("attempts to send are not on the disk", _attempts_forgotten),
    "no-sweep": Bug("only what is announced is read", _no_sweep, 6),
    "reply-apart": Bug("the end of a run and its reply are two commits", _reply_apart),
    "number-within": Bug("the service's number is looked for in the sender's", _number_within, 4),
    "task-ends-unseen": Bug("an exception ends a task of the session and nothing else", _silent_end, 5),
    "nothing-rescued": Bug("after a damage the journal begins empty", _nothing_rescued, 13),
    "damage-without-horizon": Bug("what a damage took from the memory for doubles is new", _no_horizon, 29),
}
