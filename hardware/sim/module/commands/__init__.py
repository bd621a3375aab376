"""All commands of the simulated module, by name; each file implements one part of V.250, 27.007 or 27.005."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_parser import CommandForm
from hardware.sim.module.commands import (
    basic,
    calls,
    identity,
    message_sending,
    message_settings,
    message_storage,
    network,
    packet,
    phonebook,
    sim,
    sim_access,
    state,
)
from hardware.sim.module.commands.scripted import play_answer
from hardware.sim.module.errors import plain_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hardware.profile import SimulatorProfile
    from hardware.sim.module.command_outcome import CommandOutcome
    from hardware.sim.module.command_parser import ParsedCommand
    from hardware.sim.module.parts import CommandDef, ModuleParts

STANDARD_COMMANDS: dict[str, CommandDef] = {
    **basic.COMMANDS,
    **identity.COMMANDS,
    **sim.COMMANDS,
    **sim_access.COMMANDS,
    **phonebook.COMMANDS,
    **state.COMMANDS,
    **network.COMMANDS,
    **packet.COMMANDS,
    **calls.COMMANDS,
    **message_settings.COMMANDS,
    **message_storage.COMMANDS,
    **message_sending.COMMANDS,
}


def commands_for(profile: SimulatorProfile) -> dict[str, CommandDef]:
    """Return the commands of this model of module, vendor commands included."""
    commands = {
        **STANDARD_COMMANDS,
        **network.registration_commands(profile),
        **identity.iccid_commands(profile),
        **state.vendor_commands(profile),
    }
    return {name: command for name, command in commands.items() if name not in profile.unsupported_commands}


def execute_command(
    command: ParsedCommand, commands: Mapping[str, CommandDef], module: ModuleParts
) -> CommandOutcome:
    """Execute one command; raises CommandError. Scripted answers come first."""
    answers = module.context.answers
    if (scripted := answers.find(command)) is not None:
        return play_answer(module, scripted)
    definition = commands.get(command.name)
    if definition is None:
        if command.form is CommandForm.TEST and answers.knows(command.name):
            return []
        raise plain_error()
    if command.form is CommandForm.TEST:
        return [] if definition.test is None else _with_prefix(command.name, definition.test(module))
    module.power.require_ready(definition.requires)
    if command.form is CommandForm.READ:
        if definition.read is None:
            raise plain_error()
        return _with_prefix(command.name, definition.read(module))
    command.parameters.require_at_most(definition.max_parameters)
    act = definition.execute if command.form is CommandForm.EXECUTE else definition.set
    if act is None:
        raise plain_error()
    return act(module, command.parameters)


def _with_prefix(name: str, value: str | CommandOutcome) -> CommandOutcome:
    """Put the command's name in front of a value; an empty value gives no information text."""
    if not isinstance(value, str):
        return value
    return [f"{name}: {value}"] if value else []
