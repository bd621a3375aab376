"""The keeper's ends of pipes: one poll for all, frames both ways, lines for the log, output with a bound.

No end ever blocks the keeper, whatever stands on the other side.
"""

from __future__ import annotations

import os
import select

from agent.handlers.frames import Frame, FrameError, Reader, pack

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

READ = 65536


class Poller:
    """Calls back when a file descriptor can be read or written."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[int], object]] = {}

    def add(self, file: int, callback: Callable[[int], object]) -> None:
        """`callback` is given the events of poll(2)."""
        os.set_blocking(file, False)
        self._callbacks[file] = callback
        self._poll.register(file, select.POLLIN)

    def watch(self, file: int, events: int) -> None:
        """Wait for other events."""
        self._poll.modify(file, events)

    def drop(self, file: int) -> None:
        """Close it; safe to call twice."""
        if self._callbacks.pop(file, None) is not None:
            self._poll.unregister(file)
            os.close(file)

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the next events, at most so long, and call back."""
        # Rounded up: waking a fraction before a deadline would be one turn for nothing.
        milliseconds = None if timeout_s is None else int(timeout_s * 1000) + 1
        ready = [(self._callbacks[file], file, events) for file, events in self._poll.poll(milliseconds)]
        for callback, file, events in ready:
            if self._callbacks.get(file) is callback:  # no other callback has closed it in the meantime
                callback(events)


def read_some(file: int) -> bytes | None:
    """What can be read at once: None for nothing yet, empty for the end."""
    try:
        return os.read(file, READ)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class Channel:
    """Frames in both directions, over one socket or two pipes."""

    def __init__(
        self,
        poller: Poller,
        incoming: int,
        outgoing: int,
        heard: Callable[[Frame], None],
        ended: Callable[[], None],
    ) -> None:
        """`ended` is called once, when the other side is gone or talks rubbish."""
        self._poller = poller
        self._incoming = incoming
        self._outgoing = outgoing
        self._heard = heard
        self._ended = ended
        self._reader = Reader()
        self._waiting = bytearray()
        self._closed = False
        poller.add(incoming, self._ready)
        if outgoing != incoming:
            poller.add(outgoing, self._ready)
            poller.watch(outgoing, 0)

    def send(self, frame: Frame) -> None:
        """Write now what can be written now, the rest when there is room."""
        if not self._closed:
            self._waiting += pack(frame)
            self._flush()

    def drain(self) -> None:
        """Take in all that was written until now by somebody who is dead."""
        while not self._closed and self._read():
            pass

    def close(self) -> None:
        """Let go of both ends; safe to call twice."""
        if not self._closed:  # by now the numbers may be those of other files
            self._closed = True
            self._poller.drop(self._incoming)
            self._poller.drop(self._outgoing)

    def _ready(self, events: int) -> None:
        if events & select.POLLOUT:
            self._flush()
        if events & select.POLLIN:
            self._read()
        elif events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            self.drain()
            self._end()

    def _read(self) -> bool:
        """Take in one portion; whether there was one."""
        data = read_some(self._incoming)
        if data is None:
            return False
        try:
            for frame in self._reader.feed(data):
                self._heard(frame)
        except FrameError:
            data = b""
        if not data:
            self._end()
        return bool(data)

    def _end(self) -> None:
        if not self._closed:
            self.close()
            self._ended()

    def _flush(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: os.write(self._outgoing, self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()  # nobody is there any more: reading meets the end and says so
        idle = select.POLLIN if self._outgoing == self._incoming else 0
        self._poller.watch(self._outgoing, idle | (select.POLLOUT if self._waiting else 0))


class Output:
    """What comes out of a pipe, kept up to a bound; what is beyond is read and dropped, so nobody blocks.

    It stays open for as long as somebody holds the other end. A child that an executable leaves in the
    background would otherwise be killed by its next word (SIGPIPE).
    """

    def __init__(self, poller: Poller, file: int, most: int) -> None:
        self._poller = poller
        self._file = file
        self._left = most
        self.content = bytearray()
        poller.add(file, lambda _: self.read())

    def read(self) -> None:
        """Take in what is there, but no more than that at a time: others wait too."""
        data = read_some(self._file)
        if data:
            self.take(data)
        elif data is not None:
            self.close()

    def drain(self) -> None:
        """Take in all that was written until now; a pipe holds 64 KiB, so this ends."""
        for _ in range(2):
            self.read()

    def take(self, data: bytes) -> None:
        """Keep what there is room for."""
        kept = data[: self._left]
        self._left -= len(kept)
        self.content += kept

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        self._poller.drop(self._file)
        self._file = -1

    @property
    def open(self) -> bool:
        """Whether somebody may still write."""
        return self._file >= 0


class Lines(Output):
    """What a handler writes for the log: handed on line by line, so many octets a run."""

    def __init__(self, poller: Poller, file: int, most: int, heard: Callable[[bytes], None]) -> None:
        super().__init__(poller, file, most)
        self._most = most
        self._heard = heard
        self._full = False

    def take(self, data: bytes) -> None:
        """Hand on the lines that are whole now."""
        full = len(data) > self._left
        super().take(data)
        *lines, rest = self.content.split(b"\n")
        self.content = rest
        for line in lines:
            self._heard(bytes(line))
        if full and not self._full:
            self._full = True
            self.flush()
            self._heard(b"(what it wrote after this is left out)")

    def flush(self) -> None:
        """Hand on what has no line end yet."""
        if self.content:
            self._heard(bytes(self.content))
            self.content.clear()

    def renew(self) -> None:
        """Let the next run write as much again."""
        self._left = self._most
        self._full = False

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        self.flush()
        super().close()
