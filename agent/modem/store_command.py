"""+CPMS=: select a store in a form that the module accepts.

27.005 3.2.2 lets the second and the third store be left out. Some modules take only all three, others only
one. The form that was accepted last is tried first. A module that takes only equal names receives in the
store that was read last, until the receiving store is selected again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from agent.at.command import AtCommand, ResponsePattern
from agent.at.error_codes import SIM_ERRORS
from agent.at.errors import CommandRefused
from agent.modem.settings import SettingsHolder

SELECT_TIMEOUT_S = 10.0


def cpms_command(store: str, receiving_store: str, count: int) -> AtCommand:
    """Return +CPMS with `count` stores: <mem1>, and <mem2> and <mem3> as the store where messages arrive."""
    names = (store, receiving_store, receiving_store)[:count]
    line = "AT+CPMS=" + ",".join(f'"{name}"' for name in names)
    return AtCommand(line, SELECT_TIMEOUT_S, (ResponsePattern("+CPMS"),))


async def select_store(
    exchange: Callable[[AtCommand], Awaitable[object]],
    settings: SettingsHolder,
    store: str,
    receiving_store: str,
    counts: Iterable[int] = (),
) -> None:
    """Make `store` <mem1>; messages arrive in `receiving_store`. Record the form that the module accepted.

    `counts`: the numbers of stores to try; by default the one that was accepted last, then the others. Raises
    the first CommandRefused if none is accepted, that of a busy SIM at once, and what `exchange` raises.
    """
    refusals = []
    counts = tuple(counts or dict.fromkeys((settings.current.cpms_count or 1, 1, 3, 2)))
    forms = [(receiving_store, count) for count in counts]
    if store != receiving_store:
        forms += [(store, count) for count in counts if count > 1]
    for receiving, count in forms:
        try:
            await exchange(cpms_command(store, receiving, count))
        except CommandRefused as error:
            refusals.append(error)
            if error.is_one_of(SIM_ERRORS):
                break
        else:
            settings.set_cpms_count(count)
            return
    raise refusals[0]
