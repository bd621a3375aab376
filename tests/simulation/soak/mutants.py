"""Mutants that the soak must detect: each changes one thing of the product, in this process only.

`detecting_seed` is a seed that detects the mutant and has no findings without it. The table in
`tests/README.md` has the same descriptions and seeds.
"""

import contextlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

from agent.at import client, protocol
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_values
from agent.daemon.agent import Agent
from agent.daemon.control_socket import ControlServer
from agent.daemon.session import Session
from agent.journal import dedup, repair
from agent.journal.actions import ActionStore
from agent.journal.dedup import DedupIndex
from agent.journal.executor import retry_until_committed
from agent.journal.inbox import CommandStore
from agent.journal.models import StoreOutcome, StoreResult
from agent.journal.outbox import OutboxStore
from agent.journal.parts import PartStore
from agent.journal.pruning import Pruner
from agent.journal.reset_budget import ResetBudget, ResetUsage
from agent.modem import settings_negotiation, status_queries, urc_handler
from agent.modem.events import DirectDelivery
from agent.modem.message_store import MessageStore
from agent.modem.send_refusals import SendRefusals
from agent.pipeline.burst_sweep import BurstSweepSchedule
from agent.pipeline.command_finisher import CommandFinisher
from agent.pipeline.deleted_messages import DeletedMessages
from agent.pipeline.dispatcher import Dispatcher
from agent.pipeline.outcome_recorder import OutcomeRecorder
from agent.pipeline.receiver import Receiver
from agent.pipeline.sender import Sender
from agent.recovery.policy import RecoveryPolicy
from agent.recovery.switch_on import SwitchOnSchedule
from patching import check_genuine, check_same_parameters
from soak import seed

MUTANT_RUN_DAYS = 0.4
"""Length of the runs that detect mutants, in days."""


@dataclass(frozen=True)
class Mutant:
    """A change of the product, and a seed that detects it."""

    description: str
    make_patches: Callable
    detecting_seed: int = 0


@contextlib.contextmanager
def applied_mutant(name):
    """Apply a mutant; with None leave the product as it is."""
    if name is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        for owner, attribute, value in MUTANTS[name].make_patches():
            check_same_parameters(getattr(owner, attribute), value)
            stack.enter_context(mock.patch.object(owner, attribute, value))
        yield


def run_mutant(seed_number, days, mutant=None, *, trace=False):
    """Run a seed with a mutant, which is given by name so that other processes can run it."""
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
    async def store_and_delete(self, messages, *, run=True, is_announced=False):
        freed = [
            message
            for message in messages
            if message.slot is not None and await self._delete(message.slot, message.raw)
        ]
        for message in messages:
            await self._recorder.record(message, run=run)
        return freed

    return ((Receiver, "_store_and_delete", store_and_delete),)


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

    return ((OutcomeRecorder, "record_unknown", unknown),)


def _sending_before_prompt():
    send = Sender._send

    async def send_early(self, reply):
        await self._db.run(self._outbox_store.mark_sending, reply.id)
        return await send(self, reply)

    return ((Sender, "_send", send_early),)


def _sending_after_body():
    def set_sending(self, reply, now):
        """Write nothing yet."""

    mark_sent = OutboxStore.mark_sent

    def count_late(self, reply, message_reference):
        self._execute("UPDATE replies SET attempts = attempts + 1 WHERE id = ?", (reply,))
        mark_sent(self, reply, message_reference)

    return ((OutboxStore, "_set_sending", set_sending), (OutboxStore, "mark_sent", count_late))


def _watchdog_by_timer():
    async def notify(self, _runtime, _components):
        import asyncio  # noqa: PLC0415  (only this mutant needs it)

        while True:
            self._dependencies.notify("WATCHDOG=1")
            await asyncio.sleep(self._dependencies.watchdog_interval_s)

    return ((Agent, "_run_checks", notify),)


def _control_socket_not_restored():
    async def restore(_self):
        return True

    return ((ControlServer, "restore", restore),)


def _prune_by_wall_clock():
    cutoff = Pruner._cutoff

    def by_wall(self, seconds):
        return cutoff(self, seconds)[0], math.inf

    return ((Pruner, "_cutoff", by_wall),)


def _interrupted_run_again():
    async def requeue_all(self):
        for row in await retry_until_committed(self._runtime, self._command_store.list_running):
            await retry_until_committed(self._runtime, self._command_store.requeue, row.id, "interrupted")
        await self._post_reply_actions.log_interrupted()

    return ((Dispatcher, "_recover_interrupted", requeue_all),)


def _parts_in_memory():
    def store(self, part, now):
        self.__dict__.setdefault("memory", {}).setdefault(part.key, {})[part.number] = part
        return StoreResult(StoreOutcome.PART)

    def stored_parts(self, key):
        return self.__dict__.get("memory", {}).get(key, {})

    return ((PartStore, "store", store), (PartStore, "stored_parts", stored_parts))


def _acknowledge_before_commit():
    handle_events = Receiver._handle_events

    async def done():
        """The message has been acknowledged already."""

    async def acknowledge_early(self):
        for number, event in enumerate(self._pending_events):
            if isinstance(event, DirectDelivery):
                await event.acknowledge()
                self._pending_events[number] = event.replace(acknowledge=done)
        await handle_events(self)

    return ((Receiver, "_handle_events", acknowledge_early),)


def _budget_in_memory():
    reserve = ResetBudget.reserve

    def counted(self, *arguments, **named):
        refusal = reserve(self, *arguments, **named)
        self.__dict__["counted"] = self.__dict__.get("counted", 0) + (not refusal)
        return refusal

    return (
        (ResetBudget, "reserve", counted),
        (
            ResetBudget,
            "usage",
            lambda self: ResetUsage(self.__dict__.get("counted", 0), self.__dict__.get("counted", 0)),
        ),
    )


def _no_switch_on():
    return ((SwitchOnSchedule, "on_started", lambda self, now: self.on_answer()),)


def _radio_left_off():
    return ((RecoveryPolicy, "check_radio", lambda self, now, *, off: None),)


def _no_resynchronisation():
    async def assume_synced(connection, abandoned, timeout_s=0.0):
        connection.protocol.mark_synced()
        return not connection.is_lost

    return ((client, "resynchronise", assume_synced),)


def _bulk_delete():
    delete = MessageStore.delete

    async def delete_all(self, slot, raw=None):
        is_free = await delete(self, slot, raw)
        async with self._client.exclusive() as turn:
            for other in range(1, 6):
                with contextlib.suppress(CommandRefused):
                    await self._reader.exchange(turn, client.AtCommand(f"AT+CMGD={other}", 30.0))
        return is_free

    return ((MessageStore, "delete", delete_all),)


def _stale_slot_deleted():
    delete = MessageStore.delete

    async def delete_without_check(self, slot, raw=None):
        return await delete(self, slot)

    return ((MessageStore, "delete", delete_without_check),)


def _action_restarted():
    def restart(self):
        self._journal.commit(
            None, lambda _: self._execute("UPDATE actions SET state = 'pending' WHERE state = 'running'")
        )
        return []

    return ((ActionStore, "close_interrupted", restart),)


def _attempts_in_memory():
    def sending(self, reply, now):
        self._execute("UPDATE replies SET state = 'sending' WHERE id = ?", (reply,))

    requeue = OutboxStore.requeue

    def uncounted(self, reply, reason, *, count_attempt):
        requeue(self, reply, reason, count_attempt=False)

    return ((OutboxStore, "_set_sending", sending), (OutboxStore, "requeue", uncounted))


def _no_sweep():
    run = Receiver.run

    async def run_without_sweep(self):
        self._next_sweep_at = math.inf
        await run(self)

    return ((Receiver, "run", run_without_sweep), *_no_burst_sweep())


def _reply_in_second_commit():
    finish = CommandStore.finish

    def finish_without_replies(self, command, state, reason=None, replies=(), action=None, **options):
        return finish(self, command, state, reason, (), action, **options)

    finish_done = CommandFinisher.finish_done

    async def enqueue_later(self, row, spec, result):
        await finish_done(self, row, spec, result)
        if result.reply and row.answerable:
            replies = self._compose_replies(row, result.reply, spec.reply_to)
            await self._runtime.db.run(self._outbox_store.enqueue, replies)
            self._handover.notify_queued()

    return ((CommandStore, "finish", finish_without_replies), (CommandFinisher, "finish_done", enqueue_later))


def _match_sender_substring():
    from agent.daemon import components  # noqa: PLC0415  (needed as a module here)

    classify = components.classify

    def classify_substring(message, raw, history, service, handled_ports):
        address = getattr(message, "originating_address", None)
        if address is not None and service.number in address.number:
            service = service.replace(number=address.number)
        return classify(message, raw, history, service, handled_ports)

    return ((components, "classify", classify_substring),)


def _no_burst_sweep():
    def on_notified(self, now):
        """Leave what was not announced to the next regular sweep."""

    return ((BurstSweepSchedule, "on_notified", on_notified),)


def _permanent_error_believed():
    def on_refused(self, error, now, *, accepted_before):
        return False

    return ((SendRefusals, "on_refused", on_refused),)


def _task_error_swallowed():
    async def run_task(self, work):
        with contextlib.suppress(Exception):
            await work

    async def delete(self, slot, raw):
        await self._modem.delete(slot)  # an exception ends the task
        self._command_store.mark_slot_free((slot.store, slot.index))
        return True

    async def run(self):
        while True:
            await self._run_once()

    return ((Session, "_run_task", run_task), (Receiver, "_delete", delete), (Receiver, "run", run))


def _registration_in_plain_numbers_only():
    def parse_plain(line):
        values = parse_values(line)
        plain = re.match(r"[0-5]\s*,\s*\d{1,2}\s*(,|$)", line.partition(":")[2].strip())
        return (values.get(0).number, values.get(1).number) if plain else (1, values.get(0).number)

    return tuple(
        (module, "parse_registration", parse_plain)
        for module in (settings_negotiation, status_queries, urc_handler)
    )


def _free_text_taken_for_urcs():
    match_response = protocol.match_response

    def match_named(pending, text):
        pattern = match_response(pending, text)
        return None if pattern and not pattern.prefix and text.startswith("+") else pattern

    return ((protocol, "match_response", match_named),)


def _kept_message_not_recognised():
    async def check_kept(self, message):
        """Take it for another delivery."""

    return ((DeletedMessages, "check_kept", check_kept),)


def _repair_copies_nothing():
    return ((repair, "_copy_tables", lambda *_: None),)


def _repair_without_horizon():
    reconcile = repair._reconcile

    def reconcile_without_horizon(target, *arguments):
        reconcile(target, *arguments)
        target.execute("UPDATE meta SET dedup_horizon = NULL")

    return ((repair, "_reconcile", reconcile_without_horizon),)


MUTANTS = {
    "delete-before-commit": Mutant("a message is deleted before it is committed", _delete_before_commit),
    "dedup-by-slot": Mutant("duplicates are recognised by store and index only", _dedup_by_slot),
    "dedup-by-sid-alone": Mutant(
        "duplicates are recognised by SID only, without the body", _dedup_by_sid_alone, 8
    ),
    "delete-without-reading": Mutant(
        "a delete without result is repeated without reading the slot", _delete_without_reading, 18
    ),
    "retry-after-unknown": Mutant(
        "a message with an unknown outcome is sent again", _retry_after_unknown, 35
    ),
    "sending-before-prompt": Mutant("`sending` is committed before AT+CMGS", _sending_before_prompt, 23),
    "sending-after-body": Mutant("`sending` is not committed before the body", _sending_after_body),
    "watchdog-by-timer": Mutant("WATCHDOG=1 is sent whatever the tasks do", _watchdog_by_timer, 3),
    "control-socket-not-restored": Mutant(
        "a control socket that was deleted does not come back", _control_socket_not_restored, 14
    ),
    "prune-by-wall-clock": Mutant("pruning does not consider the uptime", _prune_by_wall_clock, 52),
    "interrupted-run-again": Mutant("an interrupted Command runs again", _interrupted_run_again),
    "parts-in-memory": Mutant("parts are not committed", _parts_in_memory, 3),
    "acknowledge-before-commit": Mutant("+CNMA is sent before the commit", _acknowledge_before_commit, 3),
    "budget-in-memory": Mutant("resets are counted from the start of the agent", _budget_in_memory, 12),
    "no-resynchronisation": Mutant(
        "after a timeout the next command is written at once", _no_resynchronisation
    ),
    "bulk-delete": Mutant("more than one index is deleted", _bulk_delete, 4),
    "stale-slot-deleted": Mutant(
        "a slot is deleted without regard to what it may hold by now", _stale_slot_deleted, 330
    ),
    "action-restarted": Mutant("an action that had started is started again", _action_restarted, 1),
    "attempts-in-memory": Mutant("send attempts are not committed", _attempts_in_memory),
    "no-sweep": Mutant("only notified messages are read", _no_sweep, 6),
    "reply-in-second-commit": Mutant(
        "the end of a run and its reply are two commits", _reply_in_second_commit
    ),
    "sender-substring": Mutant(
        "the sender only has to contain the number of the service", _match_sender_substring, 4
    ),
    "task-error-swallowed": Mutant(
        "an exception ends only one task of the session", _task_error_swallowed, 5
    ),
    "no-burst-sweep": Mutant("no sweep follows a burst of notifications", _no_burst_sweep),
    "permanent-error-believed": Mutant(
        "a permanent error is believed although the number accepted a message",
        _permanent_error_believed,
        9,
    ),
    "power-key-for-resets-only": Mutant(
        "the power key of a module that was never heard is not pressed", _no_switch_on, 31
    ),
    "radio-left-off": Mutant("a radio that was switched off stays off", _radio_left_off, 47),
    "registration-in-plain-numbers": Mutant(
        "the state in `+CREG: 000,001` is taken to be 0", _registration_in_plain_numbers_only, 40
    ),
    "free-text-taken-for-urcs": Mutant(
        "a line of ATI with a plus sign is taken for a URC", _free_text_taken_for_urcs, 97
    ),
    "kept-message-not-recognised": Mutant(
        "a message that stays after its delete is taken for another delivery",
        _kept_message_not_recognised,
        70,
    ),
    "repair-copies-nothing": Mutant("a repaired journal is empty", _repair_copies_nothing, 13),
    "repair-without-horizon": Mutant(
        "a repaired journal has no deduplication horizon", _repair_without_horizon, 29
    ),
}
