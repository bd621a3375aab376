"""gpio: switches and reads GPIO lines by name: `gpio`, `gpio pump on`, `gpio pump pulse 2`, `gpio door`.

The names are in gpio.toml beside this file. A line keeps its level as long as the process of this file lives.
Rights: run "sudo systemctl edit modem-agent" and write
    [Service]
    SupplementaryGroups=gpio
    DeviceAllow=char-gpiochip rw
then "sudo systemctl restart modem-agent". The Debian package has what Python needs; with the wheel run
"pipx inject modem-agent gpiod" before `setup`.
"""

import time
import tomllib
from pathlib import Path
from typing import Any

from agent import Command, handler

SETTINGS = Path(__file__).with_suffix(".toml")
MAX_PULSE_S = 20.0

requests: dict[int, Any] = {}
"""The lines that this process has claimed, by number. That happens at the first Command and not at the
load, so that the file can be reloaded."""


@handler("gpio", max_age_s=600)
def gpio(command: Command) -> str:
    """Switch an output, or return the level of one line or of all."""
    settings = tomllib.loads(SETTINGS.read_text("utf-8"))
    outputs, inputs = settings.get("outputs", {}), settings.get("inputs", {})
    match command.words[1:]:
        case ():
            return ", ".join(f"{name} {read(settings, name)}" for name in (*outputs, *inputs)) or "no lines"
        case (name,) if name in outputs or name in inputs:
            pass
        case (name, "on" | "off" as level) if name in outputs:
            write(settings, name, on=level == "on")
        case (name, "pulse", seconds) if name in outputs:
            duration_s = float(seconds)
            if not 0 < duration_s <= MAX_PULSE_S:
                return f"a pulse takes up to {MAX_PULSE_S:g} s"
            write(settings, name, on=True)
            time.sleep(duration_s)
            write(settings, name, on=False)
        case _:
            return (
                f"gpio NAME on|off|pulse SECONDS for {', '.join(outputs) or 'none'}; also {', '.join(inputs)}"
            )
    return f"{command.words[1]} {read(settings, command.words[1])}"


def read(settings: dict[str, Any], name: str) -> str:
    """Return the level of a line: `on` or `off`."""
    number, request = claim(settings, name)
    return "on" if request.get_value(number).value else "off"


def write(settings: dict[str, Any], name: str, *, on: bool) -> None:
    """Set the level of an output."""
    number, request = claim(settings, name)
    import gpiod

    value = gpiod.line.Value.ACTIVE if on else gpiod.line.Value.INACTIVE
    output = gpiod.LineSettings(direction=gpiod.line.Direction.OUTPUT, output_value=value)
    request.reconfigure_lines({number: output})


def claim(settings: dict[str, Any], name: str) -> tuple[int, Any]:
    """Return a line by its number, with the request that holds it. Raises RuntimeError with what to do."""
    chip = settings.get("chip", "/dev/gpiochip0")
    is_output = name in settings.get("outputs", {})
    number = settings["outputs" if is_output else "inputs"][name]
    if number not in requests:
        try:
            import gpiod
        except ImportError:
            raise RuntimeError("the Python package gpiod is not installed") from None
        # An output is claimed as it is: reading its level does not change it.
        direction = gpiod.line.Direction.AS_IS if is_output else gpiod.line.Direction.INPUT
        line_settings = gpiod.LineSettings(direction=direction)
        try:
            requests[number] = gpiod.request_lines(
                chip, consumer="modem-agent", config={number: line_settings}
            )
        except PermissionError:
            raise RuntimeError(f"no right to use {chip}: see the head of gpio.py") from None
        except OSError as error:
            raise RuntimeError(f"{chip} line {number}: {error.strerror}") from None
    return number, requests[number]
