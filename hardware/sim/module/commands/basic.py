"""Commands of V.250: echo, result codes, S-parameters, resets, baud rate, and commands of dial-up scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome
from hardware.sim.module.errors import plain_error
from hardware.sim.module.parts import CommandDef, remembered_numbers
from hardware.sim.module.settings import BASIC_COMMANDS, factory_settings

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts
    from hardware.sim.module.settings import Settings

BOOLEAN = range(2)


def _flag_command(name: str) -> CommandDef:
    """Return a command that sets the flag `name` of the settings."""

    def act(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
        setattr(module.settings, name, bool(parameters.get_number(0, BOOLEAN, 0)))
        return []

    return CommandDef(execute=act)


def _access_s_register(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """`S3=13`, `S3?`; the read form answers three digits without a name (V.250 5.3.2)."""
    number = parameters.get_number(0, range(256))
    if number not in module.settings.registers or len(parameters.items) == 1:  # a bare S is not a command
        raise plain_error()
    if parameters.items[1] == "?":
        return [f"{module.settings.registers[number]:03}"]
    highest = 127 if number in {3, 4, 5} else 255
    module.settings.registers[number] = parameters.get_number(2, range(highest + 1), 0)
    return []


def _reset_to_saved(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """ATZ: restore the saved settings; the rest of the line is ignored (V.250 6.1.1)."""
    parameters.get_number(0, BOOLEAN, 0)
    _apply_settings(module, module.context.saved_settings)
    module.line.skip_rest()
    return []


def _reset_to_factory(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    parameters.get_number(0, range(1), 0)
    _apply_settings(module, factory_settings(module.profile))
    return []


def _apply_settings(module: ModuleParts, settings: Settings) -> None:
    """Apply all settings except the baud rate, which would cut off the client."""
    rate = module.settings.ipr
    module.settings.copy_from(settings)
    module.settings.ipr = rate


def _save_settings(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    parameters.get_number(0, BOOLEAN, 0)
    module.context.saved_settings.copy_from(module.settings)
    return []


def _show_settings(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """AT&V: the settings in effect, as free text."""
    parameters.get_number(0, range(1), 0)
    settings = module.settings
    flags = {"E": settings.echo, "Q": settings.quiet, "V": settings.verbose}
    basic = [f"{name}{int(value)}" for name, value in (flags | settings.basic_commands).items()]
    registers = [f"S{number}={value:03}" for number, value in settings.registers.items()]
    return [" ".join(basic) + "\r\n" + " ".join(registers)]


def _accept(_module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    return []


def _stored_command(name: str) -> CommandDef:
    def act(module: ModuleParts, values: CommandParameters) -> CommandOutcome:
        module.settings.basic_commands[name] = values.get_number(0, range(10), 0)
        return []

    return CommandDef(execute=act)


def _set_baud(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+IPR: the answer is still sent at the old rate (V.250 6.2.10)."""
    rate = module.settings.ipr = parameters.get_number(0, BAUD_RATES)

    def switch() -> None:
        module.context.timers.call_after(BAUD_SWITCH_DELAY_S, lambda: module.context.on_baud_change(rate))

    module.line.call_after_result(switch)
    return []


def _set_flow_control(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    module.settings.ifc = (parameters.get_number(0, range(3), 2), parameters.get_number(1, range(3), 2))
    return []


def _list_commands(module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    """+CLAC, 27.007 8.37: one command per line."""
    return ["\r\n".join(f"AT{name}" for name in sorted(module.line.command_names))]


BAUD_SWITCH_DELAY_S = 0.01
"""Delay until the answer to +IPR has been sent."""
BAUD_RATES = (0, 300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)

COMMANDS = {
    "E": _flag_command("echo"),
    "V": _flag_command("verbose"),
    "Q": _flag_command("quiet"),
    "S": CommandDef(execute=_access_s_register, max_parameters=3),
    "Z": CommandDef(execute=_reset_to_saved),
    "&F": CommandDef(execute=_reset_to_factory),
    "&W": CommandDef(execute=_save_settings),
    "T": CommandDef(execute=_accept),
    "P": CommandDef(execute=_accept),
    **{name: _stored_command(name) for name in BASIC_COMMANDS},
    "&V": CommandDef(execute=_show_settings),
    "+ICF": remembered_numbers("+ICF", range(1, 7), range(4), default=(3, 3)),
    "+ILRR": remembered_numbers("+ILRR", range(2), default=(0,)),
    "+IPR": CommandDef(
        set=_set_baud,
        read=lambda module: str(module.settings.ipr),
        test=lambda _: f"(),({','.join(map(str, BAUD_RATES))})",
    ),
    "+IFC": CommandDef(
        set=_set_flow_control,
        read=lambda module: ",".join(map(str, module.settings.ifc)),
        test=lambda _: "(0-2),(0-2)",
        max_parameters=2,
    ),
    "+GCAP": CommandDef(execute=lambda _module, _values: ["+GCAP: +CGSM"]),
    "+CLAC": CommandDef(execute=_list_commands),
}
