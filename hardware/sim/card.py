"""The SIM card: identity, PIN with its tries, service centre, and the few messages that it can keep.

All of this travels with the card and survives every restart of the module; only the entered PIN does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pdu import Address


@dataclass(slots=True)
class Sim:
    """A SIM as the factory and its owner left it."""

    imsi: str = "234500000000001"
    iccid: str = "89440000000000000017"
    pin: str | None = None
    """None: no PIN is asked for."""
    puk: str = "12345678"
    pin_tries: int = 3
    puk_tries: int = 10
    service_centre: Address = field(default_factory=lambda: Address.parse("+447700900000"))
    message_slots: int = 10
    """How many messages fit on it (EF_SMS); 10 to 50 in the field."""
    last_message_reference: int = 255
    """TP-MR of the last SUBMIT (EF_SMSS); the next one is this plus 1, modulo 256 (23.040 9.2.3.6)."""
    present: bool = True
