"""Who the module and its card are: 27.007 5.1 to 5.4, 5.6; V.250 6.1.3 to 6.1.7; makers' ICCID commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import Entry, Needs, Outcome

if TYPE_CHECKING:
    from hardware.profile import DeviceProfile
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule


def _inform(module: SimulatedModule, values: Values) -> Outcome:
    """ATI: free text in several lines (V.250 6.1.3)."""
    device = module.device
    values.number(0, range(10), 0)
    return [f"{device.manufacturer}\r\n{device.model}\r\nRevision: {device.revision}"]


def _serial(module: SimulatedModule, values: Values) -> Outcome:
    """+CGSN[=<snt>]: 0 bare serial number, 1 IMEI, 2 IMEI and software version, 3 software version."""
    values.at_most(1)
    imei = module.device.imei
    match values.number(0, range(4), 0):
        case 1:
            return [f'+CGSN: "{imei}"']
        case 2:
            return [f'+CGSN: "{imei[:14]}01"']
        case 3:
            return ['+CGSN: "01"']
    return [imei]


def _bare(attribute: str) -> Entry:
    return Entry(execute=lambda module, _values: [getattr(module.device, attribute)])


_MANUFACTURER, _MODEL, _REVISION = _bare("manufacturer"), _bare("model"), _bare("revision")
_SERIAL = Entry(execute=_serial, set=_serial, test=lambda _: "(0-3)")

ENTRIES = {
    "I": Entry(execute=_inform),
    "+CGMI": _MANUFACTURER,
    "+GMI": _MANUFACTURER,
    "+CGMM": _MODEL,
    "+GMM": _MODEL,
    "+CGMR": _REVISION,
    "+GMR": _REVISION,
    "+CGSN": _SERIAL,
    "+GSN": _SERIAL,
    "+CIMI": Entry(execute=lambda module, _values: [module.sim.imsi], needs=Needs.CARD),
}


def card_numbers(device: DeviceProfile) -> dict[str, Entry]:
    """The maker's commands for the ICCID; each answers behind its own prefix, or bare where that is empty."""

    def entry(prefix: str) -> Entry:
        def show(module: SimulatedModule) -> Outcome:
            return [f"{prefix} {module.sim.iccid}" if prefix else module.sim.iccid]

        return Entry(execute=lambda module, _values: show(module), read=show, needs=Needs.CARD)

    return {name: entry(prefix) for name, prefix in device.iccid.items()}
