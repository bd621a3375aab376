"""Kills the processes that are left when the handler manager itself was killed.

The manager ends all its descendants, but not if it gets SIGKILL. Its own children then die with it (parent
death signal); their children do not. All of them have a marker in their environment; this module finds them
by it.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARKER_VARIABLE = "MODEM_AGENT_HANDLER_MANAGER"
"""Environment variable with the marker of a manager."""
MAX_KILL_ROUNDS = 20
"""Limit of the search rounds. A process may start another during a round; each round takes milliseconds."""


def kill_marked(marker: str) -> None:
    """Kill all processes of this user whose environment has this marker."""
    setting = f"{MARKER_VARIABLE}={marker}".encode()
    for _ in range(MAX_KILL_ROUNDS):
        found = [pid for pid in _list_pids() if setting in _read_environment(pid)]
        for pid in found:
            with suppress(OSError):  # the process has ended
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _list_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read_environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # the process has ended, or belongs to another user
        return []
