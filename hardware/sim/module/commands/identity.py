"""Identity of module and SIM: 27.007 5.1 to 5.4, 5.6; V.250 6.1.3 to 6.1.7; vendor ICCID commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.command_outcome import CommandOutcome, Requirement
from hardware.sim.module.parts import CommandDef

if TYPE_CHECKING:
    from hardware.profile import SimulatorProfile
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts


def _identify(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """ATI: free text of several lines (V.250 6.1.3)."""
    device = module.profile
    parameters.get_number(0, range(10), 0)
    names = ("manufacturer", "model", "revision", "imei")
    values = {name: getattr(device, name) for name in names}
    return ["\r\n".join(line.format_map(values) for line in device.ati)]


def _show_serial_number(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CGSN[=<snt>]: 0 bare serial number, 1 IMEI, 2 IMEI and software version, 3 software version."""
    imei = module.profile.imei
    match parameters.get_number(0, range(4), 0):
        case 1:
            return [f'+CGSN: "{imei}"']
        case 2:
            return [f'+CGSN: "{imei[:14]}01"']
        case 3:
            return ['+CGSN: "01"']
    return [imei]


def _identity_command(attribute: str) -> CommandDef:
    return CommandDef(execute=lambda module, _values: [getattr(module.profile, attribute)])


_MANUFACTURER, _MODEL, _REVISION = (
    _identity_command("manufacturer"),
    _identity_command("model"),
    _identity_command("revision"),
)
_SERIAL = CommandDef(execute=_show_serial_number, set=_show_serial_number, test=lambda _: "(0-3)")

COMMANDS = {
    "I": CommandDef(execute=_identify),
    "+CGMI": _MANUFACTURER,
    "+GMI": _MANUFACTURER,
    "+CGMM": _MODEL,
    "+GMM": _MODEL,
    "+CGMR": _REVISION,
    "+GMR": _REVISION,
    "+CGSN": _SERIAL,
    "+GSN": _SERIAL,
    "+CIMI": CommandDef(execute=lambda module, _values: [module.sim.imsi], requires=Requirement.SIM),
}


def iccid_commands(profile: SimulatorProfile) -> dict[str, CommandDef]:
    """Return the vendor's commands for the ICCID; each answers with its own prefix, which may be empty."""

    def entry(prefix: str) -> CommandDef:
        def show(module: ModuleParts) -> CommandOutcome:
            return [f"{prefix} {module.sim.iccid}" if prefix else module.sim.iccid]

        return CommandDef(execute=lambda module, _values: show(module), read=show, requires=Requirement.SIM)

    return {name: entry(prefix) for name, prefix in profile.iccid.items()}
