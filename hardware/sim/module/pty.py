"""A pseudo-terminal for a simulated module: any AT client can open it like a serial port.

The client's end is in raw mode from the start, behind a symbolic link with a stable name. It can be closed,
opened again at once, and opened several times. As on a serial port, its line settings stay after a close;
exclusive use (TIOCEXCL) and output that was not read end with the client that closed it last.

Output is dropped while no client has the port open, as on a UART whose host has the port closed (DTR low).
What an open client does not read waits in the kernel's buffer and then in a buffer here; when that is full,
new bytes are dropped and counted like an overrun of a UART. Writing never blocks.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import select
import termios
import tty
from typing import TYPE_CHECKING

from hardware.sim.module.open_watch import OpenWatch
from hardware.sim.module.port_access import PortAccess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BAUD_BY_TERMIOS_CODE = {
    getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9]\d*", name)
}
"""Baud rates by the constants of termios."""

MAX_BUFFERED_BYTES = 65536
"""Bytes kept for a client that does not read, in addition to the kernel's buffer."""


class _Terminal:
    """A pseudo-terminal whose client's end is in raw mode."""

    def __init__(self, access: PortAccess) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self.master, False)
        self.hangup_poll = select.poll()
        self.hangup_poll.register(self.master, 0)
        self.watch = OpenWatch(self.path)
        # Edge-triggered: without a client the terminal is in hangup all the time, and a level-triggered wait
        # would spin. The event loop can wait for an epoll descriptor itself.
        self.epoll = select.epoll()
        self.epoll.register(self.master, select.EPOLLIN | select.EPOLLHUP | select.EPOLLET)
        if self.watch.fd >= 0:
            self.epoll.register(self.watch.fd, select.EPOLLIN | select.EPOLLET)
        self.epoll.poll(0)  # discard the initial hangup
        try:
            access.apply(self.path)
        except OSError:
            self.close()
            raise

    @property
    def is_open(self) -> bool:
        """True while a client has it open."""
        return not self.hangup_poll.poll(0)

    def discard_output(self, *, end_exclusive_use: bool) -> bool:
        """Discard what clients have not read, and perhaps end the exclusive use that a killed one has left.

        Returns False if that is not possible: only root may open a terminal in exclusive use.
        """
        try:
            slave = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            termios.tcflush(slave, termios.TCIFLUSH)
            if end_exclusive_use:
                fcntl.ioctl(slave, termios.TIOCNXCL)
        finally:
            os.close(slave)
        self.watch.resync(is_open=self.is_open)
        self.epoll.poll(0)  # discard the hangup that this close has caused
        return True

    def close(self) -> None:
        self.epoll.close()
        self.watch.close()
        os.close(self.master)


class Pty:
    """One port: its `write` takes the module's output, `start` takes the module's `receive`."""

    def __init__(
        self, link: Path, *, access: PortAccess | None = None, buffer_bytes: int = MAX_BUFFERED_BYTES
    ) -> None:
        self.link = link
        self._access = access or PortAccess()
        self.overrun_bytes = 0
        """Bytes dropped because a client with the port open did not read them."""
        self.unread_bytes = 0
        """Bytes dropped because no client had the port open, or closed it without reading them."""
        self._buffer_limit = buffer_bytes
        self._pending = bytearray()
        self._receive: Callable[[bytes], None] = lambda _: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._link_made = False
        self._closed = False
        self._terminal: _Terminal | None = None
        """None before the start and while the device is unplugged."""

    def start(self, receive: Callable[[bytes], None]) -> None:
        """Pass bytes from clients to `receive`, on the running event loop, and create the link.

        Raises OSError if the link cannot be created, or group and mode not be set.
        """
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._plug()

    @property
    def is_open(self) -> bool:
        """True while a client has the port open."""
        return self._terminal is not None and self._terminal.is_open

    def client_baud(self) -> int | None:
        """Return the baud rate that the client has set, None if it is not a standard one."""
        if self._terminal is None:
            return None
        return BAUD_BY_TERMIOS_CODE.get(termios.tcgetattr(self._terminal.master)[5])

    def write(self, data: bytes) -> None:
        """Write bytes to the client; never blocks."""
        terminal = self._terminal
        if terminal is None or not terminal.is_open:
            self.unread_bytes += len(data)
            return
        if terminal.watch.update():
            self._discard_output(terminal)
        free = self._buffer_limit - len(self._pending)
        self.overrun_bytes += max(0, len(data) - free)
        self._pending += data[:free]
        self._flush()

    def discard_output(self) -> None:
        """Discard what clients have not read yet."""
        if self._terminal is not None:
            self._discard_output(self._terminal)

    def close(self) -> None:
        """Close the port for good and remove the link."""
        self.unplug()
        self._closed = True

    def pause(self) -> None:
        """Stop reading from the client: its writes block when the kernel's buffer is full."""
        if self._loop is not None and self._terminal is not None:
            self._loop.remove_reader(self._terminal.epoll.fileno())

    def resume(self) -> None:
        """Read from the client again, waiting bytes first."""
        if self._loop is not None and self._terminal is not None:
            self._loop.add_reader(self._terminal.epoll.fileno(), self._read_available)
            self._read_available()

    def unplug(self) -> None:
        """Remove the device: a client gets a hangup, and the link is removed."""
        if self._terminal is not None:
            self._close_terminal(self._terminal)
            self._terminal = None
            if self._link_made:
                self.link.unlink(missing_ok=True)

    def plug(self) -> None:
        """Bring the device back, as another pseudo-terminal behind the same link; not after `close`."""
        if self._terminal is None and not self._closed:
            self._plug()

    def _plug(self) -> None:
        terminal = self._terminal = _Terminal(self._access)
        if self._loop is not None:
            self._loop.add_reader(terminal.epoll.fileno(), self._read_available)
        self.link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.link.with_name(f".{self.link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(terminal.path)
        fresh.replace(self.link)
        self._link_made = True

    def _close_terminal(self, terminal: _Terminal) -> None:
        if self._loop is not None:
            self._loop.remove_reader(terminal.epoll.fileno())
            self._loop.remove_writer(terminal.master)
        terminal.close()

    def _read_available(self) -> None:
        """Pass on what clients have written; each time that the last one has closed, prepare for the next."""
        terminal = self._terminal
        if terminal is None:
            return
        terminal.epoll.poll(0)
        if terminal.watch.update() and terminal.is_open:
            self._discard_output(terminal)
        is_prepared = False
        while terminal is self._terminal:
            try:
                data = os.read(terminal.master, 65536)
            except BlockingIOError:
                return
            except OSError:  # EIO: no client has it open, and all their bytes have been read
                if is_prepared:
                    return
                is_prepared = self._prepare_for_next_client(terminal)
            else:
                is_prepared = False  # a client may come and go between two reads
                self._receive(data)

    def _prepare_for_next_client(self, terminal: _Terminal) -> bool:
        """End what must not outlive a client; returns False if the terminal had to be replaced."""
        self.unread_bytes += len(self._pending)
        self._pending.clear()
        if terminal.discard_output(end_exclusive_use=True):
            return True
        self._close_terminal(terminal)
        self._plug()
        return False

    def _discard_output(self, terminal: _Terminal) -> None:
        """Discard output that was meant for a client before the one that has the port open now."""
        self.unread_bytes += len(self._pending)
        self._pending.clear()
        terminal.discard_output(end_exclusive_use=False)

    def _flush(self) -> None:
        if self._terminal is None:
            return
        master = self._terminal.master
        with contextlib.suppress(BlockingIOError):
            while self._pending:
                del self._pending[: os.write(master, self._pending)]
        if self._loop is None:
            return
        if self._pending:
            self._loop.add_writer(master, self._flush)
        else:
            self._loop.remove_writer(master)
