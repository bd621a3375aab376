"""Registration, operator, signal: 27.007 5.9, 7.2, 7.3, 7.21, 8.5, 8.69, 10.1.20 to 22 and 28."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import PENDING, CommandOutcome, Requirement
from hardware.sim.module.errors import cme_error
from hardware.sim.module.parts import CommandDef, format_range, number_setting, remembered_numbers

if TYPE_CHECKING:
    from hardware.profile import SimulatorProfile
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

PREFERRED_OPERATORS = range(1, 11)


def _registration_command(name: str, highest: int) -> CommandDef:
    def act(module: ModuleParts, values: CommandParameters) -> CommandOutcome:
        module.settings.creg[name] = values.get_number(0, range(highest + 1), 0)
        return []

    def read(module: ModuleParts) -> str:
        level, registration = module.settings.creg[name], module.registration
        return f"{level},{registration.domain_stat(name)}{registration.format_location(name, level)}"

    return CommandDef(execute=act, set=act, read=read, test=lambda _: f"(0-{highest})")


def _select_operator(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+COPS: 0 and 4 search, 1 selects the named operator, 2 deregisters, 3 sets only the format."""
    registration, mode = module.registration, parameters.get_number(0, range(5), 0)
    module.settings.cops_format = parameters.get_number(1, range(3), module.settings.cops_format)
    if mode == 1 and parameters.get_string(2) not in registration.cell.operator_names:
        raise cme_error(30)
    if mode == 2:
        registration.deregister()
    if mode != 3:
        registration.operator_mode = mode
        module.line.call_after_result(registration.search)
    return []


def _show_operator(module: ModuleParts) -> str:
    registration, format_ = module.registration, module.settings.cops_format
    if not registration.is_registered:
        return str(registration.operator_mode)
    cell = registration.cell
    return f'{registration.operator_mode},{format_},"{cell.operator_names[format_]}",{cell.access_technology}'


def _scan_operators(module: ModuleParts) -> CommandOutcome:
    """+COPS=?: the scan takes the time of the profile."""
    cell = module.registration.cell
    names = ",".join(f'"{name}"' for name in cell.operator_names)
    stat = 2 if module.registration.is_registered else 1
    answer = [f"+COPS: ({stat},{names},{cell.access_technology}),,(0-4),(0-2)"]
    module.context.timers.call_after(module.profile.network_scan_s, lambda: module.line.complete(answer))
    return PENDING


def _show_signal(module: ModuleParts) -> int:
    return module.registration.cell.rssi if module.registration.is_registered else 99


def _show_extended_signal(module: ModuleParts) -> str:
    """+CESQ: RSRP derived from `<rssi>`, RSRQ constant; all unknown without a network."""
    if not module.registration.is_registered:
        return "99,99,255,255,255,255"
    return f"99,99,255,255,20,{min(97, max(0, 28 + 2 * module.registration.cell.rssi))}"


def _list_operator_names(module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    """+COPN: the only operator that this module knows."""
    long_name, _, number = module.registration.cell.operator_names
    return [f'+COPN: "{number}","{long_name}"']


def _set_preferred_operator(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPOL=[<index>][,<format>[,<oper>[,...]]]: the format is remembered; the list on the SIM is empty."""
    if parameters.has(0) and parameters.has(2):
        raise cme_error(3)
    if parameters.has(0):
        parameters.get_number(0, PREFERRED_OPERATORS)
    module.settings.numbers["+CPOL"] = (parameters.get_number(1, range(3), 0),)
    return []


def registration_commands(profile: SimulatorProfile) -> dict[str, CommandDef]:
    """Return +CREG, +CGREG and +CEREG with the values of <n> that this model of module has."""
    return {
        name: _registration_command(name, highest) for name, highest in profile.registration_levels.items()
    }


COMMANDS = {
    "+COPS": CommandDef(
        set=_select_operator,
        read=_show_operator,
        test=_scan_operators,
        max_parameters=4,
        requires=Requirement.SIM,
    ),
    "+CSQ": CommandDef(
        execute=lambda module, _values: [f"+CSQ: {_show_signal(module)},99"],
        test=lambda _: "(0-31,99),(0-7,99)",
    ),
    "+CESQ": CommandDef(
        execute=lambda module, _values: [f"+CESQ: {_show_extended_signal(module)}"],
        test=lambda _: "(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",
    ),
    "+CPLS": remembered_numbers("+CPLS", range(3), default=(0,)),
    "+CPOL": CommandDef(
        set=_set_preferred_operator,
        read=lambda _: "",
        test=lambda _: format_range(tuple(PREFERRED_OPERATORS)) + ",(0-2)",
        max_parameters=7,
        requires=Requirement.SIM,
    ),
    "+COPN": CommandDef(execute=_list_operator_names),
    "+WS46": number_setting("ws46", (25, 28)),
    "+CEMODE": remembered_numbers("+CEMODE", range(4), default=(2,)),
}
"""+WS46: 25 is every access technology, 28 E-UTRAN only (27.007 5.9)."""
