"""Commands of V.250: the line, its result codes, S-parameters, resets, and what dial-up scripts send."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import Entry, Outcome
from hardware.sim.module.refusal import error
from hardware.sim.module.settings import BASIC, factory

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.module.settings import Settings

BITS = range(2)


def _echo(module: SimulatedModule, values: Values) -> Outcome:
    module.settings.echo = bool(values.number(0, BITS, 0))
    return []


def _verbose(module: SimulatedModule, values: Values) -> Outcome:
    module.settings.verbose = bool(values.number(0, BITS, 0))
    return []


def _quiet(module: SimulatedModule, values: Values) -> Outcome:
    module.settings.quiet = bool(values.number(0, BITS, 0))
    return []


def _register(module: SimulatedModule, values: Values) -> Outcome:
    """`S3=13`, `S3?`; the latter answers three digits without a name (V.250 5.3.2)."""
    number = values.number(0, range(256))
    if number not in module.settings.registers or len(values.items) == 1:  # a bare S asks nothing
        raise error()
    if values.items[1] == "?":
        return [f"{module.settings.registers[number]:03}"]
    highest = 127 if number in {3, 4, 5} else 255
    module.settings.registers[number] = values.number(2, range(highest + 1), 0)
    return []


def _restore(module: SimulatedModule, values: Values) -> Outcome:
    """ATZ: what was saved; the rest of the line is ignored (V.250 6.1.1)."""
    values.number(0, BITS, 0)
    _take(module, module.saved)
    module.interpreter.skip()
    return []


def _factory(module: SimulatedModule, values: Values) -> Outcome:
    values.number(0, range(1), 0)
    _take(module, factory(module.device))
    return []


def _take(module: SimulatedModule, settings: Settings) -> None:
    """All settings but the rate: who is talking now would not be understood any more."""
    rate = module.settings.ipr
    module.settings.take(settings)
    module.settings.ipr = rate


def _save(module: SimulatedModule, values: Values) -> Outcome:
    values.number(0, BITS, 0)
    module.saved.take(module.settings)
    return []


def _nothing(_module: SimulatedModule, _values: Values) -> Outcome:
    return []


def _remember(name: str) -> Entry:
    def act(module: SimulatedModule, values: Values) -> Outcome:
        module.settings.basic[name] = values.number(0, range(10), 0)
        return []

    return Entry(execute=act)


def _rate(module: SimulatedModule, values: Values) -> Outcome:
    """+IPR: the answer still has the old rate (V.250 6.2.10)."""
    values.at_most(1)
    rate = module.settings.ipr = values.number(0, RATES)

    def switch() -> None:
        module.power.later(SWITCH_S, lambda: module.tune(rate))

    module.interpreter.afterwards(switch)
    return []


def _flow_control(module: SimulatedModule, values: Values) -> Outcome:
    values.at_most(2)
    module.settings.ifc = (values.number(0, range(3), 2), values.number(1, range(3), 2))
    return []


def _all_commands(module: SimulatedModule, _values: Values) -> Outcome:
    """+CLAC, 27.007 8.37: one command a line."""
    return ["\r\n".join(f"AT{name}" for name in sorted(module.interpreter.names))]


SWITCH_S = 0.01
"""After the answer to +IPR has left."""
RATES = (0, 300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)

ENTRIES = {
    "E": Entry(execute=_echo),
    "V": Entry(execute=_verbose),
    "Q": Entry(execute=_quiet),
    "S": Entry(execute=_register),
    "Z": Entry(execute=_restore),
    "&F": Entry(execute=_factory),
    "&W": Entry(execute=_save),
    "H": Entry(execute=_nothing),
    "T": Entry(execute=_nothing),
    "P": Entry(execute=_nothing),
    **{name: _remember(name) for name in BASIC},
    "+IPR": Entry(
        set=_rate,
        read=lambda module: str(module.settings.ipr),
        test=lambda _: f"(),({','.join(map(str, RATES))})",
    ),
    "+IFC": Entry(
        set=_flow_control,
        read=lambda module: ",".join(map(str, module.settings.ifc)),
        test=lambda _: "(0-2),(0-2)",
    ),
    "+GCAP": Entry(execute=lambda _module, _values: ["+GCAP: +CGSM"]),
    "+CLAC": Entry(execute=_all_commands),
}
