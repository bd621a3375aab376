"""Knows which slots still hold what was read from them. No I/O.

Some modules free several slots with one delete, and another message may take one of them without a
notification. So after a delete the other slots are read again before their own deletes. Most modules free one
slot. When some slots of a session were read again and all held the same message, the others are not read
again: in a burst of messages that saves a third of the octets on the line.
"""

from __future__ import annotations

from collections.abc import Iterable

from agent.modem.stored_message import Slot

SUFFICIENT_READS = 3
"""A module is trusted to free one slot at a time when so many were unchanged after deletes of others."""


class FreshSlots:
    """The slots of one session."""

    def __init__(self) -> None:
        self._fresh: set[Slot] = set()
        """They hold what was read from them."""
        self._doubtful: set[Slot] = set()
        """They were fresh until another slot was deleted."""
        self._unchanged_reads = 0
        self._frees_others = False
        """True if a slot has changed with the delete of another one."""

    def __contains__(self, slot: Slot) -> bool:
        return slot in self._fresh

    def add(self, slots: Iterable[Slot]) -> None:
        """Record that slots were read."""
        self._fresh.update(slots)

    def forget(self, slot: Slot) -> None:
        """Record that a slot, perhaps under another name of its store, may hold another message now.

        Every slot, if it has no index.
        """
        self._fresh = {each for each in self._fresh if slot.index not in {each.index, -1}}
        self._doubtful = {each for each in self._doubtful if slot.index not in {each.index, -1}}

    def clear(self) -> None:
        """Record that every slot may hold another message now."""
        self._fresh.clear()
        self._doubtful.clear()

    def on_delete(self, slot: Slot) -> None:
        """Record that a slot is about to be deleted."""
        self.forget(slot)
        if not self._is_trusted:
            self._doubtful |= self._fresh
            self._fresh.clear()

    def on_read_again(self, slot: Slot, *, unchanged: bool) -> None:
        """Record what was found in a slot that was not fresh any more."""
        if slot not in self._doubtful:
            return
        self._doubtful.discard(slot)
        self._frees_others = self._frees_others or not unchanged
        self._unchanged_reads += 1
        if self._is_trusted:
            self._fresh |= self._doubtful
            self._doubtful.clear()

    @property
    def _is_trusted(self) -> bool:
        return self._unchanged_reads >= SUFFICIENT_READS and not self._frees_others
