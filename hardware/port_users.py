"""Whether something else uses the module: a restart would cut off what travels over it.

A module on USB often carries the gateway's data as well, over a network interface or another of its ttys.
Only reads. `root` is the root of the file system, so that a tree of files can stand for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from hardware.sysfs import ROOT, UsbPort, find_usb_port, list_usb_ports

HolderLookup = Callable[[str], Iterable[tuple[int, str]]]
"""Process id and program of everybody who has a port open."""
_IFF_UP = 0x1
"""IFF_UP of netdevice(7), in `flags`."""
_LOCK_DIRS = ("run/lock", "var/lock")
"""Where pppd and its like leave a lock for each port (FHS 5.9): it shows who else has it."""


def describe_other_user(node: Path, own_pid: int, list_holders: HolderLookup, root: Path = ROOT) -> str:
    """Who else uses the module behind this port, as part of a sentence; empty where nobody does.

    `own` is the id of the process that asks. On a UART there is nothing but the port itself.
    """
    port = find_usb_port(node, root)
    if port is None:
        return _describe_holder(node, own_pid, list_holders, root)
    for name in _active_interfaces(port, root):
        return f"the network interface {name} of the same USB device is up"
    for other in list_usb_ports(root):
        if other.device.usb_path == port.device.usb_path and (
            said := _describe_holder(other.node, own_pid, list_holders, root)
        ):
            return said
    return ""


def _describe_holder(node: Path, own_pid: int, list_holders: HolderLookup, root: Path) -> str:
    for pid, program in list_holders(str(node)):
        if pid != own_pid:
            return f"{node} is held by {program} (pid {pid})"
    for folder in _LOCK_DIRS:
        with contextlib.suppress(OSError, ValueError):
            pid = int((root / folder / f"LCK..{node.resolve().name}").read_text())
            if pid != own_pid and (root / "proc" / str(pid)).exists():
                return f"{node} is held by process {pid}"
    return ""


def _active_interfaces(port: UsbPort, root: Path) -> list[str]:
    """Network interfaces of the USB device that are up and not known to be without a link."""
    device = root / "sys/bus/usb/devices" / port.device.usb_path
    return [
        folder.name
        for folder in sorted(device.glob(f"{port.device.usb_path}:*/net/*"))
        if _is_interface_up(folder)
    ]


def _is_interface_up(interface: Path) -> bool:
    """Raw IP interfaces say `unknown` while they carry data; `down` is the only state that clears them."""
    try:
        flags = int((interface / "flags").read_text(), 16)
        return bool(flags & _IFF_UP) and (interface / "operstate").read_text().strip() != "down"
    except (OSError, ValueError):
        return False
