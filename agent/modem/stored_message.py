"""A message as a module holds it, and where."""

from __future__ import annotations

from dataclasses import dataclass

import pdu


@dataclass(frozen=True, slots=True)
class Slot:
    """A place in a store of the module."""

    store: str
    """27.005 <mem>: "SM", "ME" ...; empty where the module lets nobody choose."""
    index: int
    """27.005 <index>; below 0: the module said that something came, but not where."""

    def __str__(self) -> str:
        return f"{self.store or 'store'} {self.index}"


UNKNOWN_SLOT = Slot("", -1)
"""Look at everything."""


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that is none: its octets are kept as they came."""

    reason: str


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A received message."""

    slot: Slot | None
    """None for one that was delivered directly and is stored nowhere."""
    raw: str
    """What the module printed: in PDU mode the hexadecimal digits."""
    message: pdu.Deliver | pdu.StatusReport | Undecodable
    is_intact: bool = True
    """Whether it is as long as the module says. Otherwise octets may have been lost on the line."""

    @property
    def sort_key(self) -> tuple[bool, float, str, int]:
        """Service centre time stamp, then slot; what has no time comes last."""
        time = None
        if not isinstance(self.message, Undecodable):
            time = self.message.service_centre_timestamp.time
        slot = self.slot or UNKNOWN_SLOT
        return (time is None, time.timestamp() if time is not None else 0.0, slot.store, slot.index)
