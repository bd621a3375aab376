"""Ends what is left when the keeper itself was killed.

A keeper ends everything below it; one that gets SIGKILL cannot. What it had started then dies with it, but
not what these had started in turn. All of them carry a mark in their environment, by which they are found.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

MARKER_VARIABLE = "MODEM_AGENT_KEEPER"
"""Name of the setting."""
MAX_KILL_ROUNDS = 20
"""Each takes milliseconds; a process may have started another while it was looked for."""


def kill_marked(marker: str) -> None:
    """Kill all processes of this user whose environment has this mark."""
    setting = f"{MARKER_VARIABLE}={marker}".encode()
    for _ in range(MAX_KILL_ROUNDS):
        found = [pid for pid in _list_pids() if setting in _read_environment(pid)]
        for pid in found:
            with suppress(OSError):  # it has ended
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _list_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read_environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return []
