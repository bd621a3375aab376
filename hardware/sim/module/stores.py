"""The message stores: SM on the SIM, ME in the module, SR for reports, MT over several (27.005 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdu import Address


class MessageStatus(IntEnum):
    """`<stat>` of 27.005 3.1."""

    UNREAD = 0
    READ = 1
    UNSENT = 2
    SENT = 3

    @property
    def text(self) -> str:
        """The form of text mode."""
        return ("REC UNREAD", "REC READ", "STO UNSENT", "STO SENT")[self]

    @property
    def is_received(self) -> bool:
        """True if the message came from the network."""
        return self <= MessageStatus.READ


@dataclass(slots=True)
class StoredTpdu:
    """One message in a slot."""

    status: MessageStatus
    service_centre: Address | None
    tpdu: bytes


class Store(Protocol):
    """A store of `+CPMS` with numbered slots. Slots count from 0, without the index base of the profile."""

    @property
    def capacity(self) -> int: ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[tuple[int, StoredTpdu]]: ...

    def get(self, slot: int) -> StoredTpdu | None: ...

    def add(self, message: StoredTpdu) -> int | None: ...

    def replace(self, slot: int, message: StoredTpdu) -> None: ...

    def delete(self, slot: int) -> None: ...


class FixedStore:
    """A store with its own slots. The lowest free slot is used first, so indices are soon used again."""

    def __init__(self, capacity: int) -> None:
        self._slots: list[StoredTpdu | None] = [None] * capacity

    @property
    def capacity(self) -> int:
        """Number of messages that fit in the store."""
        return len(self._slots)

    def __len__(self) -> int:
        return sum(message is not None for message in self._slots)

    def __iter__(self) -> Iterator[tuple[int, StoredTpdu]]:
        return ((slot, message) for slot, message in enumerate(self._slots) if message is not None)

    def get(self, slot: int) -> StoredTpdu | None:
        """Return the message, or None if the slot is empty or does not exist."""
        return self._slots[slot] if 0 <= slot < len(self._slots) else None

    def add(self, message: StoredTpdu) -> int | None:
        """Store a message; returns its slot, or None if the store is full."""
        for slot, present in enumerate(self._slots):
            if present is None:
                self._slots[slot] = message
                return slot
        return None

    def replace(self, slot: int, message: StoredTpdu) -> None:
        """Replace the message in a slot."""
        self._slots[slot] = message

    def delete(self, slot: int) -> None:
        """Empty a slot."""
        self._slots[slot] = None


class CombinedStore:
    """Several stores under one name (MT): the slots of the first, then those of the next."""

    def __init__(self, *stores: Store) -> None:
        self._stores = stores

    @property
    def capacity(self) -> int:
        """Sum of the capacities."""
        return sum(part.capacity for part in self._stores)

    def __len__(self) -> int:
        return sum(len(part) for part in self._stores)

    def __iter__(self) -> Iterator[tuple[int, StoredTpdu]]:
        base = 0
        for part in self._stores:
            yield from ((base + slot, message) for slot, message in part)
            base += part.capacity

    def get(self, slot: int) -> StoredTpdu | None:
        """Return the message, or None if the slot is empty or does not exist."""
        found = self._locate(slot)
        return found[0].get(found[1]) if found else None

    def add(self, message: StoredTpdu) -> int | None:
        """Store a message in the first store that is not full; returns its slot, or None if all are full."""
        base = 0
        for part in self._stores:
            slot = part.add(message)
            if slot is not None:
                return base + slot
            base += part.capacity
        return None

    def replace(self, slot: int, message: StoredTpdu) -> None:
        """Replace the message in a slot."""
        found = self._locate(slot)
        if found:
            found[0].replace(found[1], message)

    def delete(self, slot: int) -> None:
        """Empty a slot."""
        found = self._locate(slot)
        if found:
            found[0].delete(found[1])

    def _locate(self, slot: int) -> tuple[Store, int] | None:
        for part in self._stores:
            if 0 <= slot < part.capacity:
                return part, slot
            slot -= part.capacity
        return None
