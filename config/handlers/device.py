"""A handler file in Python: each function with @handler handles one kind of Command.

The file is loaded once into a process of its own, which runs one Command at a time. The return value of a
function is the reply; printed output goes to the log.
"""

import json
import time
from pathlib import Path

from agent import Command, Reply, handler

LED = Path("/sys/class/leds/ACT/brightness")
THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")

reporting = {"enabled": False}


@handler("temp")
def temperature(command: Command) -> str:
    """`temp`: return the temperature of the processor."""
    if not THERMAL.exists():
        return "no thermometer here"
    return f"{int(THERMAL.read_text()) / 1000:.1f} C"


@handler(json_key="enable", repeatable=True)
def enable(command: Command) -> str:
    """`{"enable": true}`: switch reporting on or off. A second run has no effect, so it is repeatable."""
    reporting["enabled"] = json.loads(command.text)["enable"] is True
    return f"reporting is {'on' if reporting['enabled'] else 'off'}"


@handler("identify", max_age_s=600)
def identify(command: Command) -> Reply:
    """`identify`: answer, then act. A Command that waited in the network for over 10 minutes is not run."""
    return Reply("look for the blinking LED", then="blink")


def blink(command: Command) -> None:
    """Let the green LED of a Raspberry Pi blink. The agent calls this once, after the reply was sent.

    Writing to the LED needs a udev rule or root.
    """
    for number in range(20):
        LED.write_text(str(number % 2))
        time.sleep(0.25)
