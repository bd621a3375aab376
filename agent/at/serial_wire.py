"""A wire over a serial port: pyserial's port, pyserial-asyncio's transport.

What those two do on the event loop and may block is kept away from it. Opening and closing happen in a thread
of their own that ends with them (a driver may hold a close for 30 s to drain its output). What is left of
the output is thrown away before the port is closed. Reading and writing are one system call each.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import termios
from collections.abc import Callable

import serial
import serial_asyncio

from agent.at.holder import unavailable
from agent.at.wire import STUCK, PortMemory, PortUnavailable, Wire, WireReader, WriteLimit
from hardware.thread import aside, in_thread

_log = logging.getLogger("modem-agent.at")

OPEN_S = 20.0
"""Opening is immediate on a healthy device; a USB adapter in trouble may take the kernel's own 5 s twice."""
CLOSE_S = 5.0
"""How long somebody who wants the port again waits for it; the closing goes on in its thread."""
PTY_MAJORS = range(136, 144)
"""Pseudo-terminals. On them TIOCEXCL outlives whoever set it, and would keep out the next agent after a crash
(seen on Linux 6.18); flock does not."""


async def open_serial(port: str, baud: int, reader: WireReader, memory: PortMemory | None = None) -> Wire:
    """Open a port for us alone. Raises PortUnavailable."""
    try:
        async with asyncio.timeout(OPEN_S):
            handle = await in_thread(lambda: _open(port, baud), "open port", abandoned=Port.let_go)
    except TimeoutError:
        raise PortUnavailable("absent", f"port {port} hangs while it is opened; unplug the module?") from None
    except serial.SerialException as error:
        cause = error.__context__
        number = error.errno if error.errno is not None else getattr(cause, "errno", None) or _first(cause)
        raise unavailable(port, OSError(number or 0, str(error))) from None
    return SerialWire(handle, port, reader, memory or PortMemory())


def _open(port: str, baud: int) -> Port:
    """In the thread. The lock is taken before anything is changed or written."""
    # A minimum of one octet (VMIN) makes "nothing there" and "hung up" two different answers to a read.
    handle = Port(port, baud, exclusive=True, xonxoff=False, rtscts=False, inter_byte_timeout=0, timeout=0)
    try:
        if os.major(os.fstat(handle.fileno()).st_rdev) not in PTY_MAJORS:
            fcntl.ioctl(handle.fileno(), termios.TIOCEXCL)  # keeps out those who know nothing of flock
        attributes = termios.tcgetattr(handle.fileno())
        attributes[2] &= ~termios.HUPCL  # closing must not drop DTR: some modules power down on it
        termios.tcsetattr(handle.fileno(), termios.TCSANOW, attributes)
    except (OSError, termios.error) as error:
        handle.let_go()
        raise serial.SerialException(_first(error), f"could not configure port: {error}") from None
    return handle


def _first(error: BaseException | None) -> int | None:
    """The error number of a termios.error, which is no OSError."""
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


class Port(serial.Serial):  # type: ignore[misc]  # pyserial carries no types
    """A serial port whose input and output never wait, and whose end is told."""

    def __init__(self, *args: object, **options: object) -> None:
        self.hung_up: Callable[[str], None] = lambda _reason: None
        self.released: Callable[[], None] = lambda: None
        super().__init__(*args, **options)

    def read(self, size: int = 1) -> bytes:
        """What is there; a hang-up is told and reads as nothing."""
        try:
            data = os.read(self.fd, size)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            self.hung_up(error.strerror or str(error))
            return b""
        if not data:
            self.hung_up("end of file")
        return data

    def write(self, data: bytes) -> int:
        """What the driver takes now. After a hang-up it takes everything."""
        try:
            return os.write(self.fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.hung_up(error.strerror or str(error))
            return len(data)

    def flush(self) -> None:
        """Wait for nothing: draining would block the event loop for as long as the module likes."""

    def close(self) -> None:
        """Close in a thread; `released` is called there when it is done."""
        if self.is_open:
            try:
                aside(self.let_go, "close port")
            except RuntimeError:  # the interpreter is ending
                self.let_go()

    def let_go(self) -> None:
        """Close here and now, with what the driver has not sent; may block all the same."""
        if self.is_open:
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self.fd, termios.TCOFLUSH)
        super().close()
        self.released()


class SerialWire(asyncio.Protocol):
    """pyserial-asyncio's transport as a wire."""

    def __init__(self, handle: Port, port: str, reader: WireReader, memory: PortMemory) -> None:
        self.memory = memory
        self._port = port
        self._reader = reader
        self._handle = handle
        self._limit = WriteLimit(self._stuck)
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._released = asyncio.Event()
        handle.hung_up = self._lost
        handle.released = self._port_released
        self._transport = serial_asyncio.SerialTransport(self._loop, self, handle)
        self._transport.set_write_buffer_limits(high=0)

    # Wire

    def write(self, data: bytes) -> None:
        if self._open and self._transport.get_write_buffer_size() == 0:
            data = data[self._handle.write(data) :]  # at once; the transport would wait for the next turn
        if self._open and data:
            self._transport.write(data)

    def tune(self, rate: int) -> None:
        if self._open:
            try:
                self._handle.baudrate = rate
            except (OSError, ValueError, termios.error) as error:
                # A rate that this port cannot do is one of those at which no module answers.
                _log.info("port %s does not do %d baud: %s", self._port, rate, error)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._limit.written()
            self._transport.flush()
            self._transport.abort()

    async def closed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await self._released.wait()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self._open:
            self._reader.received(data)

    def pause_writing(self) -> None:
        self._limit.waiting()

    def resume_writing(self) -> None:
        self._limit.written()

    def _port_released(self) -> None:
        """In the thread that closed the port."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, so has whoever waited
            self._loop.call_soon_threadsafe(self._released.set)

    def _stuck(self) -> None:
        self._lost(STUCK)

    def _lost(self, reason: str) -> None:
        if self._open:
            self.close()
            self._reader.hung_up(f"port {self._port} is gone: {reason}")
