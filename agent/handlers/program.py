"""A program of the operator that runs with the rights of handlers and gets no Command: power switch, alarm.

It is an absolute path and perhaps arguments. No shell is involved.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from agent.handlers.checks import check_permissions
from pdu.record import Record, fresh


class Program(Record):
    """One run of a program."""

    words: tuple[str, ...]
    """The path and the arguments."""
    timeout_s: float
    """After this time it is killed with everything that it started."""
    environment: Mapping[str, str] = fresh(dict)
    """Further variables beside those of handlers."""
    stdin: bytes = b""

    @property
    def path(self) -> Path:
        """The executable."""
        return Path(self.words[0])


def check_program(words: Sequence[str]) -> str:
    """Return a sentence that says why a program cannot be run, with the remedy; "" if it can."""
    path = words[0]
    try:
        status = os.stat(path)  # noqa: PTH116  (a path with a NUL raises ValueError here, and nothing else)
    except OSError as error:
        return f"{path} cannot be run: {error.strerror}"
    except ValueError:
        return f"{path!r} is not a path"
    if not stat.S_ISREG(status.st_mode):
        return f"{path} is not a program but a {'folder' if stat.S_ISDIR(status.st_mode) else 'special file'}"
    if not os.access(path, os.X_OK):
        return f"{path} cannot be executed by this user: chmod +x it"
    return "; ".join(check_permissions(path, status))
