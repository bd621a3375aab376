"""The SIM and its PIN: 27.007 7.4, 7.5, 8.3 and 8.65."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome
from hardware.sim.module.errors import cme_error
from hardware.sim.module.parts import CommandDef

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts


def _enter_pin(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPIN=<pin>, or <puk>,<new pin>. The boot continues after the final result code."""
    module.sim_access.enter_pin(
        parameters.get_string_or_word(0), parameters.get_string_or_word(1) if parameters.has(1) else None
    )
    module.line.call_after_result(module.power.resume_boot)
    return []


def _show_pin_retries(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPINR[=<select>]: remaining and default retries, with the code unquoted (27.007 8.65)."""
    wanted = parameters.get_string(0, "SIM*")
    module.sim_access.pin_state()
    retries = {"SIM PIN": (module.sim.pin_retries, 3), "SIM PUK": (module.sim.puk_retries, 10)}
    chosen = [name for name in retries if name == wanted or name.startswith(wanted.removesuffix("*"))]
    if not chosen:
        raise cme_error(50)
    return ["\r\n".join(f"+CPINR: {name},{retries[name][0]},{retries[name][1]}" for name in chosen)]


def _lock_facility(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CLCK=<fac>,<mode>[,<pin>[,<class>]]: 0 unlocks, 1 locks, 2 queries; only "SC" can be locked."""
    facility = parameters.get_string(0).upper()
    if facility not in FACILITIES:
        raise cme_error(4)
    mode = parameters.get_number(1, range(3))
    module.sim_access.pin_state()
    if facility != "SC":
        if mode != 2:
            raise cme_error(4)
        return ["+CLCK: 0"]
    if mode == 2:
        return [f"+CLCK: {int(module.sim.pin_enabled)}"]
    module.sim_access.set_pin_enabled(parameters.get_string_or_word(2), enabled=mode == 1)
    return []


def _change_password(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPWD="SC",<old>,<new>."""
    if parameters.get_string(0).upper() != "SC":
        raise cme_error(4)
    module.sim_access.require_ready()
    module.sim_access.change_pin(parameters.get_string_or_word(1), parameters.get_string_or_word(2))
    return []


FACILITIES = (
    *("SC", "FD"),  # PIN, fixed dialling
    *("PS", "PN", "PU", "PP", "PC"),  # locks of the module to a SIM, network or provider
    *("AO", "OI", "OX", "AI", "IR", "AB", "AG", "AC"),  # barring of calls
)
"""Facilities of 27.007 7.4."""

COMMANDS = {
    "+CPIN": CommandDef(set=_enter_pin, read=lambda module: module.sim_access.pin_state(), max_parameters=2),
    "+CPINR": CommandDef(execute=_show_pin_retries, set=_show_pin_retries),
    "+CLCK": CommandDef(
        set=_lock_facility,
        test=lambda _: "(" + ",".join(f'"{name}"' for name in FACILITIES) + ")",
        max_parameters=4,
    ),
    "+CPWD": CommandDef(set=_change_password, test=lambda _: '("SC",8)', max_parameters=3),
}
