"""What the kernel knows of processes: who descends from whom, ending a whole tree, size, adoption.

Everything a handler starts must be found again, also what called `setsid` and what lost its parent. So the
process of each run is a "child subreaper" (prctl(2)): the kernel hands it its orphaned descendants, and all
of them hang below it for as long as it lives. The keeper is one too and inherits them after that.
"""

# ruff: noqa: PTH208, SIM105
# pathlib and contextlib would cost each handler process memory and start-up time.

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36  # Linux 3.4; kept over exec, not handed to children

MAX_STOP_ROUNDS = 50
"""Each takes milliseconds. Only a process that does nothing but fork and exit is chased longer, in vain."""

_prctl = ctypes.CDLL(None).prctl


def become_subreaper() -> None:
    """Make this process, also after an exec, the parent of its descendants that lose theirs."""
    _prctl(_PR_SET_CHILD_SUBREAPER, ctypes.c_ulong(1))


def set_parent_death_signal(parent_pid: int) -> None:
    """Have the kernel kill this process when `parent` dies, even by SIGKILL."""
    _prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() != parent_pid:  # it died before the line above
        os._exit(1)


def descendants(root_pid: int) -> set[int]:
    """All living processes below `root`, zombies left out; none where files are lacking to tell."""
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
                continue  # it has just ended
            if state != b"Z":
                children.setdefault(parent, []).append(int(name))
    found: set[int] = set()
    ahead = [root_pid]
    while ahead:
        below = children.get(ahead.pop(), ())
        ahead += [pid for pid in below if pid not in found]
        found.update(below)
    return found


def _read_stat(pid: str) -> tuple[bytes, int]:
    """State and parent. The program's name before them may hold blanks and brackets (proc_pid_stat(5))."""
    state, parent = _read_file(f"/proc/{pid}/stat").rpartition(b")")[2].split(maxsplit=2)[:2]
    return state, int(parent)


def kill_tree(root_pid: int, *, including_root: bool = True) -> None:
    """Kill all below `root`, and `root` itself.

    First all are stopped, and looked for again until nobody new turns up: a stopped process starts no others,
    so a handler that forks as fast as it can does not outrun this. SIGSTOP and SIGKILL cannot be ignored.
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
    """Signal a process that may be gone."""
    try:
        os.kill(pid, signum)
    except OSError:
        pass  # it has ended, or it became another user's (sudo), which is not ours to end


def rss_bytes(pid: int) -> int:
    """Octets of memory that the process holds, 0 if that cannot be told."""
    try:
        return int(_read_file(f"/proc/{pid}/statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def count_children(pid: int) -> int:
    """How many children the process has, dead ones included; 0 if the kernel does not tell."""
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
