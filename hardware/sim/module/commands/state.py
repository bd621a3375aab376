"""Power, activity, time, errors and character set: 27.007 5.5, 8.1, 8.2, 8.4, 8.15, 8.40, 8.41, 9.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import Entry, Outcome
from hardware.sim.module.refusal import cme, error

if TYPE_CHECKING:
    from hardware.profile import DeviceProfile
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule


def _function(module: SimulatedModule, values: Values) -> Outcome:
    """+CFUN[=<fun>[,<rst>]]: with <rst> 1, or with a number of the maker's, OK and then a restart."""
    values.at_most(2)
    function = values.number(0, (*module.device.functions, *module.device.reset_functions), 1)
    if values.number(1, range(2), 0) or function in module.device.reset_functions:
        module.interpreter.afterwards(module.reboot)
    else:
        module.interpreter.afterwards(lambda: module.power.switch(function))
    return []


def _ranges(module: SimulatedModule) -> str:
    functions = sorted((*module.device.functions, *module.device.reset_functions))
    return f"({','.join(map(str, functions))}),(0,1)"


def _activity(module: SimulatedModule) -> str:
    return "0" if module.power.function == 1 else "5"


def _set_clock(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    if not module.clock.set(values.string(0)):
        raise cme(50)
    return []


def _time_update(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.ctzu = values.number(0, range(2))
    return []


def _time_report(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.ctzr = values.number(0, range(4), 0)
    return []


def _errors(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.cmee = values.number(0, range(3), 0)
    return []


def _character_set(module: SimulatedModule, values: Values) -> Outcome:
    """+CSCS. Its own value is plain in every set, as on most modules; UCS2 is taken too, as some want it."""
    values.at_most(1)
    written = values.string(0)
    names = {name.encode("utf-16-be").hex().upper(): name for name in module.device.charsets}
    name = names.get(written.upper(), written.upper())
    if name not in module.device.charsets:
        raise error()
    module.settings.cscs = name
    return []


ENTRIES = {
    "+CFUN": Entry(
        execute=_function, set=_function, read=lambda module: str(module.power.function), test=_ranges
    ),
    "+CPAS": Entry(execute=lambda module, _values: [f"+CPAS: {_activity(module)}"], test=lambda _: "(0-5)"),
    "+CBC": Entry(execute=lambda _module, _values: ["+CBC: 2,100"], test=lambda _: "(0-3),(0-100)"),
    "+CCLK": Entry(set=_set_clock, read=lambda module: f'"{module.clock.show()}"'),
    "+CTZU": Entry(set=_time_update, read=lambda module: str(module.settings.ctzu), test=lambda _: "(0,1)"),
    "+CTZR": Entry(set=_time_report, read=lambda module: str(module.settings.ctzr), test=lambda _: "(0-3)"),
    "+CMEE": Entry(
        execute=_errors, set=_errors, read=lambda module: str(module.settings.cmee), test=lambda _: "(0-2)"
    ),
    "+CSCS": Entry(
        set=_character_set,
        read=lambda module: f'"{module.settings.cscs}"',
        test=lambda module: "(" + ",".join(f'"{name}"' for name in module.device.charsets) + ")",
    ),
}


def _readiness(module: SimulatedModule, _values: Values) -> Outcome:
    """1 card, 2 messages, 4 phonebook (which comes with the messages here)."""
    ready = int(module.card.ready) + (6 if module.power.messages_ready else 0)
    return [f"{module.device.readiness_command}: {ready}"]


def makers(device: DeviceProfile) -> dict[str, Entry]:
    """The maker's commands for readiness, restart and power-off; what the last two print comes after OK."""

    def restart(module: SimulatedModule, _values: Values) -> Outcome:
        module.interpreter.afterwards(module.reboot)
        return []

    def power_off(module: SimulatedModule, _values: Values) -> Outcome:
        if module.device.power_off_code:
            module.interpreter.afterwards(lambda: module.speech.unsolicited(module.device.power_off_code))
        module.interpreter.afterwards(module.power_off)
        return []

    readiness = {device.readiness_command: Entry(execute=_readiness)} if device.readiness_command else {}
    return {
        **readiness,
        **{name: Entry(execute=restart) for name in device.restart_commands},
        **{name: Entry(execute=power_off, set=power_off) for name in device.power_off_commands},
    }
