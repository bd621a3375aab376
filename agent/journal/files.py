"""The lock beside a journal, and the check that the files of an open journal still exist.

A file that is deleted or replaced while it is open still accepts writes, and SQLite reports no error; the
writes would be lost with the process. So the files are checked before each commit. Three calls of stat(2)
take some microseconds, the commit itself takes a millisecond.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Protocol

_SUFFIXES = ("", "-wal", ".lock")
"""The files that hold acknowledged data, and the lock. SQLite can rebuild the file ``-shm`` from them."""
_MISSING_ERRORS = (FileNotFoundError, NotADirectoryError)


class JournalLocked(Exception):  # noqa: N818  (reads as the sentence it is)
    """Another process writes this journal; the text names the process."""


def acquire_lock(journal_path: Path) -> int:
    """Lock the journal for this process; return the descriptor that holds the lock until it is closed.

    The kernel releases the lock when the process ends, so a lock file that was left behind blocks no start.
    Raises JournalLocked, OSError.
    """
    path = journal_path.with_name(journal_path.name + ".lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        error = _locked_error(journal_path, descriptor)
        os.close(descriptor)
        raise error from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def check_lock(journal_path: Path) -> None:
    """Raise JournalLocked if another process writes the journal, and OSError; nothing is created or written.

    The lock is held for microseconds meanwhile. An agent that starts just then is started again by systemd.
    """
    try:
        descriptor = os.open(journal_path.with_name(journal_path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _locked_error(journal_path, descriptor) from None
    finally:
        os.close(descriptor)


def _locked_error(journal_path: Path, descriptor: int) -> JournalLocked:
    """Return the error with the process that has written itself into the lock file."""
    holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
    return JournalLocked(
        f"journal {journal_path} is written by another modem-agent (process {holder}): "
        "stop that one or give this one a journal of its own"
    )


class FileGuard(Protocol):
    """The lock of a journal and the check of its files; `JournalFiles` is the one on a disk."""

    def record_opened(self) -> None:
        """Record the files that SQLite has just opened. Raises OSError."""

    def find_changed(self) -> list[str]:
        """Return the suffixes of the files that were deleted or replaced. Raises OSError."""

    def lock_again(self) -> None:
        """Lock the journal anew. Raises JournalLocked, OSError."""

    def release(self) -> None:
        """Release the lock. It may be called twice."""


class JournalFiles:
    """The lock of a journal, and the inodes of its files while it is open."""

    def __init__(self, path: Path) -> None:
        """Lock the journal. Raises JournalLocked, OSError."""
        self._path = path
        self._paths = {suffix: path.with_name(path.name + suffix) for suffix in _SUFFIXES}
        self._inodes: dict[str, tuple[int, int]] = {}
        self._lock_fd = acquire_lock(path)
        self._record_lock()

    def record_opened(self) -> None:
        """Record the files that SQLite has just opened. Raises OSError."""
        self._inodes = {".lock": self._inodes[".lock"]}
        self.find_changed()

    def lock_again(self) -> None:
        """Lock the journal anew, because its lock file is gone. Raises JournalLocked, OSError."""
        lock_fd = acquire_lock(self._path)
        self.release()
        self._lock_fd = lock_fd
        self._record_lock()

    def release(self) -> None:
        """Release the lock. It may be called twice."""
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _record_lock(self) -> None:
        self._inodes[".lock"] = _inode(os.fstat(self._lock_fd))

    def find_changed(self) -> list[str]:
        """Return the suffixes of the files that were deleted or replaced, usually none.

        Raises OSError, also if the directory is gone; it may come back.
        """
        changed = []
        for suffix, path in self._paths.items():
            try:
                inode = _inode(path.stat())
            except _MISSING_ERRORS:
                inode = None
            except PermissionError:  # of the directory; files that are open stay usable
                continue
            if inode is not None and suffix not in self._inodes:  # SQLite creates the log at the first commit
                self._inodes[suffix] = inode
            elif inode != self._inodes.get(suffix):
                changed.append(suffix)
        if changed and not self._path.parent.is_dir():
            raise FileNotFoundError(errno.ENOENT, f"its folder {self._path.parent} is gone")
        return changed


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
