"""Why a port cannot be opened, in one sentence: who holds it, whose it is, and what to do."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from agent.at.transport.base import PortUnavailable

PROC_ROOT = Path("/proc")
MODEM_MANAGER_UDEV_RULE = 'ENV{ID_MM_PORT_IGNORE}="1"'


def translate_open_error(port: str, error: OSError, proc_root: Path = PROC_ROOT) -> PortUnavailable:
    """Translate what opening a port failed with."""
    match error.errno:
        case errno.EBUSY | errno.EAGAIN:
            return PortUnavailable("busy", describe_busy_port(port, proc_root))
        case errno.EACCES | errno.EPERM:
            return PortUnavailable("forbidden", describe_permissions(port))
        case errno.ENOENT | errno.ENODEV | errno.ENXIO | errno.EIO | errno.ENOTDIR:
            return PortUnavailable(
                "absent",
                f"port {port} is not there; a USB module appears seconds after power-up: is it on?",
            )
        case errno.ENOTTY | errno.EINVAL | errno.EISDIR:
            return PortUnavailable(
                "absent", f"{port} is no serial port; name one in agent.toml ([modem] port)"
            )
    return PortUnavailable("absent", f"port {port} cannot be opened: {error.strerror or error}")


def describe_busy_port(port: str, proc_root: Path = PROC_ROOT) -> str:
    """Who holds a port, as far as this user may see."""
    found = find_holders(port, proc_root)
    if not found:
        manager = _find_process("ModemManager", proc_root)
        if manager is None:
            return f"port {port} is in use by a program of another user; find it with `sudo fuser -v {port}`"
        return f"port {port} is in use, probably by ModemManager (pid {manager}){_modem_manager_hint()}"
    names = " and ".join(f"{program} (pid {pid})" for pid, program in found)
    hint = (
        _modem_manager_hint() if any(program == "ModemManager" for _, program in found) else "; stop it first"
    )
    return f"port {port} is held by {names}{hint}"


def describe_other_holders(port: str, own_pid: int, proc_root: Path = PROC_ROOT) -> str:
    """Who may be on a port beside the process `own`, which holds it, and what to do about that."""
    found = [each for each in find_holders(port, proc_root) if each[0] != own_pid]
    if found:
        names = " and ".join(f"{program} (pid {pid})" for pid, program in found)
        manager = any(program == "ModemManager" for _, program in found)
        return f"{names} has {port} open too{_modem_manager_hint() if manager else '; stop it'}"
    manager_pid = _find_process("ModemManager", proc_root)
    if manager_pid is not None:
        return f"most likely ModemManager (pid {manager_pid}){_modem_manager_hint()}"
    return (
        f"find it with `sudo fuser -v {port}`; ModemManager is kept away by the udev rule "
        f"{MODEM_MANAGER_UDEV_RULE} (see 78-modem-agent.rules); if nobody is there, look at wires and baud rate"
    )


def find_holders(port: str, proc_root: Path = PROC_ROOT) -> list[tuple[int, str]]:
    """Process id and program of everybody who has the port open, where we may look."""
    try:
        target = str(Path(port).resolve(strict=True))
    except OSError:
        return []
    found = []
    for process in proc_root.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            with os.scandir(process / "fd") as entries:
                if any(_is_link_to(entry.path, target) for entry in entries):
                    found.append((int(process.name), _read_program_name(process)))
        except OSError:
            continue  # it ended, or belongs to somebody else
    return sorted(found)


def describe_permissions(port: str) -> str:
    """Whose port it is and who we are."""
    user, groups = os.geteuid(), sorted({os.getegid(), *os.getgroups()})
    us = f"this process is {_format_user(user)} with groups {', '.join(map(_format_group, groups))}"
    try:
        status = Path(port).stat()
    except OSError:
        return f"port {port} may not be opened; {us}"
    mode = stat.filemode(status.st_mode)[1:]
    return (
        f"port {port} belongs to user {_format_user(status.st_uid)} and group {_format_group(status.st_gid)} ({mode}); "
        f"{us}; put the agent's user into that group (usually dialout) and start the agent anew"
    )


def _is_link_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target  # noqa: PTH115  (one of thousands: a Path would cost more)
    except OSError:
        return False


def _read_program_name(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a program"


def _find_process(program: str, proc_root: Path) -> int | None:
    return next(
        (
            int(entry.name)
            for entry in proc_root.iterdir()
            if entry.name.isdecimal() and _read_program_name(entry) == program
        ),
        None,
    )


def _modem_manager_hint() -> str:
    return (
        ", which probes new ports for up to 30 s; if it keeps this one, take it away by the udev rule "
        f"{MODEM_MANAGER_UDEV_RULE} (see 78-modem-agent.rules)"
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
