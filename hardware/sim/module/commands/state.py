"""Power, activity, time, errors, character set: 27.007 5.5, 8.1, 8.2, 8.4, 8.9 to 8.15, 8.40, 8.41, 9.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome
from hardware.sim.module.errors import cme_error, plain_error
from hardware.sim.module.indicators import ALL_ENABLED, INDICATORS, NO_EVENTS
from hardware.sim.module.parts import CommandDef, format_range, number_setting

if TYPE_CHECKING:
    from hardware.profile import SimulatorProfile
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts


def _set_functionality(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CFUN[=<fun>[,<rst>]]: with <rst> 1, or a vendor-specific <fun>, OK is followed by a restart."""
    function = parameters.get_number(0, (*module.profile.functions, *module.profile.reset_functions), 1)
    if parameters.get_number(1, range(2), 0) or function in module.profile.reset_functions:
        module.line.call_after_result(module.power.reboot)
    else:
        module.line.call_after_result(lambda: module.power.set_functionality(function))
    return []


def _list_functionalities(module: ModuleParts) -> str:
    functions = sorted((*module.profile.functions, *module.profile.reset_functions))
    return f"({','.join(map(str, functions))}),(0,1)"


def _show_activity(module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    return [f"+CPAS: {0 if module.power.functionality == 1 else 5}"]


def _set_clock(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    if not module.clock.set_time(parameters.get_string(0)):
        raise cme_error(50)
    return []


def _set_charset(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSCS. Its value is plain text in every set, as on most modules; UCS2 is accepted too."""
    written = parameters.get_string(0)
    names = {name.encode("utf-16-be").hex().upper(): name for name in module.profile.charsets}
    name = names.get(written.upper(), written.upper())
    if name not in module.profile.charsets:
        raise plain_error()
    module.settings.cscs = name
    return []


def _list_indicators(_module: ModuleParts) -> str:
    return ",".join(f'("{name}",{format_range(tuple(values))})' for name, values in INDICATORS.items())


def _enable_indicators(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CIND=[<ind>[,...]]: 1 lets +CIEV report the indicator, 0 does not; an omitted one stays."""
    enabled = module.settings.numbers.get("+CIND", ALL_ENABLED)
    module.settings.numbers["+CIND"] = tuple(
        parameters.get_number(place, range(2), value) for place, value in enumerate(enabled)
    )
    return []


def _set_event_reporting(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMER=[<mode>[,<keyp>[,<disp>[,<ind>[,<bfr>]]]]]: with <ind> 1, +CIEV reports changed indicators."""
    allowed = (range(4), range(1), range(1), range(2), range(2))
    module.settings.numbers["+CMER"] = tuple(
        parameters.get_number(place, values, 0) for place, values in enumerate(allowed)
    )
    module.indicators.note_states()
    return []


COMMANDS = {
    "+CFUN": CommandDef(
        execute=_set_functionality,
        set=_set_functionality,
        read=lambda module: str(module.power.functionality),
        test=_list_functionalities,
        max_parameters=2,
    ),
    "+CPAS": CommandDef(execute=_show_activity, test=lambda _: "(0-5)"),
    "+CBC": CommandDef(execute=lambda _module, _values: ["+CBC: 2,100"], test=lambda _: "(0-3),(0-100)"),
    "+CIND": CommandDef(
        set=_enable_indicators,
        read=lambda module: ",".join(map(str, module.indicators.values())),
        test=_list_indicators,
        max_parameters=len(INDICATORS),
    ),
    "+CMER": CommandDef(
        execute=_set_event_reporting,
        set=_set_event_reporting,
        read=lambda module: ",".join(map(str, module.settings.numbers.get("+CMER", NO_EVENTS))),
        test=lambda _: "(0-3),(0),(0),(0,1),(0,1)",
        max_parameters=5,
    ),
    "+CCLK": CommandDef(set=_set_clock, read=lambda module: f'"{module.clock.format_time()}"'),
    "+CTZU": number_setting("ctzu", range(2)),
    "+CTZR": number_setting("ctzr", range(4), 0),
    "+CMEE": number_setting("cmee", range(3), 0),
    "+CSCS": CommandDef(
        set=_set_charset,
        read=lambda module: f'"{module.settings.cscs}"',
        test=lambda module: "(" + ",".join(f'"{name}"' for name in module.profile.charsets) + ")",
    ),
}


def _show_readiness(module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    """Sum of 1 SIM, 2 messages, 4 phonebook (which is ready with the messages here)."""
    ready = int(module.sim_access.is_ready) + (6 if module.power.message_service_ready else 0)
    return [f"{module.profile.readiness_command}: {ready}"]


def vendor_commands(profile: SimulatorProfile) -> dict[str, CommandDef]:
    """Return the vendor's commands for readiness, restart and power-off; their URCs follow the OK."""

    def restart(module: ModuleParts, _values: CommandParameters) -> CommandOutcome:
        module.line.call_after_result(module.power.reboot)
        return []

    def power_off(module: ModuleParts, _values: CommandParameters) -> CommandOutcome:
        if module.profile.power_off_urc:
            module.line.call_after_result(
                lambda: module.context.output.write_urc(module.profile.power_off_urc)
            )
        module.line.call_after_result(module.power.power_off)
        return []

    readiness = (
        {profile.readiness_command: CommandDef(execute=_show_readiness)} if profile.readiness_command else {}
    )
    return {
        **readiness,
        **{name: CommandDef(execute=restart) for name in profile.restart_commands},
        **{name: CommandDef(execute=power_off, set=power_off) for name in profile.power_off_commands},
    }
