"""Whether an open journal still stands where it was opened.

A file that is deleted or replaced takes what is written to it all the same, and SQLite says nothing of it: it
would all be lost with the process. So each commit looks first; three questions to the kernel cost some
microseconds beside the millisecond of the commit.
"""

from __future__ import annotations

import os
from pathlib import Path

_MISSING_ERRORS = (FileNotFoundError, NotADirectoryError)
SUFFIXES = ("", "-wal", ".lock")
"""Of the files that hold what was acknowledged, and of the lock. What ``-shm`` has is made anew from them."""


class JournalDirectoryUnavailable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The folder is not there, or on another disk than the journal: it may come back."""


class JournalFiles:
    """The files of one open journal."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        """`lock` is the descriptor of the lock file."""
        self._directory = path.parent
        self._paths = {tail: path.with_name(path.name + tail) for tail in SUFFIXES}
        self._device = self._directory.stat().st_dev  # an overlay has another number for its files
        self._known_inodes: dict[str, tuple[int, int]] = {}
        self.set_lock_file(lock_fd)
        self.find_changed()

    def set_lock_file(self, lock_fd: int) -> None:
        """That is the lock file from now on."""
        held = os.fstat(lock_fd)
        self._known_inodes[".lock"] = (held.st_dev, held.st_ino)

    def find_changed(self) -> list[str]:
        """Tails of the files that were deleted or replaced, usually none. Raises Away, OSError.

        What may not be looked at is taken to be there: it is open and takes what is written.
        """
        lost = []
        for tail, path in self._paths.items():
            try:
                found = path.stat()
            except _MISSING_ERRORS:
                here = None
            except OSError:
                continue
            else:
                here = (found.st_dev, found.st_ino)
            if tail not in self._known_inodes:
                if here is not None:  # a log is made with the first commit
                    self._known_inodes[tail] = here
            elif here != self._known_inodes[tail]:
                lost.append(tail)
        if lost:
            self._check_directory()
        return lost

    def _check_directory(self) -> None:
        try:
            disk = self._directory.stat().st_dev
        except _MISSING_ERRORS:
            raise JournalDirectoryUnavailable(f"its folder {self._directory} is gone") from None
        if disk != self._device:
            raise JournalDirectoryUnavailable(
                f"another disk is mounted at {self._directory}, or its own is not mounted any more"
            )
