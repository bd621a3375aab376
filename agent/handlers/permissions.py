"""Checks that only root and the agent's user can write a handler file.

Every handler process imports this module, so it imports nothing else.
"""

from __future__ import annotations

import os


def find_permission_errors(path: str, status: os.stat_result) -> list[str]:
    """Return a sentence for each permission that lets users other than root and the agent's write the file.

    A user that can write a handler controls the device.
    """
    errors = []
    if status.st_mode & 0o022:
        mode = status.st_mode & 0o7777
        errors.append(f"{path} can be written by others (mode {mode:04o}): chmod go-w it")
    if status.st_uid not in (0, os.geteuid()):
        errors.append(
            f"{path} belongs to user {status.st_uid}: chown it to root or to the user that runs modem-agent"
        )
    return errors
