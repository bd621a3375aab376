"""A list with a bounded length, for records of a sandbox that runs for months."""

from __future__ import annotations

from typing import TypeVar

Item = TypeVar("Item")

MIN_ITEMS = 1000
"""The latest items that are always kept; the list is shorter than twice this number."""


class BoundedList(list[Item]):
    """A list that drops its oldest items when new ones are appended."""

    def append(self, item: Item, /) -> None:
        """Append an item; when the list has 2 * MIN_ITEMS items, the older half is dropped."""
        super().append(item)
        if len(self) == 2 * MIN_ITEMS:
            del self[:MIN_ITEMS]
