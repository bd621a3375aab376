"""All commands of the simulated module, by name; each room holds one part of V.250, 27.007 or 27.005."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.commands import (
    basic,
    identity,
    message_sending,
    message_settings,
    message_storage,
    network,
    sim,
    state,
)

if TYPE_CHECKING:
    from hardware.profile import SimulatorProfile
    from hardware.sim.module.interpreter import CommandDef

STANDARD_COMMANDS: dict[str, CommandDef] = {
    **basic.COMMANDS,
    **identity.COMMANDS,
    **sim.COMMANDS,
    **state.COMMANDS,
    **network.COMMANDS,
    **message_settings.COMMANDS,
    **message_storage.COMMANDS,
    **message_sending.COMMANDS,
}


def commands_for(profile: SimulatorProfile) -> dict[str, CommandDef]:
    """The commands that this device has, its own names for things included."""
    entries = {**STANDARD_COMMANDS, **identity.iccid_commands(profile), **state.vendor_commands(profile)}
    return {name: entry for name, entry in entries.items() if name not in profile.unsupported_commands}
