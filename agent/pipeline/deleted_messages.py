"""Remembers what was deleted from each slot of the module, and which messages the module has kept.

Some modules answer OK to a delete and keep the message. Such a message is stored in the journal and logged
once, not at each sweep, and its delete is tried again.
"""

from __future__ import annotations

from agent.common.runtime import Runtime
from agent.journal.inbox import CommandStore
from agent.modem.stored_message import Slot, StoredMessage
from agent.pipeline import receiver_events


class DeletedMessages:
    """The deleted messages of one session."""

    def __init__(self, *, runtime: Runtime, command_store: CommandStore) -> None:
        self._db = runtime.db
        self._emit = runtime.emit
        self._command_store = command_store
        self._deleted: dict[Slot, str] = {}
        """The message that was deleted from each slot, until another message is announced in it."""
        self._kept: dict[Slot, str] = {}
        """The message that the module has kept in each slot although it answered OK to the delete."""
        self._reported: set[tuple[Slot, str]] = set()
        """The messages for which it has been logged that the module does not delete them."""

    def record_deleted(self, slot: Slot, raw: str) -> None:
        """Record that the module has answered OK to the delete of a message."""
        self._deleted[slot] = raw
        if self._kept.get(slot) != raw:
            self._command_store.mark_slot_free((slot.store, slot.index))

    def report_kept(self, slot: Slot, raw: str, reason: str) -> None:
        """Log once that the module does not delete a message."""
        if (slot, raw) not in self._reported:
            self._reported.add((slot, raw))
            self._emit(receiver_events.not_deleted_event(slot, reason))

    async def check_kept(self, message: StoredMessage) -> None:
        """Record a message that is still in its slot after its delete: the journal has it already.

        Raises sqlite3.Error.
        """
        slot = message.slot
        if slot is not None and self._deleted.get(slot) == message.raw != self._kept.get(slot):
            await self._db.run(self._command_store.mark_slot_kept, (slot.store, slot.index), message.raw)
            self._kept[slot] = message.raw
            self.report_kept(slot, message.raw, "the module answers OK to its delete and keeps it")

    def forget(self, slot: Slot) -> None:
        """Forget a slot, because another message may have taken it; all slots if it has no index."""
        for emptied in [slot] if slot.index >= 0 else list(self._deleted):
            self._deleted.pop(emptied, None)
            self._kept.pop(emptied, None)
