"""Finds out whether a Raspberry Pi has too low a supply voltage, as its firmware reports it.

A module draws peaks of 2 A when it transmits. Nothing here writes; `root` is the root of the file system.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from hardware.sysfs import ROOT

_THROTTLED_FILES = (
    "sys/devices/platform/soc/soc:firmware/get_throttled",
    "sys/devices/platform/axi/axi:firmware/get_throttled",
)
_UNDERVOLTAGE_NOW, _UNDERVOLTAGE_SINCE_BOOT = 1 << 0, 1 << 16
"""Bits of get_throttled, see the documentation of `vcgencmd get_throttled`."""


def explain_undervoltage(root: Path = ROOT) -> str:
    """Return a sentence if the supply voltage is or was too low; "" if not, or if it is not known."""
    for alarm in sorted((root / "sys/class/hwmon").glob("hwmon*/in0_lcrit_alarm")):
        with contextlib.suppress(OSError):
            is_pi = (alarm.parent / "name").read_text().strip() == "rpi_volt"
            if is_pi and alarm.read_text().strip() == "1":
                return "the supply voltage of this Raspberry Pi is too low now"
    for name in _THROTTLED_FILES:
        with contextlib.suppress(OSError, ValueError):
            bits = int((root / name).read_text(), 16)
            if bits & _UNDERVOLTAGE_NOW:
                return "the supply voltage of this Raspberry Pi is too low now"
            if bits & _UNDERVOLTAGE_SINCE_BOOT:
                return "the supply voltage of this Raspberry Pi was too low since it was switched on"
    return ""
