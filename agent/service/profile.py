"""The three services: their numbers, and the kinds of messages that they carry."""

from __future__ import annotations

from pdu.record import Record


class ServiceProfile(Record):
    """One Commands service as seen from the device."""

    name: str
    number: str
    """Number that Commands come from and replies go to; compared digit by digit, with leading zeros."""
    supports_binary: bool
    """True if the service documents 8-bit Commands (140 octets). All services carry 160 septets of text."""


SERVICE_PROFILES = {
    profile.name: profile
    for profile in (
        ServiceProfile("super-sim", "000", supports_binary=False),
        ServiceProfile("programmable-wireless", "2936", supports_binary=True),
        ServiceProfile("super-sim-beta", "000", supports_binary=False),
    )
}
