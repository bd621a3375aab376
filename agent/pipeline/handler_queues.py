"""Queues of pending Commands, one for each handler. They hold ids of the journal, not the Commands."""

from __future__ import annotations

from collections import deque

from agent.handlers.registry import HandlerSpec
from pdu.record import Record


class HandlerKey(Record):
    """Identifies the queue of a handler; both fields are empty for Commands without a handler."""

    queue: str = ""
    """Handlers with the same value never run concurrently."""
    name: str = ""

    @classmethod
    def of(cls, spec: HandlerSpec | None) -> HandlerKey:
        return cls() if spec is None else cls(spec.queue_key, spec.name)


class HandlerQueues:
    """Pending Commands by handler, as ids of the journal in the order of arrival."""

    def __init__(self) -> None:
        self._queues: dict[HandlerKey, deque[int]] = {}
        self.newest_id = 0
        """The highest id ever added. Commands with higher ids have not been read from the journal."""

    def append(self, key: HandlerKey, command_id: int) -> None:
        """Add a new Command at the end of its queue."""
        self._queues.setdefault(key, deque()).append(command_id)

    def prepend(self, key: HandlerKey, command_id: int) -> None:
        """Put a Command that has to be tried again at the front of its queue.

        Commands with ids above `newest_id` are still to be read from the journal, and this is one of them.
        """
        if command_id > self.newest_id:
            return
        self._queues.setdefault(key, deque()).appendleft(command_id)

    def heads(self) -> list[tuple[HandlerKey, int]]:
        """Return the first Command of each queue, oldest first."""
        return sorted(((key, queue[0]) for key, queue in self._queues.items()), key=lambda head: head[1])

    def pop(self, key: HandlerKey) -> None:
        """Remove the first Command of a queue."""
        queue = self._queues[key]
        queue.popleft()
        if not queue:
            del self._queues[key]
