"""Whether something else uses the module: a restart would cut off what travels over it.

A module on USB often carries the gateway's data as well, over a network interface or another of its ttys.
Only reads. `root` is the root of the file system, so that a tree of files can stand for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from hardware.sysfs import ROOT, UsbPort, usb_port, usb_ports

Holders = Callable[[str], Iterable[tuple[int, str]]]
"""Process id and program of everybody who has a port open."""
_UP = 0x1
"""IFF_UP of netdevice(7), in `flags`."""
_LOCKS = ("run/lock", "var/lock")
"""Where pppd and its like leave a lock for each port (FHS 5.9): it shows who else has it."""


def in_use(node: Path, own: int, holders: Holders, root: Path = ROOT) -> str:
    """Who else uses the module behind this port, as part of a sentence; empty where nobody does.

    `own` is the id of the process that asks. On a UART there is nothing but the port itself.
    """
    port = usb_port(node, root)
    if port is None:
        return _held(node, own, holders, root)
    for name in _interfaces(port, root):
        return f"the network interface {name} of the same USB device is up"
    for other in usb_ports(root):
        if other.device.path == port.device.path and (said := _held(other.node, own, holders, root)):
            return said
    return ""


def _held(node: Path, own: int, holders: Holders, root: Path) -> str:
    for pid, program in holders(str(node)):
        if pid != own:
            return f"{node} is held by {program} (pid {pid})"
    for folder in _LOCKS:
        with contextlib.suppress(OSError, ValueError):
            pid = int((root / folder / f"LCK..{node.resolve().name}").read_text())
            if pid != own and (root / "proc" / str(pid)).exists():
                return f"{node} is held by process {pid}"
    return ""


def _interfaces(port: UsbPort, root: Path) -> list[str]:
    """Network interfaces of the USB device that are up and not known to be without a link."""
    device = root / "sys/bus/usb/devices" / port.device.path
    return [folder.name for folder in sorted(device.glob(f"{port.device.path}:*/net/*")) if _up(folder)]


def _up(interface: Path) -> bool:
    """Raw IP interfaces say `unknown` while they carry data; `down` is the only state that clears them."""
    try:
        flags = int((interface / "flags").read_text(), 16)
        return bool(flags & _UP) and (interface / "operstate").read_text().strip() != "down"
    except (OSError, ValueError):
        return False
