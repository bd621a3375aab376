"""Who else speaks on a port: a login console of systemd, the kernel's own log.

The UART of a Raspberry Pi's header is a login console until somebody changes that. Commands would end up in
it as user names, and its answers look like a module that is out of its mind.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from hardware.sysfs import ROOT

_GETTY_UNIT = re.compile(r"(?:serial-)?getty@(.+)\.service")
_RUNNING_UNITS_DIR = "run/systemd/units"
"""systemd keeps a link `invocation:NAME` here for each unit that runs."""
_ENABLED_UNITS_DIRS = ("run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants")
_KERNEL_CMDLINE_FILES = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")


def find_login_console(node: Path, root: Path = ROOT) -> str | None:
    """The unit of systemd that is a login console on that port, links followed; None where there is none."""
    port = _tty_name(node)
    if (root / _RUNNING_UNITS_DIR).is_dir():
        units = [name.removeprefix("invocation:") for name in _list_names(root / _RUNNING_UNITS_DIR)]
    else:  # not for us to see: what starts with the system
        units = [name for folder in _ENABLED_UNITS_DIRS for name in _list_names(root / folder)]
    for unit in sorted(units):
        getty = _GETTY_UNIT.fullmatch(unit)
        if getty and _tty_name(root / "dev" / getty[1]) == port:
            return unit
    return None


def has_kernel_console(node: Path, root: Path = ROOT) -> bool:
    """Whether the kernel writes its log to that port."""
    with contextlib.suppress(OSError):
        return _tty_name(node) in (root / "sys/class/tty/console/active").read_text().split()
    return False


def fix_hint(node: Path, root: Path = ROOT) -> str | None:
    """What must be done before a module on that port can be spoken to; None if nothing."""
    steps = []
    if unit := find_login_console(node, root):
        steps.append(f"end the login console on it (`sudo systemctl disable --now {unit}`)")
    if has_kernel_console(node, root):
        line = next(
            (f"/{file}" for file in _KERNEL_CMDLINE_FILES if (root / file).exists()),
            "the kernel's command line",
        )
        steps.append(f"take its console= out of {line} and restart")
    return " and ".join(steps) or None


def _tty_name(node: Path) -> str:
    """`/dev/serial0` is ttyAMA0."""
    with contextlib.suppress(OSError):
        return node.resolve(strict=True).name
    return node.name


def _list_names(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [entry.name for entry in folder.iterdir()]
    return []
