"""A handler file in Python: each function with @handler handles one kind of Command.

The file is loaded once into a process of its own, which runs one Command at a time. The return value of a
function is the reply; printed output goes to the log.
"""

import json
from pathlib import Path

from agent import Command, Reply, handler

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


@handler("reboot", max_age_s=600)
def reboot(command: Command) -> Reply:
    """`reboot`: answer, then act. A Command that waited in the network for over 10 minutes is not run."""
    return Reply("rebooting", then="reboot_now")


def reboot_now(command: Command) -> None:
    """Request the reboot. The agent calls this once, after the reply was sent.

    The service may not reboot the device, but a path unit that watches this file may: see config/README.md.
    """
    Path("/run/modem-agent/reboot").touch()
