"""What helps a module that answers but does not work: its radio off and on, another network, a new start.

Who counts how often, and which comes first, is decided elsewhere. Each holds the line until it is over, so
that nobody asks a module that is about to restart.
"""

from __future__ import annotations

import asyncio

from agent.at.client import AtClient, ExclusiveAccess
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut
from hardware.profile import DriverProfile

CFUN_TIMEOUT_S = 30.0
"""+CFUN=1 was seen to take 14 s; Quectel allows 15 s."""
COPS_TIMEOUT_S = 180.0
"""+COPS: Quectel's longest time, SIM7000 allows 120 s."""
DEFAULT_RESTART_COMMAND = "AT+CFUN=1,1"
RESTART_TIMEOUT_S = 15.0
"""Until the restart is accepted: as +CFUN."""
RESTART_SETTLE_S = 5.0
"""After that a module may answer on for a moment, as if nothing were to happen."""


async def restart(client: AtClient, driver: DriverProfile) -> None:
    """Start the module anew by the profile's command, or by +CFUN=1,1 where that is refused.

    Returns when it was accepted, or when the time for that has passed. Raises CommandRefused, ModemLost.
    """
    wanted = tuple(
        dict.fromkeys((driver.restart_command or DEFAULT_RESTART_COMMAND, DEFAULT_RESTART_COMMAND))
    )
    async with client.exclusive() as turn:
        for line in wanted:
            try:
                await turn.exchange(AtCommand(line, max(RESTART_TIMEOUT_S, driver.cfun_timeout_s or 0)))
            except CommandTimedOut:
                return  # it went without a word, or it hangs: either way it is asked anew
            except CommandRefused:
                if line == wanted[-1]:
                    raise
            else:
                break
        await _wait_unless_lost(client, RESTART_SETTLE_S)


async def cycle_radio(client: AtClient, driver: DriverProfile, *, power_cycle_sim: bool) -> bool:
    """Radio off and on; whether the card was without power too, which loses an entered PIN.

    +CFUN=4 keeps the card; `card`, or a module that does not know 4, takes +CFUN=0. Raises CommandRefused,
    CommandTimedOut, ModemLost.
    """
    seconds = max(CFUN_TIMEOUT_S, driver.cfun_timeout_s or 0)
    async with client.exclusive() as turn:
        off = power_cycle_sim or not await _try_switch_radio_off(turn, seconds)
        if off:
            await turn.exchange(AtCommand("AT+CFUN=0", seconds))
        await turn.exchange(AtCommand("AT+CFUN=1", seconds))
    return off


async def reselect_network(client: AtClient, driver: DriverProfile) -> None:
    """Let the module choose a network anew. Raises CommandRefused, CommandTimedOut, ModemLost."""
    await client.exchange(AtCommand("AT+COPS=0", max(COPS_TIMEOUT_S, driver.cops_timeout_s or 0)))


async def _try_switch_radio_off(turn: ExclusiveAccess, timeout_s: float) -> bool:
    try:
        await turn.exchange(AtCommand("AT+CFUN=4", timeout_s))
    except CommandRefused:
        return False
    return True


async def _wait_unless_lost(client: AtClient, seconds: float) -> None:
    """Ask nothing for so long, or until the line is lost."""
    waiter = asyncio.ensure_future(client.lost.wait())
    await asyncio.wait((waiter,), timeout=seconds)
    waiter.cancel()
