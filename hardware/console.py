"""Who else speaks on a port: a login console of systemd, the kernel's own log.

The UART of a Raspberry Pi's header is a login console until somebody changes that. Commands would end up in
it as user names, and its answers look like a module that is out of its mind.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from hardware.sysfs import ROOT

_GETTY = re.compile(r"(?:serial-)?getty@(.+)\.service")
_RUNNING = "run/systemd/units"
"""systemd keeps a link `invocation:NAME` here for each unit that runs."""
_WANTED = ("run/systemd/generator/getty.target.wants", "etc/systemd/system/getty.target.wants")
_CMDLINE = ("boot/firmware/cmdline.txt", "boot/cmdline.txt")


def login_on(node: Path, root: Path = ROOT) -> str | None:
    """The unit of systemd that is a login console on that port, links followed; None where there is none."""
    port = _name(node)
    if (root / _RUNNING).is_dir():
        units = [name.removeprefix("invocation:") for name in _list(root / _RUNNING)]
    else:  # not for us to see: what starts with the system
        units = [name for folder in _WANTED for name in _list(root / folder)]
    for unit in sorted(units):
        getty = _GETTY.fullmatch(unit)
        if getty and _name(root / "dev" / getty[1]) == port:
            return unit
    return None


def kernel_log_on(node: Path, root: Path = ROOT) -> bool:
    """Whether the kernel writes its log to that port."""
    with contextlib.suppress(OSError):
        return _name(node) in (root / "sys/class/tty/console/active").read_text().split()
    return False


def remedy(node: Path, root: Path = ROOT) -> str | None:
    """What must be done before a module on that port can be spoken to; None if nothing."""
    steps = []
    if unit := login_on(node, root):
        steps.append(f"end the login console on it (`sudo systemctl disable --now {unit}`)")
    if kernel_log_on(node, root):
        line = next((f"/{file}" for file in _CMDLINE if (root / file).exists()), "the kernel's command line")
        steps.append(f"take its console= out of {line} and restart")
    return " and ".join(steps) or None


def _name(node: Path) -> str:
    """`/dev/serial0` is ttyAMA0."""
    with contextlib.suppress(OSError):
        return node.resolve(strict=True).name
    return node.name


def _list(folder: Path) -> list[str]:
    with contextlib.suppress(OSError):
        return [entry.name for entry in folder.iterdir()]
    return []
