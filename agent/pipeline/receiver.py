"""From the module into the journal. News is a hint, storage is the truth.

A notification says where to look; what is found there is committed before it is deleted. The sweep over
whole stores finds what no notification told of: at start, after a restart of the module, after a drain, and
now and then without any hint.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable

from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.at.events import PortContention
from agent.common.events import Condition, Event, EventSink, Severity
from agent.common.watchdog import DeadlineMonitor
from agent.journal.executor import (
    COMMIT_RECOVERED_EVENT,
    DbExecutor,
    commit_failed_event,
    retry_until_committed,
)
from agent.journal.inbox import CommandStore
from agent.journal.models import StoreOutcome, StoreResult
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
from agent.modem.stored_message import Slot, StoredMessage, Undecodable
from agent.pipeline.arrivals import ReceiverLog
from agent.service.classify import MessageHistory, classify
from agent.service.message import IgnoredMessage, ReceivedMessage
from agent.service.profile import ServiceProfile

SWEEP_INTERVAL_S = 300.0
"""Between sweeps without a hint: what a lost notification can cost."""
POLL_INTERVAL_S = 60.0
"""The same where the module sends no notifications at all."""
EARLY_NOTIFICATION_RETRY_S = 5.0
"""Some modules tell of a message before it is there; then it is looked for once more."""
JOURNAL_RETRY_S = 6.0
"""A journal that could not commit is asked again after this."""
NEARLY_FULL_RATIO = 0.8
"""Of a store's capacity: from here on somebody should know of it."""
REDELIVERY_WAIT_S = 15.0
"""After a drain that made room: the network delivers what it held within seconds, perhaps without a word."""
OPERATION_DEADLINE_S = 600.0
"""Longest time that listing a full store, or taking one message, may need before the watchdog worries: three
minutes, and before that the line may belong to a message that is being sent, for six and more."""


class Receiver:
    """The receiving task of one session."""

    def __init__(
        self,
        modem: Modem,
        db: DbExecutor,
        command_store: CommandStore,
        service: ServiceProfile,
        emit: EventSink,
        deadlines: DeadlineMonitor,
        on_stored: Callable[[], None],
        describe_port_users: Callable[[], str] = lambda: "",
        *,
        run_on_first_start: bool = True,
    ) -> None:
        """`received` is called after each commit that may have made work for others.

        `others` tells in a sentence who else may be on the port and what to do; it may block.
        `run_first`: whether Commands that the module holds at the first start of a journal are carried out.
        """
        self._modem = modem
        self._db = db
        self._command_store = command_store
        self._service = service
        self._emit = emit
        self._deadlines = deadlines
        self._on_stored = on_stored
        self._describe_port_users = describe_port_users
        self._run_on_first_start = run_on_first_start
        self._event_log = ReceiverLog(emit, run_on_first_start=run_on_first_start)
        self._journal_failed = False
        self._pending_events: deque[ModemEvent] = deque()
        """What was told and not yet dealt with."""
        self._next_sweep_at = 0.0
        self._not_yet_readable: set[Slot] = set()
        """Slots that were told of and had nothing."""
        self._recently_deleted: set[Slot] = set()
        """Slots that the last sweep has emptied: their notifications may still come."""
        self._nearly_full_stores: set[str] = set()
        """Stores that were said to fill up."""

    async def run(self) -> None:
        """Receive until the session ends. A command without an answer, twice in a row, ends it."""
        loop = asyncio.get_running_loop()
        silences = 0
        try:
            while True:
                try:
                    await self._run_once()
                    silences = 0
                except CommandTimedOut as error:
                    silences += 1
                    self._emit(Event("silence", str(error), severity=Severity.WARNING))
                    if silences == 2:
                        self._modem.close("two commands in a row had no answer")
                    self._next_sweep_at = loop.time()  # nobody knows what there was to be taken
                except CommandRefused as error:
                    silences = 0
                    self._event_log.log_read_refused(error)
                    self._next_sweep_at = loop.time() + POLL_INTERVAL_S
                except sqlite3.Error as error:
                    self._log_journal_failure(error)
                    await self._modem.wait(asyncio.Event(), JOURNAL_RETRY_S)
                    self._next_sweep_at = loop.time()
        except ModemLost:
            await self._flush_on_disconnect()
        finally:
            self._deadlines.clear("intake")

    async def _run_once(self) -> None:
        """Once: sweep when it is time for it, else wait for news and follow them."""
        loop = asyncio.get_running_loop()
        if loop.time() >= self._next_sweep_at:
            self._deadlines.expect_within("intake", OPERATION_DEADLINE_S)
            self._recently_deleted.clear()
            await self._sweep_until_empty()
            told = self._modem.is_notifying and not self._modem.has_unannounced
            pause = SWEEP_INTERVAL_S if told else POLL_INTERVAL_S
            pause = REDELIVERY_WAIT_S if self._nearly_full_stores and self._recently_deleted else pause
            self._next_sweep_at = loop.time() + (
                EARLY_NOTIFICATION_RETRY_S if self._not_yet_readable - self._recently_deleted else pause
            )
            self._not_yet_readable.clear()
        if not self._pending_events:
            self._deadlines.expect_within("intake", self._next_sweep_at - loop.time() + OPERATION_DEADLINE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._next_sweep_at):
                    self._pending_events.append(await self._modem.next_event())
        self._collect_events()
        self._deadlines.expect_within("intake", OPERATION_DEADLINE_S)
        await self._handle_events()

    def _collect_events(self) -> None:
        """Everything that the module has told so far: a burst is followed at once."""
        while (news := self._modem.poll_event()) is not None:
            self._pending_events.append(news)

    async def _handle_events(self) -> None:
        """Look where the news point. What was handed over stays with us until it is committed."""
        slots: dict[Slot, None] = {}
        while self._pending_events:
            match self._pending_events[0]:
                case MessageArrived(slot) | ReportArrived(slot):
                    slots[slot] = None
                case DirectDelivery(message, acknowledge):
                    kept = await self._store(message)
                    self._pending_events.popleft()
                    self._event_log.log_stored(kept)
                    await acknowledge()
                    continue
                case StoreFull():
                    self._emit(Event("store full", "draining it", severity=Severity.WARNING))
                    self._next_sweep_at = 0.0
                case SettingsLost(line):
                    # Its settings are gone, and whatever is sent now may be misread: begin anew.
                    self._event_log.log_settings_lost(line)
                    self._modem.close("the module is to be set up again")
                case PortContention(sign):
                    await self._log_port_contention(sign)
                case RegistrationChanged(registration):
                    begun, ended = (
                        (None, Condition.NETWORK) if registration.can_send else (Condition.NETWORK, None)
                    )
                    self._emit(Event("registration", str(registration), condition=begun, resolves=ended))
            self._pending_events.popleft()
        for each in sorted(await self._read_slots(slots), key=lambda each: each.sort_key):
            await self._store_and_delete(each)

    async def _read_slots(self, slots: Iterable[Slot]) -> list[StoredMessage]:
        """What stands in these slots; where one holds nothing, only a sweep tells the truth."""
        loop = asyncio.get_running_loop()
        found = []
        for slot in slots:
            self._deadlines.expect_within("intake", OPERATION_DEADLINE_S)
            try:
                stored = await self._modem.read(slot)
            except CommandRefused as error:
                self._event_log.log_read_refused(error)
                self._next_sweep_at = min(self._next_sweep_at, loop.time() + POLL_INTERVAL_S)
                continue
            if stored is None:
                self._next_sweep_at = 0.0
                if slot.index >= 0 and slot not in self._recently_deleted:
                    self._not_yet_readable.add(slot)
                self._recently_deleted.discard(slot)
            else:
                found.append(stored)
        return found

    async def _flush_on_disconnect(self) -> None:
        """The line is gone: what was handed over before has no second copy and is committed all the same."""
        self._deadlines.clear("intake")
        self._collect_events()
        for news in self._pending_events:
            if isinstance(news, DirectDelivery):
                self._event_log.log_stored(
                    await retry_until_committed(self._db, self._emit, self._commit, news.message)
                )
            elif isinstance(news, PortContention):  # most likely it is why the line is gone
                await self._log_port_contention(news.evidence)

    async def _sweep_until_empty(self) -> None:
        """Sweep until nothing is left to take: space in a full store lets the network send more."""
        first = not self._command_store.first_sweep_done
        gone: set[tuple[Slot | None, str]] = set()
        filling = False
        while messages := await self._modem.sweep():
            filling = self._check_nearly_full(messages) or filling
            if first:
                self._event_log.log_first_start(
                    [message for message in messages if (message.slot, message.raw) not in gone]
                )
            freed = 0
            for message in messages:
                here = (message.slot, message.raw)
                if here in gone:
                    continue  # the module only says that it deletes: the next sweep tries again
                if await self._store_and_delete(message, run=self._run_on_first_start or not first):
                    gone.add(here)
                    freed += 1
                    if message.slot is not None:
                        self._recently_deleted.add(message.slot)
            if not freed:
                break
        if not filling:
            self._nearly_full_stores.clear()
        if first and not self._modem.has_lost_settings:
            await self._db.run(self._command_store.mark_first_sweep_done)

    def _check_nearly_full(self, messages: list[StoredMessage]) -> bool:
        """Whether a store is nearly full; warns of it once, until a drain finds it with room again."""
        filling = False
        for store, _, capacity in self._modem.status.store_usage:
            held = sum(message.slot is not None and message.slot.store == store for message in messages)
            if held and held >= NEARLY_FULL_RATIO * capacity:
                filling = True
                if store not in self._nearly_full_stores:
                    self._nearly_full_stores.add(store)
                    holds = f"{store} holds {held} of {capacity}"
                    self._emit(Event("store filling", holds, severity=Severity.WARNING))
        return filling

    async def _store_and_delete(self, message: StoredMessage, *, run: bool = True) -> bool:
        """Commit, then delete: this slot only, and only now. True where the slot is free after it."""
        self._deadlines.expect_within("intake", OPERATION_DEADLINE_S)
        kept = await self._store(message, run=run)
        self._event_log.log_stored(kept)
        return message.slot is not None and await self._delete(message.slot, message.raw)

    async def _store(self, message: StoredMessage, *, run: bool = True) -> StoreResult:
        kept = await self._db.run(self._commit, message, run=run)
        if self._journal_failed:
            self._journal_failed = False
            self._emit(COMMIT_RECOVERED_EVENT)
        if kept.outcome in (StoreOutcome.NEW, StoreOutcome.REPORT):
            self._on_stored()
        return kept

    def _commit(self, message: StoredMessage, *, run: bool = True) -> StoreResult:
        slot = None if message.slot is None else (message.slot.store, message.slot.index)
        return self._command_store.store(
            slot, message.raw, lambda memory: self._classify(message, memory), run=run
        )

    def _classify(self, message: StoredMessage, history: MessageHistory) -> ReceivedMessage:
        """What it is. One message must never stop the others, whatever pure code makes of it."""
        if isinstance(message.message, Undecodable):
            return IgnoredMessage(f"cannot be read: {message.message.reason}", None, None)
        try:
            return classify(message.message, message.raw, self._service, history)
        except sqlite3.Error:
            raise  # a fault of the disk, not of the message
        except (OSError, MemoryError):
            raise  # and here of the host: the message stays in the module until another session reads it
        except Exception as error:  # noqa: BLE001  (quarantine: the message is kept raw, the rest goes on)
            return IgnoredMessage(f"cannot be read: {error}", None, None)

    async def _delete(self, slot: Slot, raw: str) -> bool:
        """Delete one index. Without a result the slot is read again before anything else is done to it."""
        for _ in range(3):
            try:
                await self._modem.delete(slot)
            except CommandRefused as error:
                kept = f"{slot}: {error}; it is kept and not run again"
                self._emit(Event("not deleted", kept, severity=Severity.WARNING))
                return False
            except CommandTimedOut:
                there = await self._modem.read(slot)
                if there is not None and there.raw == raw:
                    continue
            self._command_store.mark_slot_free((slot.store, slot.index))
            return True
        return False

    async def _log_port_contention(self, evidence: str) -> None:
        """Once a session; whoever looks for the other one looks into the processes, which may block."""
        who = await self._db.run(self._describe_port_users)
        text = f"another program seems to use the module's port: {evidence}; {who}"
        self._emit(Event("disturbed", text, severity=Severity.WARNING))

    def _log_journal_failure(self, error: sqlite3.Error) -> None:
        """Once for each trouble: messages stay in the module until the journal can commit again."""
        if not self._journal_failed:
            self._journal_failed = True
            self._emit(commit_failed_event(error))
