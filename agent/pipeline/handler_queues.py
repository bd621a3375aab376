"""The Commands that wait for a handler, by number: what is next for each, however many wait."""

from __future__ import annotations

from collections import deque

HandlerKey = tuple[str, str]
"""The lane, which is what may run one at a time, and the handler's name; empty where there is none."""


class HandlerQueues:
    """Queues of numbers, one a handler, each in the order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[HandlerKey, deque[int]] = {}
        self.newest_id = 0
        """The highest number that has been put in: what is higher has not been looked at."""

    def append(self, key: HandlerKey, command_id: int) -> None:
        """Behind the others."""
        self._queues.setdefault(key, deque()).append(command_id)

    def prepend(self, key: HandlerKey, command_id: int) -> None:
        """In front of the others: it is to be tried again."""
        self._queues.setdefault(key, deque()).appendleft(command_id)

    def heads(self) -> list[tuple[HandlerKey, int]]:
        """The first of each queue, oldest first."""
        return sorted(((place, queue[0]) for place, queue in self._queues.items()), key=lambda each: each[1])

    def pop(self, key: HandlerKey) -> None:
        """The first of that queue waits no more."""
        queue = self._queues[key]
        queue.popleft()
        if not queue:
            del self._queues[key]
