"""Registration, operator, signal, route: 27.007 7.2, 7.3, 8.5, 8.69, 10.1.1, 10.1.9, 10.1.20 to 10.1.22."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import WAITING, Entry, Needs, Outcome
from hardware.sim.module.refusal import cme

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule


CONTEXTS = range(1, 16)


def _registration(name: str, highest: int) -> Entry:
    def act(module: SimulatedModule, values: Values) -> Outcome:
        values.at_most(1)
        module.settings.creg[name] = values.number(0, range(highest + 1), 0)
        return []

    def read(module: SimulatedModule) -> str:
        level = module.settings.creg[name]
        return f"{level},{module.link.domain(name)}{module.link.location(name, level)}"

    return Entry(execute=act, set=act, read=read, test=lambda _: f"(0-{highest})")


def _choose_operator(module: SimulatedModule, values: Values) -> Outcome:
    """+COPS: 0 and 4 look for a network, 1 takes the named one, 2 leaves it, 3 sets the format only."""
    values.at_most(4)
    link, mode = module.link, values.number(0, range(5), 0)
    module.settings.cops_format = values.number(1, range(3), module.settings.cops_format)
    if mode == 1 and values.string(2) not in link.cell.operator:
        raise cme(30)
    if mode == 2:
        link.leave()
    if mode != 3:
        link.manual_mode = mode
        module.interpreter.afterwards(link.search)
    return []


def _operator(module: SimulatedModule) -> str:
    link, format_ = module.link, module.settings.cops_format
    if not link.registered:
        return str(link.manual_mode)
    return f'{link.manual_mode},{format_},"{link.cell.operator[format_]}",{link.cell.access}'


def _scan(module: SimulatedModule) -> Outcome:
    """+COPS=?: takes its time."""
    cell = module.link.cell
    names = ",".join(f'"{name}"' for name in cell.operator)
    found = [f"+COPS: ({2 if module.link.registered else 1},{names},{cell.access}),,(0-4),(0-2)"]
    module.power.later(module.device.scan_s, lambda: module.interpreter.finish(found))
    return WAITING


def _signal(module: SimulatedModule) -> int:
    return module.link.cell.signal if module.link.registered else 99


def _extended_signal(module: SimulatedModule) -> str:
    """RSRP from the same level, RSRQ in the middle; all unknown without a network."""
    if not module.link.registered:
        return "99,99,255,255,255,255"
    return f"99,99,255,255,20,{min(97, max(0, 28 + 2 * module.link.cell.signal))}"


def _attach(module: SimulatedModule, values: Values) -> Outcome:
    """+CGATT: the packet domain; here it comes and goes with registration."""
    values.at_most(1)
    if values.number(0, range(2)):
        module.interpreter.afterwards(module.link.search)
    return []


def _context(module: SimulatedModule, values: Values) -> Outcome:
    """+CGDCONT=<cid>[,<type>,<apn>[,...]]: remembered, for scripts that set it; no data go through here."""
    values.at_most(6)
    place = values.number(0, CONTEXTS)
    if len(values.items) == 1:
        module.settings.contexts.pop(place, None)
    else:
        module.settings.contexts[place] = (values.string(1), values.string(2, ""))
    return []


def _contexts(module: SimulatedModule) -> Outcome:
    kept = sorted(module.settings.contexts.items())
    lines = [f'+CGDCONT: {place},"{kind}","{name}","0.0.0.0",0,0' for place, (kind, name) in kept]
    return ["\r\n".join(lines)] if lines else []


def _route(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(1)
    module.settings.cgsms = values.number(0, range(4))
    return []


ENTRIES = {
    "+CREG": _registration("+CREG", 3),
    "+CGREG": _registration("+CGREG", 5),
    "+CEREG": _registration("+CEREG", 5),
    "+COPS": Entry(set=_choose_operator, read=_operator, test=_scan, needs=Needs.CARD),
    "+CSQ": Entry(
        execute=lambda module, _values: [f"+CSQ: {_signal(module)},99"], test=lambda _: "(0-31,99),(0-7,99)"
    ),
    "+CESQ": Entry(
        execute=lambda module, _values: [f"+CESQ: {_extended_signal(module)}"],
        test=lambda _: "(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",
    ),
    "+CGATT": Entry(
        set=_attach, read=lambda module: str(int(module.link.registered)), test=lambda _: "(0,1)"
    ),
    "+CGDCONT": Entry(set=_context, read=_contexts, test=lambda _: '(1-15),"IP",,,(0),(0)'),
    "+CGSMS": Entry(set=_route, read=lambda module: str(module.settings.cgsms), test=lambda _: "(0-3)"),
}
