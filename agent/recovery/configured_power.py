"""Makes the power switch that `[recovery]` names, and runs the program of `power = "command"`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from agent.common.config import RecoveryConfig
from agent.handlers.program import Program, check_program
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from hardware.power import PowerSwitch, PowerUnavailable, make_power_switch
from hardware.power_command import CommandPowerSwitch

RunProgram = Callable[[Program], Awaitable[HandlerResult]]


def make_configured_power(
    config: RecoveryConfig, current_port: Callable[[], Path | None], journal: Path, run_program: RunProgram
) -> PowerSwitch | None:
    """Return the power switch of the configuration, None for none. Raises PowerUnavailable.

    `current_port` returns the port on which the module is or was last. Beside the journal a file remains
    while the module is switched off. `run_program` is called only when the switch is used.
    """
    if config.power != "command":
        return make_power_switch(config, current_port, Path(f"{journal}.usb-off"))
    words, timeout_s = config.power_command, config.power_command_timeout_s
    if problem := check_program(words):
        raise PowerUnavailable(f"recovery.power_command: {problem}")

    async def run(arguments: tuple[str, ...]) -> None:
        result = await run_program(Program((*words, *arguments), timeout_s))
        match result:
            case Finished():
                return
            case Failed(reason) | RetryLater(reason) | NotStarted(reason):
                text = reason
            case TimedOut():
                text = f"it was killed after {timeout_s:g} s"
        raise PowerUnavailable(f"{words[0]} {' '.join(arguments)}: {text}")

    return CommandPowerSwitch(config, run, Path(f"{journal}.power-off"))
