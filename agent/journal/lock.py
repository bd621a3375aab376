"""One writer a journal: a lock file beside it that tells who holds it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class JournalLocked(Exception):  # noqa: N818  (reads as the sentence it is)
    """Another process writes this journal; the text names it."""


def acquire(journal_path: Path) -> int:
    """Take the lock beside the journal; the returned descriptor holds it until it is closed.

    The kernel lets go when the process ends in whatever way, so a lock file left behind blocks nobody.
    Raises JournalHeld, OSError.
    """
    path = journal_path.with_name(journal_path.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise JournalLocked(
            f"journal {journal_path} is written by another modem-agent (process {holder}): "
            "stop that one or give this one a journal of its own"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
