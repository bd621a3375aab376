"""The handler manager's event loop and its pipes: frames in both directions, log lines, limited output.

No pipe blocks the manager, even if the process at the other end does not read or write.
"""

from __future__ import annotations

import os
import select

from agent.handlers.framing import Frame, FrameDecoder, FrameError, encode_frame

TYPE_CHECKING = False  # importing typing would cost each handler process a megabyte
if TYPE_CHECKING:
    from collections.abc import Callable

READ_BYTES = 65536
TAIL_BYTES = 1000
"""The last octets of the log output of a run, which go with its result into the journal."""


class Poller:
    """Calls back when a file descriptor is ready, by poll(2)."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: dict[int, Callable[[int], object]] = {}

    def add(self, fd: int, callback: Callable[[int], object]) -> None:
        """Watch a file descriptor for reading; `callback` gets the events of poll(2)."""
        os.set_blocking(fd, False)
        self._callbacks[fd] = callback
        self._poll.register(fd, select.POLLIN)

    def set_events(self, fd: int, events: int) -> None:
        """Change the events that a file descriptor is watched for."""
        self._poll.modify(fd, events)

    def close(self, fd: int) -> None:
        """Stop watching a file descriptor and close it; a second call has no effect."""
        if self._callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)
            os.close(fd)

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the next events or for the timeout (None: without limit), then run the callbacks."""
        # Rounded up: waking up just before a deadline would cost one more turn of the loop.
        milliseconds = None if timeout_s is None else int(timeout_s * 1000) + 1
        ready = [(self._callbacks[fd], fd, events) for fd, events in self._poll.poll(milliseconds)]
        for callback, fd, events in ready:
            if self._callbacks.get(fd) is callback:  # an earlier callback may have closed it
                callback(events)


def read_available(fd: int) -> bytes | None:
    """Return the octets that can be read without blocking: None if none yet, empty at the end of the file."""
    try:
        return os.read(fd, READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


class FrameChannel:
    """Sends and receives frames over one socket or two pipes."""

    def __init__(
        self,
        poller: Poller,
        incoming: int,
        outgoing: int,
        on_frame: Callable[[Frame], None],
        on_closed: Callable[[], None],
    ) -> None:
        """Start to receive. `on_closed` is called once: when the peer closes or sends something invalid."""
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
        """Write a frame; octets that do not fit into the pipe now are written when it has space."""
        if not self._closed:
            self._write_buffer += encode_frame(frame)
            self._flush()

    def read_remaining(self) -> None:
        """Receive everything that a process wrote before it ended."""
        while not self._closed and self._read_chunk():
            pass

    def close(self) -> None:
        """Close both file descriptors; a second call has no effect."""
        if not self._closed:  # after that, other files may have the same numbers
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
        """Read once; return True if there was data."""
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
            self._write_buffer.clear()  # the peer is gone; the next read finds the end of the file and closes
        idle = select.POLLIN if self._outgoing == self._incoming else 0
        self._poller.set_events(self._outgoing, idle | (select.POLLOUT if self._write_buffer else 0))


class OutputBuffer:
    """Collects the output of a process up to a limit; reads and drops the rest, so the process never blocks.

    It stays open as long as a process has the other end open. Otherwise the next write of a background child
    of an executable would kill that child (SIGPIPE).
    """

    def __init__(self, poller: Poller, fd: int, limit: int) -> None:
        self._poller = poller
        self._fd = fd
        self._remaining = limit
        self.content = bytearray()
        poller.add(fd, lambda _: self.read())

    def read(self) -> None:
        """Read once, so that the other pipes are served as well."""
        data = read_available(self._fd)
        if data:
            self.append(data)
        elif data is not None:
            self.close()

    def read_remaining(self) -> None:
        """Read everything that was written before now. A pipe holds 64 KiB, so two reads are enough."""
        for _ in range(2):
            self.read()

    def append(self, data: bytes) -> None:
        """Keep the data up to the limit."""
        kept = data[: self._remaining]
        self._remaining -= len(kept)
        self.content += kept

    def close(self) -> None:
        """Close the pipe; a second call has no effect."""
        self._poller.close(self._fd)
        self._fd = -1

    @property
    def is_open(self) -> bool:
        """True while a process may still write."""
        return self._fd >= 0


class LineForwarder(OutputBuffer):
    """Forwards the log output of a handler line by line, up to a limit of octets for each run."""

    def __init__(self, poller: Poller, fd: int, limit: int, on_line: Callable[[bytes], None]) -> None:
        super().__init__(poller, fd, limit)
        self._limit = limit
        self.tail = b""
        """The last octets of this run, also those beyond the limit."""
        self._on_line = on_line
        self._is_truncated = False

    def append(self, data: bytes) -> None:
        """Forward the complete lines."""
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        truncated = len(data) > self._remaining
        super().append(data)
        *lines, rest = self.content.split(b"\n")
        self.content = rest
        for line in lines:
            self._on_line(bytes(line))
        if truncated and not self._is_truncated:
            self._is_truncated = True
            self.flush()
            self._on_line(b"(further output of this run is dropped)")

    def flush(self) -> None:
        """Forward the incomplete last line."""
        if self.content:
            self._on_line(bytes(self.content))
            self.content.clear()

    def reset_limit(self) -> None:
        """Give the next run the full limit again."""
        self._remaining = self._limit
        self._is_truncated = False
        self.tail = b""

    def close(self) -> None:
        """Forward the incomplete last line and close the pipe; a second call has no effect."""
        self.flush()
        super().close()
