"""Writes the file of a recording, line by line, and stops without disturbing the agent if it cannot."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

MIN_FREE_BYTES = 16 * 1024 * 1024
"""Free space that a recording leaves on its file system: the journal may be there too, and without a
commit the agent cannot work."""


class RecordingFile:
    """Appends lines to a file with mode 0600, until an error; then warns once and ignores further lines.

    An existing recording is resumed.
    """

    def __init__(self, path: Path, warn: Callable[[str], None], min_free_bytes: int = MIN_FREE_BYTES) -> None:
        """`warn` receives a sentence.

        Raises OSError if the file cannot be opened or is not a regular file.
        """
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
        """Write one line, given without its line end; it is in the file when this returns."""
        if self._fd is None:
            return
        data = f"{line}\n".encode()
        try:
            file_system = os.fstatvfs(self._fd)
            if file_system.f_bavail * file_system.f_frsize < self._min_free_bytes:
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
        """Close the file; further lines are ignored."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
