"""All commands of the simulated module, by name; each room holds one part of V.250, 27.007 or 27.005."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.commands import (
    basic,
    card,
    identity,
    message_memory,
    message_sending,
    message_settings,
    network,
    state,
)

if TYPE_CHECKING:
    from hardware.profile import DeviceProfile
    from hardware.sim.module.interpreter import Entry

STANDARD: dict[str, Entry] = {
    **basic.ENTRIES,
    **identity.ENTRIES,
    **card.ENTRIES,
    **state.ENTRIES,
    **network.ENTRIES,
    **message_settings.ENTRIES,
    **message_memory.ENTRIES,
    **message_sending.ENTRIES,
}


def commands(device: DeviceProfile) -> dict[str, Entry]:
    """The commands that this device has, its own names for things included."""
    entries = {**STANDARD, **identity.card_numbers(device), **state.makers(device)}
    return {name: entry for name, entry in entries.items() if name not in device.without}
