"""A received message and the slot in which the module stores it."""

from __future__ import annotations

from collections.abc import Iterable

import pdu
from pdu.record import Record

REPORT_STORE = "SR"
"""27.005 <mem> of status reports. "BM" is the one of cell broadcasts."""


class Slot(Record):
    """A slot in a store of the module."""

    store: str
    """27.005 <mem>: "SM", "ME" ...; empty if the store cannot be selected."""
    index: int
    """27.005 <index>; negative if it is unknown."""

    def __str__(self) -> str:
        return f"{self.store or 'store'} {self.index}"


UNKNOWN_SLOT = Slot("", -1)
"""The slot of a message that only a sweep of all stores can find."""


class Undecodable(Record):
    """A message that cannot be decoded; `StoredMessage.raw` keeps its text."""

    reason: str


class StoredMessage(Record):
    """A received message as the module shows it."""

    slot: Slot | None
    """None if the message was delivered directly and is not stored."""
    raw: str
    """The text that the module printed: in PDU mode the hexadecimal digits."""
    message: pdu.Deliver | pdu.StatusReport | Undecodable
    is_intact: bool = True
    """True if its length is the announced one. Otherwise octets may have been lost on the line."""
    is_doubtful: bool = False
    """True if something came with it that nothing explains: it may be the message of another slot."""

    @property
    def sort_key(self) -> tuple[bool, float, str, int]:
        """Service centre timestamp, then slot; messages without a time come last."""
        time = None
        if not isinstance(self.message, Undecodable):
            time = self.message.service_centre_timestamp.time
        slot = self.slot or UNKNOWN_SLOT
        return (time is None, time.timestamp() if time is not None else 0.0, slot.store, slot.index)


def drop_second_names(messages: Iterable[StoredMessage]) -> list[StoredMessage]:
    """Return the messages without those that another store shows, too.

    On some modules two stores are names of one memory. If the message is stored twice, the next sweep shows
    the second one again after the first was deleted.
    """
    stores: dict[str, str] = {}
    return [
        message
        for message in messages
        if message.slot is None or stores.setdefault(message.raw, message.slot.store) == message.slot.store
    ]
