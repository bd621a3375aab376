"""Detect that a module sends no notifications: compare what sweeps find with what was announced."""

from __future__ import annotations

import asyncio

from agent.modem.stored_message import UNKNOWN_SLOT, Slot, StoredMessage

NOTIFICATION_GRACE_S = 5.0
"""A notification that does not come within this time after its message was found will not come. Modules delay
notifications while a command runs."""


class NotificationMemory:
    """The notifications of a module over all sessions."""

    def __init__(self) -> None:
        self.has_announced = False
        """True once a notification has come."""
        self.is_silent = False
        """True if sweeps have found messages and no notification has come since, or none ever."""


class NotificationCheck:
    """Keeps the slots in which messages were found that no notification had announced."""

    def __init__(self, memory: NotificationMemory | None = None) -> None:
        self._memory = memory or NotificationMemory()
        self._loop = asyncio.get_running_loop()
        self._announced_slots: set[Slot] = set()
        """Announced since the last sweep."""
        self._unannounced: dict[Slot, float] = {}
        """When each message was found that was not announced."""
        self._known_slots: set[Slot] | None = None
        """The slots that the last sweep found; None before the first one."""
        self._is_reported = False

    def compare_sweep(self, messages: list[StoredMessage]) -> bool:
        """Compare the result of a sweep. Return True once it is clear that notifications do not come.

        The first sweep is not compared: it finds what arrived while the agent did not run. It only makes a
        module silent that has never announced anything.
        """
        now = self._loop.time()
        is_new = self.has_missing and not self._is_reported
        self._is_reported = self._is_reported or is_new
        slots = {message.slot for message in messages if message.slot is not None}
        if self._known_slots is not None:
            self._unannounced |= dict.fromkeys(
                slots - self._announced_slots - self._known_slots - self._unannounced.keys(), now
            )
        self._known_slots = slots
        self._announced_slots.clear()
        if self.has_missing or (slots and not self._memory.has_announced):
            self._memory.is_silent = True
        return is_new

    @property
    def has_missing(self) -> bool:
        """True if a notification has not come within `NOTIFICATION_GRACE_S`."""
        now = self._loop.time()
        return any(now - found_at > NOTIFICATION_GRACE_S for found_at in self._unannounced.values())

    @property
    def has_unannounced(self) -> bool:
        """True if a message was found without a notification, which may still come, or if none ever comes."""
        return bool(self._unannounced) or self._memory.is_silent

    def record_announcement(self, slot: Slot) -> None:
        """Record a notification."""
        self._memory.has_announced, self._memory.is_silent = True, False
        self._announced_slots.add(slot)
        if slot is not UNKNOWN_SLOT:
            if slot in self._unannounced:
                del self._unannounced[slot]
            elif self.has_missing:
                self._unannounced.clear()  # the module does send notifications

    def reset(self) -> None:
        """Begin again as before the first sweep."""
        self._announced_slots.clear()
        self._unannounced.clear()
        self._known_slots = None
        self._is_reported = False
