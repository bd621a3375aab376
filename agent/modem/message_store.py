"""The message stores of a module: list, read, delete.

Selecting a store and using it happen within one exclusive access.

A slot is deleted only if it is known to hold the message that was read from it: nothing has announced another
one since, and nothing has been deleted since, because on some modules one delete frees several slots, which
another message may take without a notification (`agent.modem.fresh_slots`). Otherwise the slot is read again
first.
"""

from __future__ import annotations

import asyncio
import logging

from agent.at.client import AtClient, ExclusiveAccess
from agent.at.command import AtCommand
from agent.at.error_codes import EMPTY_SLOT_ERRORS, ErrorKind
from agent.at.errors import CommandRefused, CommandTimedOut, ModemLost
from agent.modem.error import SlotKept
from agent.modem.message_format import MessageFormat
from agent.modem.settings import SettingsHolder
from agent.modem.silent_slots import SilentSlots
from agent.modem.store_reader import StoreReader, is_restart
from agent.modem.stored_message import REPORT_STORE, Slot, StoredMessage, drop_second_names

_log = logging.getLogger("modem-agent.modem")

DELETE_TIMEOUT_S = 30.0
"""SIM7000 and SIM7080 allow 25 s."""
SECONDARY_STORE_INTERVAL_S = 3600.0
"""Interval between two reads of the secondary stores. Some modules write the selected store to flash (A76xx,
EC2x); after a notification, or when a store is full, secondary stores are read at once anyway."""


class MessageStore:
    """Lists, reads and deletes the received messages of one module."""

    def __init__(
        self,
        *,
        client: AtClient,
        settings: SettingsHolder,
        message_format: MessageFormat,
        silent_slots: SilentSlots,
    ) -> None:
        self._client = client
        self._settings = settings
        self._silent_slots = silent_slots
        self._reader = StoreReader(
            settings=settings, message_format=message_format, silent_slots=silent_slots
        )
        self._is_sweeping = False
        self._secondary_stores_due_at = 0.0
        self._scheduled_stores: set[str] = set()
        self._includes_every_store = False
        """True if the next sweep reads every readable store: a notification named the wrong place."""
        self._reads_reports_first = False
        """True if one of these notifications announced a status report."""

    @property
    def is_sweeping(self) -> bool:
        """True while a sweep occupies the AT channel, perhaps for minutes."""
        return self._is_sweeping

    @property
    def has_unlistable_store(self) -> bool:
        """True if a store could not be listed in the last sweep."""
        return self._reader.has_unlistable_store

    def schedule(self, store: str) -> None:
        """Include this store in the next sweep."""
        if store in self._settings.current.secondary_stores:
            self._scheduled_stores.add(store)
        elif store != self._settings.current.store:
            self.schedule_all()

    def mark_changed(self, slot: Slot) -> None:
        """Record that a slot, perhaps under another name of its store, may hold another message now."""
        self._reader.mark_changed(slot)

    def schedule_all(self) -> None:
        """Include the secondary stores in the next sweep, and scan unlistable stores again."""
        self._secondary_stores_due_at = 0.0
        self._reader.forget_scans()

    def include_every_store(self, *, for_report: bool = False) -> None:
        """Include every readable store in the next sweep; that of reports first, if one was announced."""
        self.schedule_all()
        self._includes_every_store = True
        self._reads_reports_first = self._reads_reports_first or for_report

    async def sweep(self, store: str | None = None) -> list[StoredMessage]:
        """Return the received messages, ordered by service centre timestamp, then by slot.

        `store` limits the sweep to one store; None means every store that is due. An entry that cannot be
        read does not prevent others from being returned. Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        settings = self._settings.current
        if not settings.has_stores:
            return []
        now = asyncio.get_running_loop().time()
        primary = settings.store
        stores = self._due_stores() if store is None else [store]
        found: list[StoredMessage] = []
        self._reader.begin_sweep()
        self._is_sweeping = True
        try:
            async with self._client.exclusive() as access:
                for name in stores:
                    try:
                        found += await self._reader.read_store(access, name)
                    except CommandRefused as error:
                        if name == (primary if store is None else store):
                            raise
                        _log.info("store %s cannot be read: %s", name, error)
                    if found and self._client.lost_error is not None:
                        break  # what was found is committed
                if self._settings.current.selected_store != primary and self._client.lost_error is None:
                    await self._reader.select_store(access, primary)
        finally:
            self._is_sweeping = False
        if store is None:
            self._includes_every_store = self._reads_reports_first = False
            if now >= self._secondary_stores_due_at:
                self._secondary_stores_due_at = now + SECONDARY_STORE_INTERVAL_S
            # Deleting messages of a secondary store frees slots, into which more messages may arrive.
            self._scheduled_stores = self._reader.damaged_stores | {
                message.slot.store for message in found if message.slot is not None
            }
            self._scheduled_stores -= {primary}
        return sorted(drop_second_names(found), key=lambda message: message.sort_key)

    async def read(self, slot: Slot) -> StoredMessage | None:
        """Return the received message in a slot, None if there is none.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        if slot.index < 0:
            return None
        async with self._client.exclusive() as access:
            return await self._read_slot(access, slot)

    async def delete(self, slot: Slot, raw: str | None = None) -> bool:
        """Delete the message in one slot. An empty slot counts as deleted.

        `raw` is the message that was read from the slot; None deletes any message. Returns False if the slot
        holds another message now, which stays. Raises CommandRefused, SlotKept, ModemLost, and
        CommandTimedOut if the result is unknown: read the slot again then.
        """
        if self._silent_slots.is_kept(slot, asyncio.get_running_loop().time()):
            raise SlotKept("the module does not answer its delete; the next attempt is within an hour")
        async with self._client.exclusive() as access:
            if raw is not None and slot not in self._reader.fresh_slots:
                message = await self._read_slot(access, slot)
                is_unchanged = message is not None and message.raw == raw
                self._reader.fresh_slots.on_read_again(slot, unchanged=is_unchanged)
                if not is_unchanged:
                    return message is None
            await self._reader.select_store(access, slot.store)
            self._reader.fresh_slots.on_delete(slot)
            try:
                await self._reader.exchange(access, AtCommand(f"AT+CMGD={slot.index}", DELETE_TIMEOUT_S))
            except CommandRefused as error:
                if not error.is_one_of(EMPTY_SLOT_ERRORS):
                    raise
            except (CommandTimedOut, ModemLost) as error:
                if not is_restart(error):
                    self._silent_slots.record_delete(slot, asyncio.get_running_loop().time())
                raise
            self._silent_slots.record_deleted(slot)
            return True

    async def _read_slot(self, access: ExclusiveAccess, slot: Slot) -> StoredMessage | None:
        """Read a slot. A plain ERROR may mean that it is empty, which the list of its store shows then."""
        try:
            return await self._reader.read_slot(access, slot)
        except CommandRefused as error:
            if error.kind is not ErrorKind.PLAIN:
                raise
        listed = await self._reader.read_store(access, slot.store)
        return next((message for message in listed if message.slot == slot), None)

    def _due_stores(self) -> list[str]:
        """Return the stores of the next sweep in the order in which they are read."""
        settings = self._settings.current
        if self._includes_every_store:
            stores = [settings.store, *settings.secondary_stores, *settings.other_stores]
            if self._reads_reports_first:
                return sorted(stores, key=lambda name: name != REPORT_STORE)
            return [name for name in stores if name != REPORT_STORE or name in settings.secondary_stores]
        if asyncio.get_running_loop().time() >= self._secondary_stores_due_at:
            return [settings.store, *settings.secondary_stores]
        return [settings.store, *sorted(self._scheduled_stores)]
