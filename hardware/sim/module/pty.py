"""A pseudo-terminal for a simulated module: any AT client can open it like a serial port.

The client's end is raw from the start and behind a symbolic link whose name stays. It may be closed, opened
again and opened several times.

When its last client has closed it, the pseudo-terminal is replaced by a new one and the link points there.
For a used one does not behave like a serial port: a client that asked for exclusive use (TIOCEXCL) and was
killed would lock everybody out but root, input that it has not read would greet the next client, and its
line settings would stay.

What the module says while no client has the port open is dropped, as on a UART whose host has the port
closed (DTR low). What a client that has the port open does not read waits in the kernel's buffer and then in
ours; when that is full, new bytes are dropped and counted like the overrun of a UART. Nothing ever waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RATES = {getattr(termios, name): int(name[1:]) for name in dir(termios) if re.fullmatch(r"B[1-9]\d*", name)}
"""What the codes of termios mean."""

BUFFER = 65536
"""Bytes kept for a client that does not read, beside the kernel's own buffer."""


class Pty:
    """One port; give `write` to the module and the module's `receive` to `start`."""

    def __init__(self, link: Path | None = None, *, buffer: int = BUFFER) -> None:
        self.link = link
        self.overrun = 0
        """Bytes dropped because an open client did not read them."""
        self.unheard = 0
        """Bytes dropped because no client had the port open, or because it left without reading them."""
        self._limit = buffer
        self._pending = bytearray()
        self._receive: Callable[[bytes], None] = lambda _: None
        self._linked: Path | None = None
        self._plugged = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._create()

    def start(self, receive: Callable[[bytes], None]) -> None:
        """Begin to hand bytes from the client to `receive`, on the running event loop; make the link."""
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._edge.fileno(), self._readable)
        self._point()

    @property
    def connected(self) -> bool:
        """Whether a client has the port open."""
        return self._plugged and not self._hangup.poll(0)

    def rate(self) -> int | None:
        """Bits per second that the client has chosen; None for none of the usual ones."""
        return RATES.get(termios.tcgetattr(self._master)[5])

    def write(self, data: bytes) -> None:
        """Bytes to the client; never blocks."""
        if not self.connected:
            self.unheard += len(data)
            return
        room = self._limit - len(self._pending)
        self.overrun += max(0, len(data) - room)
        self._pending += data[:room]
        self._flush()

    def close(self) -> None:
        """Hang up; removes the link."""
        self.unplug()

    def pause(self) -> None:
        """Take no bytes from the client: its writes block when the kernel's buffer is full."""
        if self._loop is not None:
            self._loop.remove_reader(self._edge.fileno())

    def resume(self) -> None:
        """Take them again, those that waited first."""
        if self._loop is not None and self._plugged:
            self._loop.add_reader(self._edge.fileno(), self._readable)
            self._readable()

    def unplug(self) -> None:
        """The device is gone: a client sees the end, and the link is away."""
        if self._plugged:
            self._plugged = False
            self._destroy()
            if self._linked is not None:
                self._linked.unlink(missing_ok=True)

    def plug(self) -> None:
        """It is back, under another name behind the same link."""
        if not self._plugged:
            self._plugged = True
            self._renew_port()

    def _create(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        os.close(slave)
        os.set_blocking(self._master, False)
        self._hangup = select.poll()
        self._hangup.register(self._master, 0)
        # Edge-triggered: while no client is there the terminal is hung up all the time, and a level-triggered
        # wait would spin. An epoll descriptor can itself be waited for by the event loop.
        self._edge = select.epoll()
        self._edge.register(self._master, select.EPOLLIN | select.EPOLLHUP | select.EPOLLET)
        self._edge.poll(0)  # that nobody is there yet is no news

    def _destroy(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._edge.fileno())
            self._loop.remove_writer(self._master)
        self._edge.close()
        os.close(self._master)

    def _point(self) -> None:
        if self.link is None:
            return
        self.link.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.link.with_name(f".{self.link.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(self.path)
        fresh.replace(self.link)
        self._linked = self.link

    def _readable(self) -> None:
        self._edge.poll(0)
        while True:
            try:
                data = os.read(self._master, 65536)
            except BlockingIOError:
                return
            except OSError:  # EIO: the last client has closed its end
                self._renew()
                return
            self._receive(data)

    def _renew(self) -> None:
        self.unheard += len(self._pending)
        self._pending.clear()
        self._destroy()
        self._renew_port()

    def _renew_port(self) -> None:
        self._create()
        if self._loop is not None:
            self._loop.add_reader(self._edge.fileno(), self._readable)
        self._point()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._pending:
                del self._pending[: os.write(self._master, self._pending)]
        if self._loop is None:
            return
        if self._pending:
            self._loop.add_writer(self._master, self._flush)
        else:
            self._loop.remove_writer(self._master)
