"""Messages from a SIM, with the parts of a concatenated message joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pdu

if TYPE_CHECKING:
    from datetime import datetime

REASSEMBLY_TIMEOUT_S = 3600.0
"""Seconds after which an incomplete message is dropped; modules send all parts at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoMessage:
    """A complete message from a SIM (mobile originated)."""

    imsi: str
    destination: pdu.Address
    body: str | bytes
    """Text, or the octets of an 8-bit message."""
    received_at: datetime
    """Time at which the last part was accepted."""
    part_count: int = 1


class Reassembler:
    """Joins the parts of concatenated messages, by SIM and destination, in any order."""

    def __init__(self) -> None:
        self._assembler = pdu.Assembler()

    def add(self, imsi: str, message: pdu.Submit, *, now: float, received_at: datetime) -> MoMessage | None:
        """Add a part; returns the complete message, or None while parts are missing. `now` is in seconds."""
        self._assembler.discard_before(now - REASSEMBLY_TIMEOUT_S)
        key = (imsi, message.destination_address)
        whole = self._assembler.add(message.user_data, key, time=now)
        if whole is None:
            return None
        return MoMessage(
            imsi=imsi,
            destination=message.destination_address,
            body=_joined_body(whole),
            received_at=received_at,
            part_count=len(whole.parts),
        )


def _joined_body(whole: pdu.Assembled) -> str | bytes:
    if whole.text is not None:
        return whole.text
    if whole.data is not None:
        return whole.data
    return b"".join(part.octets for part in whole.parts)  # text and octets mixed: as received
