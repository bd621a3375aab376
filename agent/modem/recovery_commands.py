"""The AT commands that recover a module: radio off and on, network selection, restart.

When and how often they are used is decided in `agent.recovery`. Each holds exclusive access until it has
ended, so that no other command is sent to a module that is about to restart.
"""

from __future__ import annotations

import asyncio

from agent.at.client import AtClient, ExclusiveAccess
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.modem.at_commands import CFUN_TIMEOUT_S
from hardware.profile import DriverProfile

COPS_TIMEOUT_S = 180.0
"""Quectel's limit for +COPS; SIM7000 allows 120 s."""
DEFAULT_RESTART_COMMAND = "AT+CFUN=1,1"
RESTART_TIMEOUT_S = 15.0
"""Timeout of the restart command, as for +CFUN."""
RESTART_SETTLE_S = 5.0
"""Pause after the restart command: a module may still answer commands for a moment."""


async def restart(client: AtClient, driver: DriverProfile) -> None:
    """Restart the module by the command of the profile, or by +CFUN=1,1 if that is refused.

    Returns when the command was accepted, or after its timeout. Raises CommandRefused, ModemLost.
    """
    lines = tuple(dict.fromkeys((driver.restart_command or DEFAULT_RESTART_COMMAND, DEFAULT_RESTART_COMMAND)))
    async with client.exclusive() as access:
        for line in lines:
            try:
                await access.exchange(AtCommand(line, max(RESTART_TIMEOUT_S, driver.cfun_timeout_s or 0)))
            except CommandTimedOut:
                return  # it restarts without an answer, or it hangs: the next initialisation shows which
            except CommandRefused:
                if line == lines[-1]:
                    raise
            else:
                break
        await _wait_unless_lost(client, RESTART_SETTLE_S)


async def cycle_radio(client: AtClient, driver: DriverProfile, *, power_cycle_sim: bool) -> bool:
    """Switch the radio off and on. Return True if the SIM lost power, too, which loses an entered PIN.

    +CFUN=4 keeps the SIM powered. With `power_cycle_sim`, or if the module refuses 4, +CFUN=0 is used. Raises
    CommandRefused, CommandTimedOut, ModemLost.
    """
    timeout_s = max(CFUN_TIMEOUT_S, driver.cfun_timeout_s or 0)
    async with client.exclusive() as access:
        sim_loses_power = power_cycle_sim or not await _try_switch_radio_off(access, timeout_s)
        if sim_loses_power:
            await access.exchange(AtCommand("AT+CFUN=0", timeout_s))
        await access.exchange(AtCommand("AT+CFUN=1", timeout_s))
    return sim_loses_power


async def switch_radio_on(client: AtClient, driver: DriverProfile) -> None:
    """Switch the radio on. Raises CommandRefused, CommandTimedOut, ModemLost."""
    await client.exchange(AtCommand("AT+CFUN=1", max(CFUN_TIMEOUT_S, driver.cfun_timeout_s or 0)))


async def reselect_network(client: AtClient, driver: DriverProfile) -> None:
    """Let the module select a network again. Raises CommandRefused, CommandTimedOut, ModemLost."""
    await client.exchange(AtCommand("AT+COPS=0", max(COPS_TIMEOUT_S, driver.cops_timeout_s or 0)))


async def _try_switch_radio_off(access: ExclusiveAccess, timeout_s: float) -> bool:
    try:
        await access.exchange(AtCommand("AT+CFUN=4", timeout_s))
    except CommandRefused:
        return False
    return True


async def _wait_unless_lost(client: AtClient, seconds: float) -> None:
    """Wait for `seconds`, or until the connection is lost."""
    waiter = asyncio.ensure_future(client.lost.wait())
    await asyncio.wait((waiter,), timeout=seconds)
    waiter.cancel()
