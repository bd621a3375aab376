"""Remembers which stores and slots the module did not answer for: some messages silence a module."""

from __future__ import annotations

from math import inf

from agent.modem.stored_message import Slot

FIRST_RETRY_S = 300.0
"""Time until a slot that was not answered is read again. It doubles each time; for a slot whose reading ends
sessions it is the longest from the second time on."""
MAX_RETRY_S = 3600.0
"""Longest time until the next attempt to list a store, or to read a slot, that was not answered."""
MIN_SLOT_SILENCES = 2
"""Readings without an answer after which a slot is skipped. One counts for two if the list of the store was
not answered either and the module answers other commands since."""


class SilentSlots:
    """The stores whose list, and the slots whose reading, was not answered. It outlives the sessions.

    A store whose list was not answered is read slot by slot. A slot that was not answered then is skipped for
    a while, so that the others are read. All times are seconds of one monotonic clock.
    """

    def __init__(self) -> None:
        self._unlisted_until: dict[str, float] = {}
        """The time until which each store is not listed."""
        self._silences: dict[Slot, int] = {}
        self._skipped_until: dict[Slot, float] = {}
        self._silent_deletes: dict[Slot, tuple[int, float]] = {}
        """How often the delete of a slot was not answered, and the time of the next attempt."""
        self._unreported: list[Slot] = []
        self.silence_count = 0
        """The number of lists and readings that were not answered."""

    def record_list(self, store: str, now: float) -> None:
        """Record that a list was not answered."""
        self.silence_count += 1
        self._unlisted_until[store] = now + MAX_RETRY_S

    def is_unlistable(self, store: str, now: float) -> bool:
        """Return True if a store is to be read slot by slot."""
        return now < self._unlisted_until.get(store, now)

    def record_slot(self, slot: Slot, now: float, *, is_lost: bool) -> None:
        """Record that the reading of one slot was not answered. `is_lost`: it ended the session.

        If it did, and the list of its store was not answered either, the slot is skipped for a while at once:
        the others are read meanwhile.
        """
        self.silence_count += 1
        is_list_silent = self.is_unlistable(slot.store, now)
        before = self._silences.get(slot, 0)
        silences = before + (MIN_SLOT_SILENCES if is_list_silent and not is_lost else 1)
        self._silences[slot] = silences
        if before < MIN_SLOT_SILENCES <= silences:
            self._unreported.append(slot)
        if silences < MIN_SLOT_SILENCES and not (is_list_silent and is_lost):
            return
        doublings = max(silences // MIN_SLOT_SILENCES - 1, 0)
        retry_s = min(FIRST_RETRY_S * 2.0**doublings, MAX_RETRY_S)
        is_costly = is_lost and silences >= MIN_SLOT_SILENCES
        self._skipped_until[slot] = now + (MAX_RETRY_S if is_costly else retry_s)

    def record_answer(self, slot: Slot) -> None:
        """Record that a slot was answered."""
        self._silences.pop(slot, None)
        self._skipped_until.pop(slot, None)

    def record_delete(self, slot: Slot, now: float) -> None:
        """Record that the delete of one slot was not answered."""
        silences, _ = self._silent_deletes.get(slot, (0, 0.0))
        self._silent_deletes[slot] = silences + 1, now + MAX_RETRY_S

    def record_deleted(self, slot: Slot) -> None:
        """Record that the delete of a slot was answered."""
        self._silent_deletes.pop(slot, None)

    def is_kept(self, slot: Slot, now: float) -> bool:
        """Return True if a slot is not to be deleted now."""
        silences, retry_at = self._silent_deletes.get(slot, (0, now))
        return silences >= MIN_SLOT_SILENCES and now < retry_at

    @property
    def skipped(self) -> tuple[Slot, ...]:
        """The slots that are skipped, or are being tried again."""
        return tuple(self._skipped_until)

    @property
    def next_retry_at(self) -> float:
        """The time from which the next of the skipped slots is to be read; infinite if there is none."""
        return min(self._skipped_until.values(), default=inf)

    def is_skipped(self, slot: Slot, now: float) -> bool:
        """Return True if a slot is not to be read now."""
        return now < self._skipped_until.get(slot, now)

    def take_unreported(self) -> list[Slot]:
        """Return the slots that are skipped and were not returned before."""
        slots, self._unreported = self._unreported, []
        return slots
