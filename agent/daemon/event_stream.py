"""Copies the log events to clients of the control socket that follow them while they happen."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from agent.common.events import Event, EventSink, Severity

MAX_WAITING = 1000
"""Events that wait for a client that does not read; further ones displace the oldest."""


class _Follower:
    """The events that one client has not received."""

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque(maxlen=MAX_WAITING)
        self.arrived = asyncio.Event()


class EventStream:
    """An `EventSink` that passes every event on. Without a client it does nothing else."""

    def __init__(self, emit: EventSink, wall_clock: Callable[[], float]) -> None:
        self._emit = emit
        self._wall_clock = wall_clock
        self._followers: dict[_Follower, None] = {}

    def __call__(self, event: Event) -> None:
        """Pass an event on, and copy it for the clients."""
        self._emit(event)
        if self._followers and event.severity > Severity.DEBUG:
            item = {"at": self._wall_clock(), **event_to_json(event)}
            for follower in self._followers:
                follower.waiting.append(item)
                follower.arrived.set()

    async def follow(self) -> AsyncIterator[Mapping[str, Any]]:
        """Yield each event from now on.

        An event has `at` (seconds since 1970) and what `event_to_json` returns.
        """
        follower = _Follower()
        self._followers[follower] = None
        try:
            while True:
                while follower.waiting:
                    yield follower.waiting.popleft()
                follower.arrived.clear()
                await follower.arrived.wait()
        finally:
            del self._followers[follower]


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event as JSON values.

    They are `kind`, `message` and `severity`, and if they apply `command` and `reply` (numbers in the
    journal), `sid`, and the content of the SMS message as `text` or `hex`.
    """
    fields = {
        "command": event.command_id,
        "sid": event.sid,
        "reply": event.reply_id,
        "text": event.content if isinstance(event.content, str) else None,
        "hex": event.content.hex() if isinstance(event.content, bytes) else None,
    }
    return {
        "kind": str(event.kind),
        "message": event.message,
        "severity": event.severity.name.lower(),
        **{name: value for name, value in fields.items() if value is not None},
    }
