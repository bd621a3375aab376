"""Moves messages from the module to the journal: each is committed before it is deleted.

A notification (+CMTI) names a slot to read, and may be lost. A sweep reads the whole store and finds the
messages that no notification announced. It runs at the start of a session, some seconds after the last
notification of a burst, after the module reported a full store, and at intervals. A message that the module
delivers directly (+CMT) is committed before it is acknowledged, also while the AT channel waits for the
result of a message that is being sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import pdu
from agent.at.error_codes import SIM_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import PortContention
from agent.common.events import Event, EventKind, Severity
from agent.common.runtime import Runtime
from agent.journal.inbox import CommandStore
from agent.journal.models import StoreOutcome
from agent.modem.error import SlotKept
from agent.modem.events import (
    DirectDelivery,
    MessageArrived,
    ModemEvent,
    RegistrationChanged,
    ReportArrived,
    SettingsLost,
    StoreFull,
)
from agent.modem.modem import Modem
from agent.modem.stored_message import Slot, StoredMessage, drop_second_names
from agent.pipeline import receiver_events
from agent.pipeline.burst_sweep import BurstSweepSchedule
from agent.pipeline.deleted_messages import DeletedMessages
from agent.pipeline.message_recorder import MessageRecorder
from agent.pipeline.store_fill_monitor import StoreFillMonitor

SWEEP_INTERVAL_S = 300.0
"""Time between regular sweeps: the longest delay that a lost notification can cause."""
POLL_INTERVAL_S = 60.0
"""Time between sweeps if the module sends no notifications, or has refused to read."""
EARLY_NOTIFICATION_RETRY_S = 5.0
"""Some modules announce a message before it can be read; a sweep follows after this time."""
JOURNAL_RETRY_S = 6.0
"""Time between attempts while the journal cannot commit."""
REDELIVERY_WAIT_S = 15.0
"""Delay of the sweep after a nearly full store was emptied: the network delivers the messages that it kept
within seconds, and the module may not announce them."""
OPERATION_DEADLINE_S = 600.0
"""Longest time for listing a full store or for one message. A full store takes three minutes, and before that
a message that is being sent may occupy the AT channel for six minutes or more."""
MAX_CONSECUTIVE_TIMEOUTS = 2
"""Number of AT commands in a row without an answer that ends the session."""
MAX_DELETE_ATTEMPTS = 3
"""Attempts to delete one slot while no result code arrives and the message is still stored."""
MAX_COMMITTED_AT_ONCE = 20
"""Messages of one transaction. A burst needs fewer commits so; a handler that ends meanwhile waits for it."""
ResultT = TypeVar("ResultT")
TASK = "receiver"
"""Name of the task for the watchdog."""


class Receiver:
    """The receiving task of one session."""

    def __init__(
        self,
        *,
        runtime: Runtime,
        modem: Modem,
        command_store: CommandStore,
        recorder: MessageRecorder,
        describe_port_users: Callable[[], str] = lambda: "",
        run_on_first_start: bool = True,
    ) -> None:
        """Create the receiver of a session with an initialised modem.

        `recorder` commits the messages. `describe_port_users` returns a sentence that names other users of
        the port and the remedy; it may block. `run_on_first_start` is True if Commands that the module holds
        when the journal is new are run.
        """
        self._modem = modem
        self._runtime = runtime
        self._db = runtime.db
        self._emit = runtime.emit
        self._command_store = command_store
        self._recorder = recorder
        self._describe_port_users = describe_port_users
        self._run_on_first_start = run_on_first_start
        self._pending_events: deque[ModemEvent] = deque()
        """Events of the module that have not been handled yet."""
        self._unacknowledged: deque[Callable[[], Awaitable[None]]] = deque()
        """Acknowledgements of direct deliveries that are committed."""
        self.has_swept = False
        """True once the stores were swept in this session."""
        self._next_sweep_at = 0.0
        self._burst_sweep = BurstSweepSchedule()
        self._not_yet_readable: set[Slot] = set()
        """Slots that were announced and were empty when they were read."""
        self._recently_deleted: set[Slot] = set()
        """Slots that the last sweep emptied; their notifications may still arrive."""
        self._deleted_messages = DeletedMessages(runtime=runtime, command_store=command_store)
        self._fill_monitor = StoreFillMonitor(runtime.emit)

    async def run(self) -> None:
        """Receive until the session ends. Two AT commands in a row without an answer end it."""
        timeouts = 0
        try:
            while True:
                try:
                    await self._run_once()
                    timeouts = 0
                except CommandTimedOut as error:
                    timeouts += 1
                    self._emit(Event(EventKind.NO_ANSWER, str(error), severity=Severity.WARNING))
                    if timeouts == MAX_CONSECUTIVE_TIMEOUTS:
                        self._modem.close("two commands in a row had no answer")
                    self._next_sweep_at = _now()  # it is unknown which messages were not read
                except CommandRefused as error:
                    timeouts = 0
                    self._emit(receiver_events.read_refused_event(error))
                    self._next_sweep_at = _now() + POLL_INTERVAL_S
                except sqlite3.Error as error:
                    self._recorder.log_failure(error)
                    await self._modem.wait(asyncio.Event(), JOURNAL_RETRY_S)
                    self._next_sweep_at = _now()
        except ModemLost:
            await self._store_undelivered_events()
        finally:
            self._runtime.deadlines.clear(TASK)

    async def _run_once(self) -> None:
        """Sweep if a sweep is due. Wait for events until the next sweep, and handle them."""
        if _now() >= self._sweep_due_at:
            self._extend_deadline()
            self._recently_deleted.clear()
            self._burst_sweep.on_sweep_begun(_now())
            await self._sweep_until_empty()
            self.has_swept = True
            self._next_sweep_at = _now() + self._sweep_delay_s()
            if self._not_yet_readable - self._recently_deleted:
                self._modem.include_every_store()
            self._not_yet_readable.clear()
        if not self._pending_events and not self._unacknowledged:
            self._runtime.deadlines.expect_within(TASK, self._sweep_due_at - _now() + OPERATION_DEADLINE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._sweep_due_at):
                    self._pending_events.append(await self._modem.next_event())
        self._collect_events()
        self._extend_deadline()
        await self._handle_events()

    @property
    def _sweep_due_at(self) -> float:
        return min(self._next_sweep_at, self._burst_sweep.due_at)

    def _sweep_delay_s(self) -> float:
        """Return the seconds from the sweep that has just ended to the next one."""
        if self._not_yet_readable - self._recently_deleted:
            return EARLY_NOTIFICATION_RETRY_S
        if self._fill_monitor.has_nearly_full and self._recently_deleted:
            return REDELIVERY_WAIT_S
        is_announced = self._modem.is_notifying and not self._modem.has_unannounced
        return SWEEP_INTERVAL_S if is_announced else POLL_INTERVAL_S

    def _collect_events(self) -> None:
        """Take all events that have arrived so far, so that a burst is handled together."""
        while (event := self._modem.poll_event()) is not None:
            self._pending_events.append(event)

    async def _handle_events(self) -> None:
        """Handle the pending events, then read the slots that they name.

        A direct delivery stays in the queue until it is committed: it has no second copy.
        """
        await self._acknowledge_committed()
        announced: dict[Slot, bool] = {}  # True for a status report
        while self._pending_events:
            match self._pending_events[0]:
                case MessageArrived(slot) | ReportArrived(slot):
                    self._burst_sweep.on_notified(_now())
                    announced[slot] = isinstance(self._pending_events[0], ReportArrived)
                    self._deleted_messages.forget(slot)
                case DirectDelivery():
                    await self._commit_direct_deliveries()
                    await self._acknowledge_committed()
                    continue
                case StoreFull():
                    text = "reading and deleting its messages"
                    self._emit(Event(EventKind.STORE_FULL, text, severity=Severity.WARNING))
                    self._next_sweep_at = 0.0
                case SettingsLost(reason):
                    # Without its settings the module may misinterpret every command: start a new session.
                    self._emit(receiver_events.settings_lost_event(reason))
                    self._modem.close("the module has to be initialised again")
                case PortContention(evidence):
                    await self._log_port_conflict(evidence)
                case RegistrationChanged(registration):
                    self._emit(receiver_events.registration_event(registration))
            self._pending_events.popleft()
        await self._store_and_delete(await self._read_slots(announced), is_announced=True)

    async def _commit_direct_deliveries(self) -> None:
        """Commit the messages among the pending events. Their acknowledgements are due then."""
        for event in tuple(self._pending_events):
            if isinstance(event, DirectDelivery):
                await self._recorder.record(event.message)
                self._pending_events.remove(event)
                self._unacknowledged.append(event.acknowledge)

    async def _acknowledge_committed(self) -> None:
        """Acknowledge the messages that are committed.

        +CNMA does not say for which message it is, and the module waits for the last one only: it has stopped
        waiting for the others. So all that have come are committed first.
        """
        while self._unacknowledged:
            self._collect_events()
            await self._commit_direct_deliveries()
            await self._execute(self._unacknowledged.popleft()())

    async def _execute(self, operation: Awaitable[ResultT]) -> ResultT:
        """Return the result of an operation on the module.

        If it has to wait for a message that is being sent, the direct deliveries that come meanwhile are
        committed: they have no second copy.
        """
        if not self._modem.is_sending:
            return await operation
        task = asyncio.ensure_future(operation)
        try:
            while not task.done():
                await self._commit_direct_deliveries()
                arrival = asyncio.ensure_future(self._modem.next_event())
                try:
                    await asyncio.wait((task, arrival), return_when=asyncio.FIRST_COMPLETED)
                    if not arrival.done() or arrival.exception() is not None:
                        break  # the operation has ended, or the modem is lost and it fails as well
                finally:
                    arrival.cancel()  # has no effect on an event that has come
                self._pending_events.append(arrival.result())
        except sqlite3.Error as error:
            self._recorder.log_failure(error)
        except BaseException:
            task.cancel()
            raise
        return await task

    async def _read_slots(self, announced: Mapping[Slot, bool]) -> list[StoredMessage]:
        """Return the messages in the slots that notifications named. The value is True for a status report.

        A notification may name a wrong store or slot. If the slot is empty, refused, or holds something else,
        a sweep of every readable store is due.
        """
        messages = []
        for slot, is_report in announced.items():
            self._extend_deadline()
            try:
                message = await self._execute(self._modem.read(slot))
            except CommandRefused as error:
                is_sim_error = error.is_one_of(SIM_ERRORS)
                self._emit(receiver_events.read_refused_event(error, is_followed_up=not is_sim_error))
                if is_sim_error:
                    self._next_sweep_at = min(self._next_sweep_at, _now() + POLL_INTERVAL_S)
                    self._burst_sweep.cancel()  # the SIM would refuse it, too
                else:
                    self._schedule_full_sweep(for_report=is_report)
                continue
            if message is None or (is_report and not isinstance(message.message, pdu.StatusReport)):
                self._schedule_full_sweep(for_report=is_report)
            if message is None:
                if slot.index >= 0 and slot not in self._recently_deleted:
                    self._not_yet_readable.add(slot)
                self._recently_deleted.discard(slot)
            else:
                messages.append(message)
        unique = drop_second_names(messages)
        if len(unique) < len(messages):
            self._next_sweep_at = 0.0
        return sorted(unique, key=lambda message: message.sort_key)

    def _schedule_full_sweep(self, *, for_report: bool = False) -> None:
        """Make a sweep of every readable store due."""
        self._modem.include_every_store(for_report=for_report)
        self._next_sweep_at = 0.0

    async def _store_undelivered_events(self) -> None:
        """Commit the direct deliveries that arrived before the modem was lost: they have no second copy."""
        self._runtime.deadlines.clear(TASK)
        self._collect_events()
        for event in self._pending_events:
            if isinstance(event, DirectDelivery):
                await self._recorder.record_at_last(event.message)
            elif isinstance(event, PortContention):  # most likely the reason for the loss
                await self._log_port_conflict(event.evidence)

    async def _sweep_until_empty(self) -> None:
        """Sweep until no message can be deleted: the network delivers more when a full store is emptied."""
        is_first = not self._command_store.first_sweep_done
        deleted: set[tuple[Slot | None, str]] = set()
        is_nearly_full = False
        while messages := await self._execute(self._modem.sweep()):
            self._collect_events()
            for event in self._pending_events:
                if isinstance(event, MessageArrived | ReportArrived):
                    self._deleted_messages.forget(event.slot)
            is_nearly_full |= self._fill_monitor.check(messages, self._modem.status.store_usage)
            new = []
            for message in messages:
                if (message.slot, message.raw) in deleted:  # after an OK: the next sweep tries again
                    await self._deleted_messages.check_kept(message)
                else:
                    new.append(message)
            if new:
                self._burst_sweep.on_found()
            if is_first and new:
                self._emit(receiver_events.first_start_event(new, run=self._run_on_first_start))
            freed = await self._store_and_delete(new, run=self._run_on_first_start or not is_first)
            if not freed:
                break
            deleted.update((message.slot, message.raw) for message in freed)
            self._recently_deleted.update(message.slot for message in freed if message.slot is not None)
        self._report_silent_slots()
        if not is_nearly_full:
            self._fill_monitor.clear()
        if is_first and not self._modem.has_lost_settings:
            await self._db.run(self._command_store.mark_first_sweep_done)

    def _report_silent_slots(self) -> None:
        for slot in self._modem.take_silent_slots():
            self._emit(receiver_events.slot_silent_event(slot))

    async def _store_and_delete(
        self, messages: list[StoredMessage], *, run: bool = True, is_announced: bool = False
    ) -> list[StoredMessage]:
        """Commit messages, then delete only their slots. Return the messages whose slots are free now.

        All are committed before the first delete, because on some modules one delete frees several slots.
        """
        for first in range(0, len(messages), MAX_COMMITTED_AT_ONCE):
            batch = messages[first : first + MAX_COMMITTED_AT_ONCE]
            self._extend_deadline()
            for message in batch:
                await self._deleted_messages.check_kept(message)
            results = await self._recorder.record(*batch, run=run)
            if is_announced and any(each.outcome is StoreOutcome.ALREADY_STORED for each in results):
                self._schedule_full_sweep()  # the announced message is another one, in another place
        freed = []
        for message in messages:
            self._extend_deadline()
            if message.slot is not None and await self._delete(message.slot, message.raw):
                freed.append(message)
        return freed

    async def _delete(self, slot: Slot, raw: str) -> bool:
        """Delete one slot. Return True if it is known to be free of this message.

        If the result of the deletion is missing, the slot is read before anything else is done to it.
        """
        for _ in range(MAX_DELETE_ATTEMPTS):
            try:
                if not await self._execute(self._modem.delete(slot, raw)):
                    self._next_sweep_at = 0.0  # another message has taken the slot
            except (CommandRefused, SlotKept) as error:
                self._deleted_messages.report_kept(slot, raw, str(error))
                return False
            except CommandTimedOut:
                message = await self._execute(self._modem.read(slot))
                if message is not None and message.raw == raw:
                    continue
            self._deleted_messages.record_deleted(slot, raw)
            return True
        return False

    async def _log_port_conflict(self, evidence: str) -> None:
        """Log the evidence and the other users of the port. The search reads /proc, which may block."""
        users = await self._db.run(self._describe_port_users)
        self._emit(receiver_events.port_conflict_event(evidence, users))

    def _extend_deadline(self) -> None:
        self._runtime.deadlines.expect_within(TASK, OPERATION_DEADLINE_S)


def _now() -> float:
    return asyncio.get_running_loop().time()
