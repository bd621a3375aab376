"""Finds out whether a device path can be a serial port, without opening it.

Opening a port sets its control lines, which some modules take for a signal to restart or to switch off.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hardware.header_uart import explain_absent_uart
from hardware.sysfs import ROOT

_FILE_TYPES = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a regular file",
    stat.S_IFBLK: "a disk",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}
_SERIAL_DRIVER_TYPES = ("serial", "pty:slave")
"""Types of terminal in /proc/tty/drivers that carry a serial line, or may simulate one."""


def explain_not_serial(port: str, root: Path = ROOT) -> str:
    """Return a sentence if the path is not a serial port; "" if it is one or does not exist."""
    try:
        status = Path(port).stat()
    except OSError:
        return ""
    kind = _FILE_TYPES.get(stat.S_IFMT(status.st_mode), "")
    if not kind and not _is_serial_device(status.st_rdev, root):
        kind = "another device"
    return f"{port} is {kind} and not a serial port; set [modem] port to the module's AT port" if kind else ""


def explain_absent(port: str, root: Path = ROOT) -> str:
    """Return a sentence that says that a port does not exist, and what to do."""
    advice = explain_absent_uart(Path(port), root)
    return f"port {port} does not exist; {advice or 'a USB module appears seconds after power-up: is it on?'}"


def _is_serial_device(device: int, root: Path) -> bool:
    """Return True if the number of a character device belongs to a serial driver, or if that is not known."""
    major, minor = os.major(device), os.minor(device)
    subsystem = root / f"sys/dev/char/{major}:{minor}/subsystem"
    if subsystem.resolve().name == "wwan":  # the ports of modules on PCIe, which are not terminals
        return True
    try:
        lines = (root / "proc/tty/drivers").read_text().splitlines()
    except OSError:
        return True
    for line in lines:  # name, device node, major number, range of minor numbers, type
        *_, number, minors, kind = line.split()
        first, _, last = minors.partition("-")
        if int(number) == major and int(first) <= minor <= int(last or first):
            return kind in _SERIAL_DRIVER_TYPES
    return False
