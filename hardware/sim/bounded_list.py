"""A record of what happened that does not grow for ever: a sandbox runs for months."""

from __future__ import annotations

from typing import TypeVar

Item = TypeVar("Item")

MIN_ITEMS = 1000
"""So many of the latest items are kept at least, and less than twice as many."""


class BoundedList(list[Item]):
    """A list that forgets its oldest items as new ones are appended."""

    def append(self, item: Item, /) -> None:
        """Add one; every thousandth time as many of the oldest go."""
        super().append(item)
        if len(self) == 2 * MIN_ITEMS:
            del self[:MIN_ITEMS]
