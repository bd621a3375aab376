"""The three services: which number speaks for them and what one message of theirs can carry."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceProfile:
    """One Commands service as seen from the device."""

    name: str
    number: str
    """Digits that Commands come from and answers go to; compared digit for digit, zeros kept."""
    supports_binary: bool
    """Whether the service documents 8-bit Commands (140 octets); text is 160 septets everywhere."""


SERVICE_PROFILES = {
    profile.name: profile
    for profile in (
        ServiceProfile("super-sim", "000", supports_binary=False),
        ServiceProfile("programmable-wireless", "2936", supports_binary=True),
        ServiceProfile("super-sim-beta", "000", supports_binary=False),
    )
}
