"""Finds out who else uses a serial port or the module behind it, and explains why a port cannot be opened.

The kernel answers: /proc shows which processes have the port open (as far as this user may see), /sys whether
a network interface of the same USB device is up, and a lock file under /run/lock names a process of another
user. A module on USB often carries the gateway's data as well, and a restart would cut that connection.

Nothing here writes. `root` is the root of the file system; a test passes a directory tree instead.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from pathlib import Path

from hardware.sysfs import ROOT, UsbPort, find_usb_port, list_usb_ports
from pdu.record import Record

MODEM_MANAGER = "ModemManager"
MODEM_MANAGER_UDEV_RULE = 'ENV{ID_MM_PORT_IGNORE}="1"'
_IFF_UP = 0x1
"""IFF_UP of netdevice(7), in `flags`."""
_LOCK_DIRS = ("run/lock", "var/lock")
"""Where pppd and similar programs leave a lock file for each port (FHS 5.9)."""


class SystemUser(Record):
    """A user of the system with all its groups."""

    uid: int
    gids: frozenset[int]

    def may_use(self, path: str) -> bool:
        """Return True if this user may read and write a file, by its mode. Raises OSError."""
        status = Path(path).stat()
        if self.uid == 0:
            return True
        if status.st_uid == self.uid:
            return status.st_mode & 0o600 == 0o600
        return status.st_mode & (0o060 if status.st_gid in self.gids else 0o006) in {0o060, 0o006}


def own_user() -> SystemUser:
    """Return the user of this process."""
    return SystemUser(os.geteuid(), frozenset({os.getegid(), *os.getgroups()}))


def find_user(name: str, *further_groups: str) -> SystemUser | None:
    """Return a user by its name, also as a member of these groups; None if it does not exist."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    gids = set(os.getgrouplist(name, entry.pw_gid))
    for group in further_groups:
        with contextlib.suppress(KeyError):
            gids.add(grp.getgrnam(group).gr_gid)
    return SystemUser(entry.pw_uid, frozenset(gids))


def find_holders(port: str, root: Path = ROOT) -> list[tuple[int, str]]:
    """Return process id and program name of each process that has the port open, sorted by process id.

    Processes of other users are visible to root only.
    """
    try:
        target = str(Path(port).resolve(strict=True))
    except OSError:
        return []
    found = []
    for process in _list_processes(root):
        try:
            with os.scandir(process / "fd") as entries:
                if any(_is_link_to(entry.path, target) for entry in entries):
                    found.append((int(process.name), _read_program_name(process)))
        except OSError:
            continue  # it ended, or belongs to another user
    return sorted(found)


def describe_other_user(node: Path, own_pid: int, root: Path = ROOT) -> str:
    """Return who else uses the module behind this port, as part of a sentence; "" if there is none.

    `own_pid` is the process id of the agent. On USB every port and network interface of the device counts; on
    a UART only the port itself.
    """
    port = find_usb_port(node, root)
    if port is None:
        return _describe_holder(node, own_pid, root)
    for name in _active_interfaces(port, root):
        return f"the network interface {name} of the same USB device is up"
    for other in list_usb_ports(root):
        if other.device.usb_path == port.device.usb_path and (
            holder := _describe_holder(other.node, own_pid, root)
        ):
            return holder
    return ""


def describe_other_holders(port: str, own_pid: int, root: Path = ROOT) -> str:
    """Return who may use a port besides `own_pid` and what to do about it, as part of a sentence."""
    holders = [holder for holder in find_holders(port, root) if holder[0] != own_pid]
    if holders:
        return f"{_join_holders(holders)} has {port} open too{_advise(holders)}"
    if manager := _find_modem_manager(root):
        return f"most likely {_join_holders(manager)}{_advise(manager)}"
    return (
        f"find it with `sudo fuser -v {port}`; the udev rule {MODEM_MANAGER_UDEV_RULE} keeps {MODEM_MANAGER} "
        "away (see 78-modem-agent.rules); if there is no such program, check wiring and baud rate"
    )


def explain_busy_port(port: str, root: Path = ROOT) -> str:
    """Return a sentence that names who holds a port, as far as this user may see, and what to do."""
    if holders := find_holders(port, root):
        return f"port {port} is held by {_join_holders(holders)}{_advise(holders)}"
    if manager := _find_modem_manager(root):
        return f"port {port} is in use, probably by {_join_holders(manager)}{_advise(manager)}"
    return f"port {port} is in use by a program of another user; find it with `sudo fuser -v {port}`"


def explain_modem_manager(node: Path, root: Path = ROOT) -> str:
    """Return a sentence if ModemManager runs and no udev rule keeps it away from this port; else "".

    It does not probe UARTs unless it is configured to.
    """
    manager, port = _find_modem_manager(root), find_usb_port(node, root)
    if not manager or port is None or _is_ignored_by_modem_manager(port, root):
        return ""
    return f"{_join_holders(manager)} runs, and no udev rule keeps it away from {port.node}{_advise(manager)}"


def _is_ignored_by_modem_manager(port: UsbPort, root: Path) -> bool:
    """Return True if udev has set the property for the port; its database is documented in no manual."""
    try:
        device = (root / "sys/class/tty" / port.node.name / "dev").read_text().strip()
        properties = (root / f"run/udev/data/c{device}").read_text()
    except OSError:
        return False
    return "E:ID_MM_PORT_IGNORE=1" in properties.splitlines()


def explain_permissions(port: str, user: SystemUser | None = None) -> str:
    """Return a sentence with owner and mode of a port, user and groups, and what to do.

    `user`: who is to open it; None for this process.
    """
    who = "this process is" if user is None else "the agent is"
    user = user or own_user()
    groups = ", ".join(map(_format_group, sorted(user.gids)))
    process = f"{who} {_format_user(user.uid)} with groups {groups}"
    try:
        status = Path(port).stat()
    except OSError:
        return f"permission to open port {port} is denied; {process}"
    owner, group = _format_user(status.st_uid), _format_group(status.st_gid)
    mode = stat.filemode(status.st_mode)[1:]
    return (
        f"port {port} belongs to user {owner} and group {group} ({mode}); {process}; "
        "put the agent's user into that group (usually dialout) and restart the agent"
    )


def _describe_holder(node: Path, own_pid: int, root: Path) -> str:
    for pid, program in find_holders(str(node), root):
        if pid != own_pid:
            return f"{node} is held by {program} (pid {pid})"
    for folder in _LOCK_DIRS:
        with contextlib.suppress(OSError, ValueError):
            pid = int((root / folder / f"LCK..{node.resolve().name}").read_text())
            if pid != own_pid and process_exists(pid, root):
                return f"{node} is held by process {pid}"
    return ""


def _active_interfaces(port: UsbPort, root: Path) -> list[str]:
    """Return the network interfaces of the USB device that are up and not known to be without a link."""
    device = root / "sys/bus/usb/devices" / port.device.usb_path
    return [
        folder.name
        for folder in sorted(device.glob(f"{port.device.usb_path}:*/net/*"))
        if _is_interface_up(folder)
    ]


def _is_interface_up(interface: Path) -> bool:
    """Return True unless the interface is off or its link down; raw IP shows `unknown` while it has one."""
    try:
        flags = int((interface / "flags").read_text(), 16)
        return bool(flags & _IFF_UP) and (interface / "operstate").read_text().strip() != "down"
    except (OSError, ValueError):
        return False


def _list_processes(root: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return [entry for entry in (root / "proc").iterdir() if entry.name.isdecimal()]
    return []


def process_exists(pid: int, root: Path) -> bool:
    """Return True if there is a process; the unit hides those of other users in /proc (ProtectProc=)."""
    if pid <= 0:  # for kill(2) these are groups of processes
        return False
    if root != ROOT:
        return (root / "proc" / str(pid)).exists()
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _find_modem_manager(root: Path) -> list[tuple[int, str]]:
    """Return process id and name, from the control group of its unit or the processes that are visible."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        group = root / "sys/fs/cgroup/system.slice" / f"{MODEM_MANAGER}.service"
        return [(int((group / "cgroup.procs").read_text().split()[0]), MODEM_MANAGER)]
    return [
        (int(process.name), MODEM_MANAGER)
        for process in _list_processes(root)
        if _read_program_name(process) == MODEM_MANAGER
    ][:1]


def _read_program_name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a program"


def _is_link_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target  # noqa: PTH115  (one of thousands: a Path would cost more)
    except OSError:
        return False


def _join_holders(holders: list[tuple[int, str]]) -> str:
    return " and ".join(f"{program} (pid {pid})" for pid, program in holders)


def _advise(holders: list[tuple[int, str]]) -> str:
    if all(program != MODEM_MANAGER for _, program in holders):
        return "; stop it first"
    return (
        ", which probes new ports for up to 30 s; if it does not release this one, keep it away with the "
        f"udev rule {MODEM_MANAGER_UDEV_RULE} (see 78-modem-agent.rules)"
    )


def _format_user(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return str(uid)


def _format_group(gid: int) -> str:
    try:
        return f"{grp.getgrgid(gid).gr_name} ({gid})"
    except KeyError:
        return str(gid)
