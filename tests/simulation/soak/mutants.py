"""Bugs that the soak must catch: each changes one thing of the product, in this process only.

`found_by` is a seed that finds it; the same seed without the bug finds nothing. What `change` says stands in
the table of `tests/README.md`.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from unittest import mock

from agent.at import client
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.daemon.agent import Agent
from agent.daemon.session import Session
from agent.journal import dedup, repair
from agent.journal.actions import ActionStore
from agent.journal.dedup import DedupIndex
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import StoreOutcome, StoreResult
from agent.journal.outbox import OutboxStore as Queue
from agent.journal.parts import PartStore
from agent.journal.pruning import Pruner
from agent.journal.reset_budget import ResetBudget, ResetUsage
from agent.modem.events import DirectDelivery
from agent.modem.message_store import MessageStore
from agent.pipeline.dispatcher import Dispatcher
from agent.pipeline.receiver import Receiver
from agent.pipeline.receiver_events import stored_event
from agent.pipeline.sender import Sender
from patching import check_genuine, check_same_parameters
from soak import seed

MUTANT_RUN_DAYS = 0.4
"""Length of the runs that find them."""


@dataclass(frozen=True)
class Mutant:
    """What is changed, how, and which seed finds it."""

    description: str
    make_patches: Callable
    detecting_seed: int = 0


@contextlib.contextmanager
def applied_mutant(name):
    """The product with that bug; with None as it is."""
    if name is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        for owner, attribute, value in MUTANTS[name].make_patches():
            check_same_parameters(getattr(owner, attribute), value)
            stack.enter_context(mock.patch.object(owner, attribute, value))
        yield


def run_mutant(seed_number, days, mutant=None, *, trace=False):
    """One seed with that bug; here, where other processes find it by its name."""
    with applied_mutant(mutant):
        return seed.run_seed(seed_number, days=days, trace=trace)


def find_violations(name, seed_number=None):
    """Return what a seed finds with this mutant. Raises AssertionError if the mutant itself is broken."""
    with applied_mutant(name):
        findings = seed.run_seed(
            MUTANTS[name].detecting_seed if seed_number is None else seed_number, days=MUTANT_RUN_DAYS
        ).findings
    check_genuine(name, findings)
    return findings


def _delete_before_commit():
    async def take(self, message, *, run=True):
        freed = message.slot is not None and await self._delete(message.slot, message.raw)
        self._emit(stored_event(await self._store(message, run=run)))
        return freed

    return ((Receiver, "_store_and_delete", take),)


def _dedup_by_slot():
    return ((DedupIndex, "record", lambda *_: None),)


def _dedup_by_sid_alone():
    return ((dedup, "_body_digest", lambda body: b"the same"),)


def _delete_without_reading():
    async def delete(self, slot, raw):
        for _ in range(3):
            try:
                await self._modem.delete(slot)
            except CommandRefused:
                return False
            except CommandTimedOut:
                continue
            self._command_store.mark_slot_free((slot.store, slot.index))
            return True
        return False

    return ((Receiver, "_delete", delete),)


def _retry_after_unknown():
    async def unknown(self, reply, reason):
        return await self._requeue(reply, reason, marked_sending=True)

    return ((Sender, "_handle_unknown", unknown),)


def _sending_before_prompt():
    send = Sender._send

    async def early(self, reply):
        await self._db.run(self._outbox_store.mark_sending, reply.id)
        return await send(self, reply)

    return ((Sender, "_send", early),)


def _sending_after_body():
    def sending(self, reply):
        """Nothing yet."""

    sent = Queue.mark_sent

    def later(self, reply, message_reference):
        self._execute("UPDATE replies SET attempts = attempts + 1 WHERE id = ?", (reply,))
        sent(self, reply, message_reference)

    return ((Queue, "mark_sending", sending), (Queue, "mark_sent", later))


def _watchdog_by_timer():
    async def feed(self, _runtime, interval_s):
        import asyncio  # noqa: PLC0415  (what the real one has at hand)

        while True:
            self._dependencies.notify("WATCHDOG=1")
            await asyncio.sleep(interval_s)

    return ((Agent, "_run_watchdog", feed),)


def _prune_by_wall_clock():
    before = Pruner._cutoff

    def by_wall(self, seconds):
        return before(self, seconds)[0], math.inf

    return ((Pruner, "_cutoff", by_wall),)


def _run_again():
    async def settle(self):
        for row in await retry_until_committed(self._runtime, self._command_store.list_interrupted):
            await retry_until_committed(self._runtime, self._command_store.requeue, row.id, "interrupted")
        await self._post_reply_actions.log_interrupted()

    return ((Dispatcher, "_recover_interrupted", settle),)


def _parts_in_memory():
    def part(self, part, now):
        self.__dict__.setdefault("memory", {}).setdefault(part.key, {})[part.number] = part
        return StoreResult(StoreOutcome.PART)

    def parts(self, key):
        return self.__dict__.get("memory", {}).get(key, {})

    return ((PartStore, "store", part), (PartStore, "stored_parts", parts))


def _acknowledge_before_commit():
    follow = Receiver._handle_events

    async def done():
        """It was acknowledged before."""

    async def early(self):
        for number, news in enumerate(self._pending_events):
            if isinstance(news, DirectDelivery):
                await news.acknowledge()
                self._pending_events[number] = replace(news, acknowledge=done)
        await follow(self)

    return ((Receiver, "_handle_events", early),)


def _budget_in_memory():
    reserve = ResetBudget.reserve

    def counted(self, *arguments, **named):
        refusal = reserve(self, *arguments, **named)
        self.__dict__["mine"] = self.__dict__.get("mine", 0) + (not refusal)
        return refusal

    return (
        (ResetBudget, "reserve", counted),
        (
            ResetBudget,
            "usage",
            lambda self: ResetUsage(self.__dict__.get("mine", 0), self.__dict__.get("mine", 0)),
        ),
    )


def _late_answers():
    async def in_step(connection, abandoned, timeout_s=0.0):
        connection.protocol.mark_synced()
        return not connection.is_lost

    return ((client, "resynchronise", in_step),)


def _bulk_delete():
    delete = MessageStore.delete

    async def bulk(self, slot):
        await delete(self, slot)
        async with self._client.exclusive() as turn:
            for other in range(1, 6):
                with contextlib.suppress(CommandRefused):
                    await self._exchange(turn, client.AtCommand(f"AT+CMGD={other}", 30.0))

    return ((MessageStore, "delete", bulk),)


def _restart_begun_actions():
    def begun(self):
        self._journal.commit(
            None, lambda _: self._execute("UPDATE actions SET state = 'pending' WHERE state = 'running'")
        )
        return []

    return ((ActionStore, "close_interrupted", begun),)


def _attempts_in_memory():
    def sending(self, reply):
        self._journal.commit(
            None, lambda _: self._execute("UPDATE replies SET state = 'sending' WHERE id = ?", (reply,))
        )

    back = Queue.requeue

    def uncounted(self, reply, reason, *, count_attempt):
        back(self, reply, reason, count_attempt=False)

    return ((Queue, "mark_sending", sending), (Queue, "requeue", uncounted))


def _no_sweep():
    run = Receiver.run

    async def listening(self):
        self._next_sweep_at = math.inf
        await run(self)

    return ((Receiver, "run", listening),)


def _reply_in_second_commit():
    finish = CommandStore.finish

    def apart(self, command, state, reason=None, replies=(), action=None):
        finish(self, command, state, reason, (), action)

    done = Dispatcher._finish_done

    async def queued_later(self, row, entry, content, then):
        await done(self, row, entry, content, then)
        if content and row.answerable:
            replies = self._compose_replies(row, content, entry.reply_to)
            await self._db.run(self._outbox_store.enqueue, replies)
            self._on_reply_queued()

    return ((CommandStore, "finish", apart), (Dispatcher, "_finish_done", queued_later))


def _match_sender_substring():
    from agent.pipeline import receiver  # noqa: PLC0415  (its name is that of the class's module)

    receive = receiver.classify

    def within(message, raw, service, memory):
        address = getattr(message, "originating_address", None)
        if address is not None and service.number in address.number:
            service = replace(service, number=address.number)
        return receive(message, raw, service, memory)

    return ((receiver, "classify", within),)


def _task_ends_unseen():
    async def task(self, work):
        with contextlib.suppress(Exception):
            await work

    async def fails(self, slot, raw):
        await self._modem.delete(slot)  # what it raises ends the task
        self._command_store.mark_slot_free((slot.store, slot.index))
        return True

    async def run(self):
        while True:
            await self._run_once()

    return ((Session, "_run_task", task), (Receiver, "_delete", fails), (Receiver, "run", run))


def _nothing_repaired():
    return ((repair, "_copy_tables", lambda *_: None),)


def _damage_without_horizon():
    settle = repair._reconcile

    def forgets(target, *arguments):
        settle(target, *arguments)
        target.execute("UPDATE meta SET dedup_horizon = NULL")

    return ((repair, "_reconcile", forgets),)


MUTANTS = {
    "delete-before-commit": Mutant("a message is deleted, then committed", _delete_before_commit),
    "dedup-by-slot": Mutant("only store and index tell a double", _dedup_by_slot, 1),
    "dedup-by-sid-alone": Mutant("the body is not compared", _dedup_by_sid_alone, 3),
    "delete-without-reading": Mutant(
        "a delete without result is repeated unread", _delete_without_reading, 18
    ),
    "retry-after-unknown": Mutant("what may have been sent is sent again", _retry_after_unknown, 35),
    "sending-before-prompt": Mutant("`sending` is committed before AT+CMGS", _sending_before_prompt, 23),
    "sending-after-body": Mutant("`sending` is not committed before the body", _sending_after_body),
    "watchdog-by-timer": Mutant("WATCHDOG=1 whatever the tasks do", _watchdog_by_timer, 3),
    "prune-by-wall-clock": Mutant("the running time does not count for forgetting", _prune_by_wall_clock, 52),
    "run-again": Mutant("what was interrupted runs again", _run_again),
    "parts-in-memory": Mutant("parts are not committed", _parts_in_memory, 3),
    "acknowledge-before-commit": Mutant("+CNMA, then the commit", _acknowledge_before_commit, 3),
    "budget-in-memory": Mutant("resets are counted from the start of the agent", _budget_in_memory, 12),
    "late-answers": Mutant("after a time-out the next command is written at once", _late_answers, 96),
    "bulk-delete": Mutant("more than the one index is deleted", _bulk_delete, 4),
    "acting-again": Mutant("an action that had begun is begun again at a start", _restart_begun_actions, 1),
    "attempts-in-memory": Mutant("attempts to send are not on the disk", _attempts_in_memory),
    "no-sweep": Mutant("only what is announced is read", _no_sweep, 6),
    "reply-apart": Mutant("the end of a run and its reply are two commits", _reply_in_second_commit),
    "number-within": Mutant("the service's number is looked for in the sender's", _match_sender_substring, 4),
    "task-ends-unseen": Mutant(
        "an exception ends a task of the session and nothing else", _task_ends_unseen, 5
    ),
    "nothing-rescued": Mutant("after a damage the journal begins empty", _nothing_repaired, 13),
    "damage-without-horizon": Mutant(
        "what a damage took from the memory for doubles is new", _damage_without_horizon, 29
    ),
}
