"""Process trees: finding all descendants of a process, killing them, memory size, subreapers.

All descendants of a handler must be found, also those that called `setsid` or lost their parent. The process
of each run is therefore a child subreaper (prctl(2)): the kernel makes it the parent of its orphaned
descendants, so they stay below it while it lives. The handler manager is a subreaper too and adopts them
after that.
"""

# ruff: noqa: PTH208, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36  # Linux 3.4; kept over exec, not inherited by children

MAX_STOP_ROUNDS = 50
"""Limit of the rounds that stop a tree. Each takes milliseconds; only a fork bomb needs more than a few."""

_prctl = ctypes.CDLL(None).prctl


def become_subreaper() -> None:
    """Make this process the parent of its orphaned descendants. The setting survives an exec."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def set_parent_death_signal(parent_pid: int) -> None:
    """Let the kernel kill this process when its parent dies, even by SIGKILL."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent_pid:  # the parent died before the call above
        os._exit(1)


def descendants(root_pid: int) -> set[int]:
    """Return the pids of all descendants except zombies; an empty set if /proc cannot be read."""
    children: dict[int, list[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return set()
    for name in names:
        if name.isdigit():
            try:
                state, parent = _read_stat(name)
            except (OSError, ValueError):
                continue  # the process has ended
            if state != b"Z":
                children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    pending = [root_pid]
    while pending:
        below = children.get(pending.pop(), ())
        pending += [pid for pid in below if pid not in found]
        found.update(below)
    return found


def _read_stat(pid: str) -> tuple[bytes, int]:
    """Return state and parent. The name before them may contain blanks and brackets (proc_pid_stat(5))."""
    state, parent = _read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split(maxsplit=2)[:2]
    return state, int(parent)


def kill_tree(root_pid: int, *, including_root: bool = True) -> None:
    """Kill all descendants of a process, and the process itself.

    All are stopped first, in rounds until no new process is found: a stopped process cannot fork, so even a
    handler that forks continuously is caught. SIGSTOP and SIGKILL cannot be ignored.
    """
    stopped: set[int] = set()
    for _ in range(MAX_STOP_ROUNDS):
        tree = descendants(root_pid) | ({root_pid} if including_root else set())
        if tree <= stopped:
            break
        for pid in tree - stopped:
            send_signal(pid, signal.SIGSTOP)
        stopped |= tree
    for pid in stopped:
        send_signal(pid, signal.SIGKILL)


def send_signal(pid: int, signum: int) -> None:
    """Send a signal to a process that may have ended."""
    try:
        os.kill(pid, signum)
    except OSError:
        pass  # the process has ended, or belongs to another user now (sudo)


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process in octets; 0 if it cannot be read."""
    try:
        return int(_read_file(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def count_children(pid: int) -> int:
    """Return the number of children of a process, zombies included; 0 if the kernel does not list them."""
    try:
        return len(_read_file(f"/proc/{pid}/task/{pid}/children").split())
    except OSError:
        return 0


def _read_file(path: str) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(file, 65536)
    finally:
        os.close(file)
