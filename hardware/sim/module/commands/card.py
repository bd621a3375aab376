"""The SIM and its PIN: 27.007 7.4, 7.5, 8.3 and 8.65."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module.interpreter import Entry, Outcome
from hardware.sim.module.refusal import cme

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule

FACILITIES = '("SC")'


def _enter(module: SimulatedModule, values: Values) -> Outcome:
    """+CPIN=<pin>, or <puk>,<new pin>. Readiness follows the final result."""
    values.at_most(2)
    module.card.enter(values.loose(0), values.loose(1) if values.given(1) else None)
    module.interpreter.afterwards(module.power.unlocked)
    return []


def _tries(module: SimulatedModule, values: Values) -> Outcome:
    """+CPINR[=<select>]: remaining tries and what they were by default, code unquoted (27.007 8.65)."""
    values.at_most(1)
    wanted = values.string(0, "SIM*")
    module.card.state()
    tries = {"SIM PIN": (module.sim.pin_tries, 3), "SIM PUK": (module.sim.puk_tries, 10)}
    chosen = [name for name in tries if name == wanted or name.startswith(wanted.removesuffix("*"))]
    if not chosen:
        raise cme(50)
    return ["\r\n".join(f"+CPINR: {name},{tries[name][0]},{tries[name][1]}" for name in chosen)]


def _lock(module: SimulatedModule, values: Values) -> Outcome:
    """+CLCK="SC",<mode>[,<pin>]: 0 the PIN is no longer asked for, 1 it is, 2 query."""
    values.at_most(4)
    if values.string(0).upper() != "SC":
        raise cme(4)
    mode = values.number(1, range(3))
    module.card.state()
    if mode == 2:
        return [f"+CLCK: {int(module.sim.asks_pin)}"]
    module.card.lock(values.loose(2), on=mode == 1)
    return []


def _change(module: SimulatedModule, values: Values) -> Outcome:
    """+CPWD="SC",<old>,<new>."""
    values.at_most(3)
    if values.string(0).upper() != "SC":
        raise cme(4)
    module.card.demand()
    module.card.change(values.loose(1), values.loose(2))
    return []


ENTRIES = {
    "+CPIN": Entry(set=_enter, read=lambda module: module.card.state()),
    "+CPINR": Entry(execute=_tries, set=_tries),
    "+CLCK": Entry(set=_lock, test=lambda _: FACILITIES),
    "+CPWD": Entry(set=_change, test=lambda _: '("SC",8)'),
}
