"""Watches how often a device file is opened and closed, with inotify(7).

A pseudo-terminal tells its far end that nobody has it open, but not that it was closed and opened again in
the meantime. The kernel merges equal events that nobody has read yet, so the count may be wrong for a moment
when several programs open the file at once; `resync` corrects it.
"""

from __future__ import annotations

import ctypes
import os
import struct

_OPEN, _CLOSE = 0x20, 0x18
"""IN_OPEN; IN_CLOSE_WRITE | IN_CLOSE_NOWRITE."""
_EVENT = struct.Struct("iIII")
"""struct inotify_event: watch, mask, cookie, and the length of the name that follows."""


class OpenWatch:
    """Counts the programs that have a file open. Without inotify (its limit is reached) the count is 0."""

    def __init__(self, path: str) -> None:
        self._count = 0
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        """Readable when the file was opened or closed; -1 without inotify."""
        if self.fd >= 0 and libc.inotify_add_watch(self.fd, os.fsencode(path), _OPEN | _CLOSE) < 0:
            self.close()

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def update(self) -> bool:
        """Return True if the last program has closed the file since the last call; it may be open again."""
        was_closed = False
        for mask in self._read_masks():
            self._count = max(0, self._count + (1 if mask & _OPEN else -1))
            was_closed = was_closed or self._count == 0
        return was_closed

    def resync(self, *, is_open: bool) -> None:
        """Forget the events so far; the file is open or not."""
        self._read_masks()
        self._count = int(is_open)

    def _read_masks(self) -> list[int]:
        try:
            data = os.read(self.fd, 65536) if self.fd >= 0 else b""
        except BlockingIOError:
            return []
        return [mask for _, mask, _, _ in _EVENT.iter_unpack(data)]  # a watch of a file: no names follow
