"""A handler file in Python: functions with @handler, each for another kind of Command.

The file is loaded once and kept in a process of its own, which carries out one Command at a time. What a
function prints goes to the log, what it returns is the reply.
"""

import json
from pathlib import Path

from agent import Command, Reply, handler

THERMAL = Path("/sys/class/thermal/thermal_zone0/temp")

reporting = {"enabled": False}


@handler("temp")
def temperature(command: Command) -> str:
    """`temp`: how warm the processor is."""
    if not THERMAL.exists():
        return "no thermometer here"
    return f"{int(THERMAL.read_text()) / 1000:.1f} C"


@handler(json_key="enable", repeatable=True)
def enable(command: Command) -> str:
    """`{"enable": true}`: it does no harm to do this twice, so it may run again if it is cut short."""
    reporting["enabled"] = json.loads(command.text)["enable"] is True
    return f"reporting is {'on' if reporting['enabled'] else 'off'}"


@handler("reboot", max_age_s=600)
def reboot(command: Command) -> Reply:
    """`reboot`: answer, then act. An old one, kept by the network while the device was off, does nothing."""
    return Reply("rebooting", then="reboot_now")


def reboot_now(command: Command) -> None:
    """Called once the reply has left, and never again.

    The service may not reboot the device; a path unit that waits for this file may. README.md of the
    configuration has it.
    """
    Path("/run/modem-agent/reboot").touch()
