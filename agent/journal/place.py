"""Whether an open journal still stands where it was opened.

A file that is deleted or replaced takes what is written to it all the same, and SQLite says nothing of it: it
would all be lost with the process. So each commit looks first; three questions to the kernel cost some
microseconds beside the millisecond of the commit.
"""

from __future__ import annotations

import os
from pathlib import Path

_GONE = (FileNotFoundError, NotADirectoryError)
TAILS = ("", "-wal", ".lock")
"""Of the files that hold what was acknowledged, and of the lock. What ``-shm`` has is made anew from them."""


class Away(Exception):  # noqa: N818  (reads as the sentence it is)
    """The folder is not there, or on another disk than the journal: it may come back."""


class Place:
    """The files of one open journal."""

    def __init__(self, path: Path, lock: int) -> None:
        """`lock` is the descriptor of the lock file."""
        self._folder = path.parent
        self._paths = {tail: path.with_name(path.name + tail) for tail in TAILS}
        self._disk = self._folder.stat().st_dev  # an overlay has another number for its files
        self._known: dict[str, tuple[int, int]] = {}
        self.locked(lock)
        self.lost()

    def locked(self, lock: int) -> None:
        """That is the lock file from now on."""
        held = os.fstat(lock)
        self._known[".lock"] = (held.st_dev, held.st_ino)

    def lost(self) -> list[str]:
        """Tails of the files that were deleted or replaced, usually none. Raises Away, OSError.

        What may not be looked at is taken to be there: it is open and takes what is written.
        """
        lost = []
        for tail, path in self._paths.items():
            try:
                found = path.stat()
            except _GONE:
                here = None
            except OSError:
                continue
            else:
                here = (found.st_dev, found.st_ino)
            if tail not in self._known:
                if here is not None:  # a log is made with the first commit
                    self._known[tail] = here
            elif here != self._known[tail]:
                lost.append(tail)
        if lost:
            self._must_be_here()
        return lost

    def _must_be_here(self) -> None:
        try:
            disk = self._folder.stat().st_dev
        except _GONE:
            raise Away(f"its folder {self._folder} is gone") from None
        if disk != self._disk:
            raise Away(f"another disk is mounted at {self._folder}, or its own is not mounted any more")
