"""The three services: which number speaks for them and what one message of theirs can carry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceProfile:
    """One Commands service as seen from the device."""

    name: str
    number: str
    """Digits that Commands come from and answers go to; compared digit for digit, zeros kept."""
    sid_prefix: str
    """Prefix of the SIDs that the service itself gives (either is understood in every text)."""
    supports_binary: bool
    """Whether the service documents 8-bit Commands (140 octets); text is 160 septets everywhere."""
    lists_replies: bool
    """Whether an answer appears in the service's list (the first beta neither stores nor lists it)."""


SERVICE_PROFILES = {
    profile.name: profile
    for profile in (
        ServiceProfile("super-sim", "000", "HC", supports_binary=False, lists_replies=True),
        ServiceProfile("programmable-wireless", "2936", "DC", supports_binary=True, lists_replies=True),
        ServiceProfile("super-sim-beta", "000", "HC", supports_binary=False, lists_replies=False),
    )
}
