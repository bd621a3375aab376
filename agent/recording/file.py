"""The file of a recording: written line by line, never in the way of the agent."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Octets that a recording leaves free on its file system: the journal may live there too, and an agent that
cannot commit does nothing."""


class RecordingFile:
    """Takes lines until it cannot; then says why, once, and takes no more.

    An existing recording is gone on with. Only its owner may read it.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], min_free_bytes: int = MIN_FREE_BYTES) -> None:
        """Raises OSError when the file cannot be opened or is none."""
        self._path = path
        self._warn = warn
        self._min_free_bytes = min_free_bytes
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd: int | None = os.open(path, flags, 0o600)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))
        os.fchmod(self._fd, 0o600)

    def write(self, line: str) -> None:
        """One line, without its end; it is in the file when this returns."""
        if self._fd is None:
            return
        data = f"{line}\n".encode()
        try:
            system = os.fstatvfs(self._fd)
            if system.f_bavail * system.f_frsize < self._min_free_bytes:
                self._abort(f"less than {self._min_free_bytes >> 20} MiB are left on its disk")
            elif (written := os.write(self._fd, data)) < len(data):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                self._abort(os.strerror(errno.ENOSPC))
        except OSError as error:
            self._abort(error.strerror or str(error))

    def _abort(self, reason: str) -> None:
        self.close()
        self._warn(f"the recording {self._path} ends here: {reason}")

    def close(self) -> None:
        """Take no more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
