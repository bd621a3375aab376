"""Switches the power of a module by a program of the operator: a USB hub, a UPS, a relay, an enable line.

The program gets one more argument: `off` or `on` for a supply, or `press` and a number of seconds for a power
key. It must end with status 0 when that is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from hardware.power import (
    DEFAULT_OFF_PULSE_S,
    DEFAULT_OFF_TO_ON_S,
    DEFAULT_ON_PULSES_S,
    PowerUnavailable,
)
from hardware.profile import DriverProfile

ON_TRIES, ON_RETRY_S = 3, 5.0
"""A supply that was switched off must come on again: tries, and the pause between two."""

RunPowerCommand = Callable[[tuple[str, ...]], Awaitable[None]]
"""Runs the program with these further arguments. Raises PowerUnavailable."""


class CommandConfig(Protocol):
    """The keys of `[recovery]` that describe the program."""

    @property
    def power_command(self) -> tuple[str, ...]: ...
    @property
    def power_command_drives(self) -> str: ...  # "supply" or "power-key"
    @property
    def pulse_on_s(self) -> float: ...
    @property
    def pulse_off_s(self) -> float: ...


class CommandPowerSwitch:
    """A supply or a power key that a program switches.

    If the agent is killed between `off` and `on`, a state file remains, and the next start switches on.
    """

    def __init__(self, config: CommandConfig, run: RunPowerCommand, state_file: Path) -> None:
        """`state_file` must be writable."""
        self._run = run
        self._config = config
        self._state_file = state_file
        self._unknown_on_pulses = itertools.cycle(DEFAULT_ON_PULSES_S)
        self.is_toggle = config.power_command_drives == "power-key"
        self.name = f"the program {config.power_command[0]}"

    async def power_cycle(self, driver: DriverProfile) -> None:
        off_s = self._config.pulse_off_s
        if self.is_toggle:
            await self._press(off_s or driver.power_key_off_s or DEFAULT_OFF_PULSE_S)
            await asyncio.sleep(driver.power_off_s or DEFAULT_OFF_TO_ON_S)
            await self.power_on(driver)
            return
        try:
            self._state_file.touch()
        except OSError as error:
            raise PowerUnavailable(
                f"{self._state_file} cannot be written: {error.strerror or error}"
            ) from None
        try:
            await self._run(("off",))
            await asyncio.sleep(off_s or DEFAULT_OFF_TO_ON_S)
        finally:  # also if the program has failed or the agent is stopping: the module must not stay off
            await self._switch_on()

    async def power_on(self, driver: DriverProfile) -> None:
        if self.is_toggle:
            await self._press(
                self._config.pulse_on_s or driver.power_key_on_s or next(self._unknown_on_pulses)
            )
        else:
            await self._switch_on()

    async def restore(self) -> str:
        """Switch on the supply that a killed process has left off; return its name, "" if there is none.

        Raises PowerUnavailable.
        """
        if self.is_toggle or not self._state_file.exists():
            return ""
        await self._switch_on()
        return "the supply of the module"

    async def _switch_on(self) -> None:
        for left in reversed(range(ON_TRIES)):
            try:
                await self._run(("on",))
                break
            except PowerUnavailable:
                if not left:
                    raise
                await asyncio.sleep(ON_RETRY_S)
        with contextlib.suppress(OSError):  # then the next start calls it with "on" again, which is harmless
            self._state_file.unlink(missing_ok=True)

    async def _press(self, seconds: float) -> None:
        await self._run(("press", f"{seconds:g}"))
