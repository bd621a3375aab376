"""Finds out whether a port is a login console of systemd or the console of the kernel.

The UART on the header of a Raspberry Pi is a login console by default. It would read AT commands as user
names, and its output would look like a defective module.
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from hardware.sysfs import ROOT

_GETTY_UNIT = re.compile(r"(?:serial-)?getty@(.+)\.service")
_RUNNING_UNITS_DIR = "run/systemd/units"
"""systemd keeps a link `invocation:NAME` here for each running unit."""
_ENABLED_UNITS_DIRS = ("run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants")
_KERNEL_CMDLINE_FILES = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")


def find_login_console(node: Path, root: Path = ROOT) -> str | None:
    """Return the systemd unit of a login console on the port, links followed; None if there is none."""
    port = _tty_name(node)
    if (root / _RUNNING_UNITS_DIR).is_dir():
        units = [name.removeprefix("invocation:") for name in _list_names(root / _RUNNING_UNITS_DIR)]
    else:  # running units are not visible: take those that start with the system
        units = [name for folder in _ENABLED_UNITS_DIRS for name in _list_names(root / folder)]
    for unit in sorted(units):
        getty = _GETTY_UNIT.fullmatch(unit)
        if getty and _tty_name(root / "dev" / getty[1]) == port:
            return unit
    return None


def has_kernel_console(node: Path, root: Path = ROOT) -> bool:
    """Return True if the kernel writes its log to the port."""
    with contextlib.suppress(OSError):
        return _tty_name(node) in (root / "sys/class/tty/console/active").read_text().split()
    return False


def fix_hint(node: Path, root: Path = ROOT) -> str | None:
    """Return what the operator must do before a module on the port can be used; None if nothing."""
    steps = []
    if unit := find_login_console(node, root):
        steps.append(f"disable the login console on it (`sudo systemctl disable --now {unit}`)")
    if has_kernel_console(node, root):
        line = next(
            (f"/{file}" for file in _KERNEL_CMDLINE_FILES if (root / file).exists()),
            "the kernel's command line",
        )
        steps.append(f"remove its console= from {line} and reboot")
    return " and ".join(steps) or None


def _tty_name(node: Path) -> str:
    """Return the name of the tty, links followed: ttyAMA0 for `/dev/serial0`."""
    return os.path.basename(os.path.realpath(node))  # noqa: PTH119  (Path.resolve raises on a link to itself)


def _list_names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [entry.name for entry in folder.iterdir()]
    return []
