"""The Commands that a service keeps, in order of creation; the oldest go by age and by number.

Adding, finding and removing a Command costs the same however many there are.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import timedelta
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from hardware.sim.service.resource import CommandResource
    from hardware.sim.service.rules import ServiceRules

RETENTION_DAYS = 30
"""Days from creation until a resource is no longer found, as documented."""


class CommandCollection:
    """The Commands of one service. `drop` is called with each one that goes because there are too many."""

    def __init__(
        self,
        wall_clock: Callable[[], datetime],
        rules: ServiceRules,
        drop: Callable[[CommandResource], None],
    ) -> None:
        self._wall_clock = wall_clock
        self._rules = rules
        self._drop = drop
        self._by_sid: dict[str, CommandResource] = {}
        self._rows: list[CommandResource] = []

    def add(self, resource: CommandResource) -> None:
        """Add the newest Command."""
        self._by_sid[resource.sid] = resource
        self._rows.append(resource)
        limit = max(self._rules.max_commands, 1)
        if len(self._rows) > limit:
            # A hundredth goes together: taking one at a time would move the others each time.
            count = len(self._rows) - limit + limit // 100
            for old in self._rows[:count]:
                self._drop(old)
            self._forget_oldest(count)

    def find(self, sid: str) -> CommandResource | None:
        """Return a Command, None if there is none or it is over 30 days old."""
        self._forget_expired()
        return self._by_sid.get(sid)

    def remove(self, resource: CommandResource) -> None:
        """Remove a Command."""
        _forget(self._by_sid.pop(resource.sid))
        del self._rows[bisect_left(self._rows, resource.serial, key=attrgetter("serial"))]

    def list_oldest_first(self) -> Sequence[CommandResource]:
        """Return the Commands that are not too old; the list changes with the next call of a method."""
        self._forget_expired()
        return self._rows

    def _forget_expired(self) -> None:
        oldest = self._wall_clock() - timedelta(days=RETENTION_DAYS)
        count = 0
        while count < len(self._rows) and self._rows[count].created_at < oldest:
            count += 1
        self._forget_oldest(count)

    def _forget_oldest(self, count: int) -> None:
        for resource in self._rows[:count]:
            _forget(self._by_sid.pop(resource.sid))
        del self._rows[:count]


def _forget(resource: CommandResource) -> None:
    """Break the cycle of a Command and its messages, so that its memory is free at once."""
    resource.mt_messages.clear()
