"""The keeper's ends of pipes: one poll for all, frames both ways, lines for the log, output with a bound.

No end ever blocks the keeper, whatever stands on the other side.
"""

from __future__ import annotations

import os
import select

from agent.handlers.framing import Frame, FrameDecoder, FrameError, encode_frame

TYPE_CHECKING = False  # typing itself would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 65536


class Poller:
    """Calls back when a file descriptor can be read or written."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[int], object]] = {}

    def add(self, fd: int, callback: Callable[[int], object]) -> None:
        """`callback` is given the events of poll(2)."""
        os.set_blocking(fd, False)
        self._callbacks[fd] = callback
        self._poll.register(fd, select.POLLIN)

    def set_events(self, fd: int, events: int) -> None:
        """Wait for other events."""
        self._poll.modify(fd, events)

    def close(self, fd: int) -> None:
        """Close it; safe to call twice."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)
            os.close(fd)

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the next events, at most so long, and call back."""
        # Rounded up: waking a fraction before a deadline would be one turn for nothing.
        milliseconds = None if timeout_s is None else int(timeout_s * 1000) + 1
        ready = [(self._callbacks[file], file, events) for file, events in self._poll.poll(milliseconds)]
        for callback, file, events in ready:
            if self._callbacks.get(file) is callback:  # no other callback has closed it in the meantime
                callback(events)


def read_available(fd: int) -> bytes | None:
    """What can be read at once: None for nothing yet, empty for the end."""
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class FrameChannel:
    """Frames in both directions, over one socket or two pipes."""

    def __init__(
        self,
        poller: Poller,
        incoming: int,
        outgoing: int,
        on_frame: Callable[[Frame], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`ended` is called once, when the other side is gone or talks rubbish."""
        self._poller = poller
        self._incoming = incoming
        self._outgoing = outgoing
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._decoder = FrameDecoder()
        self._write_buffer = bytearray()
        self._closed = False
        poller.add(incoming, self._on_events)
        if outgoing != incoming:
            poller.add(outgoing, self._on_events)
            poller.set_events(outgoing, 0)

    def send(self, frame: Frame) -> None:
        """Write now what can be written now, the rest when there is room."""
        if not self._closed:
            self._write_buffer += encode_frame(frame)
            self._flush()

    def read_remaining(self) -> None:
        """Take in all that was written until now by somebody who is dead."""
        while not self._closed and self._read_chunk():
            pass

    def close(self) -> None:
        """Let go of both ends; safe to call twice."""
        if not self._closed:  # by now the numbers may be those of other files
            self._closed = True
            self._poller.close(self._incoming)
            self._poller.close(self._outgoing)

    def _on_events(self, events: int) -> None:
        if events & select.POLLOUT:
            self._flush()
        if events & select.POLLIN:
            self._read_chunk()
        elif events & (select.POLLHUP | select.POLLERR | select.POLLNVAL):
            self.read_remaining()
            self._close_and_notify()

    def _read_chunk(self) -> bool:
        """Take in one portion; whether there was one."""
        data = read_available(self._incoming)
        if data is None:
            return False
        try:
            for frame in self._decoder.feed(data):
                self._on_frame(frame)
        except FrameError:
            data = b""
        if not data:
            self._close_and_notify()
        return bool(data)

    def _close_and_notify(self) -> None:
        if not self._closed:
            self.close()
            self._on_closed()

    def _flush(self) -> None:
        try:
            while self._write_buffer:
                del self._write_buffer[: os.write(self._outgoing, self._write_buffer)]
        except BlockingIOError:
            pass
        except OSError:
            self._write_buffer.clear()  # nobody is there any more: reading meets the end and says so
        idle = select.POLLIN if self._outgoing == self._incoming else 0
        self._poller.set_events(self._outgoing, idle | (select.POLLOUT if self._write_buffer else 0))


class OutputBuffer:
    """What comes out of a pipe, kept up to a bound; what is beyond is read and dropped, so nobody blocks.

    It stays open for as long as somebody holds the other end. A child that an executable leaves in the
    background would otherwise be killed by its next word (SIGPIPE).
    """

    def __init__(self, poller: Poller, fd: int, limit: int) -> None:
        self._poller = poller
        self._fd = fd
        self._remaining = limit
        self.content = bytearray()
        poller.add(fd, lambda _: self.read())

    def read(self) -> None:
        """Take in what is there, but no more than that at a time: others wait too."""
        data = read_available(self._fd)
        if data:
            self.append(data)
        elif data is not None:
            self.close()

    def read_remaining(self) -> None:
        """Take in all that was written until now; a pipe holds 64 KiB, so this ends."""
        for _ in range(2):
            self.read()

    def append(self, data: bytes) -> None:
        """Keep what there is room for."""
        kept = data[: self._remaining]
        self._remaining -= len(kept)
        self.content += kept

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        self._poller.close(self._fd)
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """Whether somebody may still write."""
        return self._fd >= 0


class LineForwarder(OutputBuffer):
    """What a handler writes for the log: handed on line by line, so many octets a run."""

    def __init__(self, poller: Poller, fd: int, limit: int, on_line: Callable[[bytes], None]) -> None:
        super().__init__(poller, fd, limit)
        self._limit = limit
        self._on_line = on_line
        self._is_truncated = False

    def append(self, data: bytes) -> None:
        """Hand on the lines that are whole now."""
        full = len(data) > self._left
        super().append(data)
        *lines, rest = self.content.split(b"\n")
        self.content = rest
        for line in lines:
            self._on_line(bytes(line))
        if full and not self._is_truncated:
            self._is_truncated = True
            self.flush()
            self._on_line(b"(what it wrote after this is left out)")

    def flush(self) -> None:
        """Hand on what has no line end yet."""
        if self.content:
            self._on_line(bytes(self.content))
            self.content.clear()

    def reset_limit(self) -> None:
        """Let the next run write as much again."""
        self._left = self._limit
        self._is_truncated = False

    def close(self) -> None:
        """Let go of it; safe to call twice."""
        self.flush()
        super().close()
