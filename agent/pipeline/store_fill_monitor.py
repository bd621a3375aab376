"""Warns the operator before a message store of the module is full."""

from __future__ import annotations

from collections.abc import Sequence

from agent.common.events import EventSink
from agent.modem.stored_message import StoredMessage
from agent.pipeline import receiver_events

NEARLY_FULL_RATIO = 0.8
"""Used fraction of a store's capacity from which the operator is warned."""


class StoreFillMonitor:
    """Remembers the stores for which the warning has been logged."""

    def __init__(self, emit: EventSink) -> None:
        self._emit = emit
        self._nearly_full: set[str] = set()

    @property
    def has_nearly_full(self) -> bool:
        """True if a store was nearly full in the last sweeps."""
        return bool(self._nearly_full)

    def check(self, messages: Sequence[StoredMessage], store_usage: Sequence[tuple[str, int, int]]) -> bool:
        """Return True if a store is nearly full. Log it once, until `clear`.

        `store_usage` has the name, the used slots and the capacity of each store.
        """
        is_nearly_full = False
        for store, _, capacity in store_usage:
            used = sum(message.slot is not None and message.slot.store == store for message in messages)
            if used and used >= NEARLY_FULL_RATIO * capacity:
                is_nearly_full = True
                if store not in self._nearly_full:
                    self._nearly_full.add(store)
                    self._emit(receiver_events.nearly_full_event(store, used, capacity))
        return is_nearly_full

    def clear(self) -> None:
        """Record that a sweep found no store nearly full."""
        self._nearly_full.clear()
