"""Why a port cannot be opened, in one sentence: who holds it, whose it is, and what to do."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from pathlib import Path

from agent.at.wire import PortUnavailable

PROC = Path("/proc")
MODEM_MANAGER_RULE = 'ENV{ID_MM_PORT_IGNORE}="1"'


def unavailable(port: str, error: OSError, proc: Path = PROC) -> PortUnavailable:
    """Translate what opening a port failed with."""
    match error.errno:
        case errno.EBUSY | errno.EAGAIN:
            return PortUnavailable("busy", busy(port, proc))
        case errno.EACCES | errno.EPERM:
            return PortUnavailable("forbidden", forbidden(port))
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


def busy(port: str, proc: Path = PROC) -> str:
    """Who holds a port, as far as this user may see."""
    found = holders(port, proc)
    if not found:
        manager = _running("ModemManager", proc)
        if manager is None:
            return f"port {port} is in use by a program of another user; find it with `sudo fuser -v {port}`"
        return f"port {port} is in use, probably by ModemManager (pid {manager}){_manager_hint()}"
    names = " and ".join(f"{program} (pid {pid})" for pid, program in found)
    hint = _manager_hint() if any(program == "ModemManager" for _, program in found) else "; stop it first"
    return f"port {port} is held by {names}{hint}"


def others(port: str, own: int, proc: Path = PROC) -> str:
    """Who may be on a port beside the process `own`, which holds it, and what to do about that."""
    found = [each for each in holders(port, proc) if each[0] != own]
    if found:
        names = " and ".join(f"{program} (pid {pid})" for pid, program in found)
        manager = any(program == "ModemManager" for _, program in found)
        return f"{names} has {port} open too{_manager_hint() if manager else '; stop it'}"
    manager_pid = _running("ModemManager", proc)
    if manager_pid is not None:
        return f"most likely ModemManager (pid {manager_pid}){_manager_hint()}"
    return (
        f"find it with `sudo fuser -v {port}`; ModemManager is kept away by the udev rule "
        f"{MODEM_MANAGER_RULE} (see 78-modem-agent.rules); if nobody is there, look at wires and baud rate"
    )


def holders(port: str, proc: Path = PROC) -> list[tuple[int, str]]:
    """Process id and program of everybody who has the port open, where we may look."""
    try:
        target = str(Path(port).resolve(strict=True))
    except OSError:
        return []
    found = []
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            with os.scandir(process / "fd") as entries:
                if any(_points_to(entry.path, target) for entry in entries):
                    found.append((int(process.name), _program(process)))
        except OSError:
            continue  # it ended, or belongs to somebody else
    return sorted(found)


def forbidden(port: str) -> str:
    """Whose port it is and who we are."""
    user, groups = os.geteuid(), sorted({os.getegid(), *os.getgroups()})
    us = f"this process is {_user(user)} with groups {', '.join(map(_group, groups))}"
    try:
        status = Path(port).stat()
    except OSError:
        return f"port {port} may not be opened; {us}"
    mode = stat.filemode(status.st_mode)[1:]
    return (
        f"port {port} belongs to user {_user(status.st_uid)} and group {_group(status.st_gid)} ({mode}); "
        f"{us}; put the agent's user into that group (usually dialout) and start the agent anew"
    )


def _points_to(link: str, target: str) -> bool:
    try:
        return os.readlink(link) == target  # noqa: PTH115  (one of thousands: a Path would cost more)
    except OSError:
        return False


def _program(process: Path) -> str:
    try:
        return (process / "comm").read_text(errors="replace").strip()
    except OSError:
        return "a program"


def _running(program: str, proc: Path) -> int | None:
    return next(
        (
            int(entry.name)
            for entry in proc.iterdir()
            if entry.name.isdecimal() and _program(entry) == program
        ),
        None,
    )


def _manager_hint() -> str:
    return (
        ", which probes new ports for up to 30 s; if it keeps this one, take it away by the udev rule "
        f"{MODEM_MANAGER_RULE} (see 78-modem-agent.rules)"
    )


def _user(number: int) -> str:
    try:
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return f"{grp.getgrgid(number).gr_name} ({number})"
    except KeyError:
        return str(number)
