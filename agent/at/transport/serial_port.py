"""A transport over a serial port, with pyserial and pyserial-asyncio.

Their calls that may block are kept off the event loop. Opening and closing run in a thread of their
own (a driver may hold a close for 30 s to drain its output). Unwritten output is discarded before the port is
closed. Reading and writing are one system call each.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import termios
from collections.abc import Callable
from pathlib import Path

import serial
import serial_asyncio

from agent.at.transport.base import (
    WRITE_TIMEOUT_S,
    PortErrorKind,
    PortState,
    PortUnavailable,
    Transport,
    TransportReader,
    WriteWatchdog,
)
from hardware.blocking import run_in_thread, start_thread
from hardware.port_users import explain_busy_port, explain_permissions
from hardware.serial_device import explain_absent

_log = logging.getLogger("modem-agent.at")

OPEN_TIMEOUT_S = 20.0
"""Opening is immediate on a healthy device; with a faulty USB adapter the kernel may wait 5 s twice."""
CLOSE_TIMEOUT_S = 5.0
"""Longest time for which the next opening waits for the close, which continues in its thread."""
PTY_MAJOR_NUMBERS = range(136, 144)
"""Pseudo-terminals. On these TIOCEXCL outlives the process that set it, and would lock out the agent after a
crash (seen on Linux 6.18); flock does not."""


async def open_serial(
    port: str,
    baud: int,
    reader: TransportReader,
    port_state: PortState | None = None,
    write_timeout_s: float = WRITE_TIMEOUT_S,
) -> Transport:
    """Open a port exclusively. Raises PortUnavailable.

    The transport is lost when bytes stay unwritten for `write_timeout_s`.
    """
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            handle = await run_in_thread(
                lambda: _open_blocking(port, baud), "open port", on_abandoned=NonBlockingSerial.close_blocking
            )
    except TimeoutError:
        raise PortUnavailable(
            PortErrorKind.ABSENT,
            f"opening port {port} does not return; unplug the module and plug it in again",
        ) from None
    except serial.SerialException as error:
        cause = error.__context__
        number = (
            error.errno if error.errno is not None else getattr(cause, "errno", None) or _error_number(cause)
        )
        raise translate_open_error(port, OSError(number or 0, str(error))) from None
    return PyserialTransport(handle, port, reader, port_state or PortState(), write_timeout_s)


def translate_open_error(port: str, error: OSError, root: Path = Path("/")) -> PortUnavailable:
    """Return the PortUnavailable for the error that opening a port raised; it names holder or owner."""
    match error.errno:
        case errno.EBUSY | errno.EAGAIN:
            return PortUnavailable(PortErrorKind.BUSY, explain_busy_port(port, root))
        case errno.EACCES | errno.EPERM:
            return PortUnavailable(PortErrorKind.FORBIDDEN, explain_permissions(port))
        case errno.ENOENT | errno.ENODEV | errno.ENXIO | errno.EIO | errno.ENOTDIR:
            return PortUnavailable(
                PortErrorKind.ABSENT,
                explain_absent(port, root),
            )
        case errno.ENOTTY | errno.EINVAL | errno.EISDIR:
            return PortUnavailable(
                PortErrorKind.ABSENT, f"{port} is not a serial port; name one in agent.toml ([modem] port)"
            )
    return PortUnavailable(PortErrorKind.ABSENT, f"port {port} cannot be opened: {error.strerror or error}")


def _open_blocking(port: str, baud: int) -> NonBlockingSerial:
    """Open and lock the port, before anything is changed or written. Runs in the thread."""
    # With a minimum of one octet (VMIN) a read can distinguish "nothing received" from "hung up".
    handle = NonBlockingSerial(
        port, baud, exclusive=True, xonxoff=False, rtscts=False, inter_byte_timeout=0, timeout=0
    )
    try:
        if os.major(os.fstat(handle.fileno()).st_rdev) not in PTY_MAJOR_NUMBERS:
            fcntl.ioctl(handle.fileno(), termios.TIOCEXCL)  # keeps out programs that do not use flock
        attributes = termios.tcgetattr(handle.fileno())
        attributes[2] &= ~termios.HUPCL  # closing must not drop DTR: some modules power down on it
        termios.tcsetattr(handle.fileno(), termios.TCSANOW, attributes)
    except (OSError, termios.error) as error:
        handle.close_blocking()
        raise serial.SerialException(_error_number(error), f"could not configure port: {error}") from None
    return handle


def _error_number(error: BaseException | None) -> int | None:
    """Return the error number of a termios.error, which is not an OSError."""
    first = error.args[0] if error is not None and error.args else None
    return first if isinstance(first, int) else None


class NonBlockingSerial(serial.Serial):  # type: ignore[misc]  # pyserial carries no types
    """A serial port that never blocks on reading and writing, and reports a hang-up."""

    def __init__(self, *args: object, **options: object) -> None:
        self.on_hangup: Callable[[str], None] = lambda _reason: None
        self.on_closed: Callable[[], None] = lambda: None
        super().__init__(*args, **options)

    def read(self, size: int = 1) -> bytes:
        """Return what was received. A hang-up is reported, and returns no bytes."""
        try:
            data = os.read(self.fd, size)
        except (BlockingIOError, InterruptedError):
            return b""
        except OSError as error:
            self.on_hangup(error.strerror or str(error))
            return b""
        if not data:
            self.on_hangup("end of file")
        return data

    def write(self, data: bytes) -> int:
        """Return how many bytes the driver took. After a hang-up all bytes count as taken."""
        try:
            return os.write(self.fd, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self.on_hangup(error.strerror or str(error))
            return len(data)

    def flush(self) -> None:
        """Do nothing: draining the output would block the event loop."""

    def close(self) -> None:
        """Close in a thread, which then calls `on_closed`."""
        if self.is_open:
            try:
                start_thread(self.close_blocking, "close port")
            except RuntimeError:  # the interpreter is shutting down
                self.close_blocking()

    def close_blocking(self) -> None:
        """Discard the driver's output and close. May block nevertheless."""
        if self.is_open:
            with contextlib.suppress(OSError, termios.error):
                termios.tcflush(self.fd, termios.TCOFLUSH)
        super().close()
        self.on_closed()


class PyserialTransport(asyncio.Protocol):
    """A pyserial-asyncio transport as a `Transport`."""

    def __init__(
        self,
        handle: NonBlockingSerial,
        port_name: str,
        reader: TransportReader,
        port_state: PortState,
        write_timeout_s: float,
    ) -> None:
        self.port_state = port_state
        self._port_name = port_name
        self._reader = reader
        self._handle = handle
        self._write_watchdog = WriteWatchdog(self._on_hangup, write_timeout_s)
        self._is_open = True
        self._loop = asyncio.get_running_loop()
        self._closed_event = asyncio.Event()
        handle.on_hangup = self._on_hangup
        handle.on_closed = self._on_port_closed
        self._transport = serial_asyncio.SerialTransport(self._loop, self, handle)
        self._transport.set_write_buffer_limits(high=0)

    # Transport

    def write(self, data: bytes) -> None:
        if self._is_open and self._transport.get_write_buffer_size() == 0:
            data = data[
                self._handle.write(data) :
            ]  # at once; the transport would wait for the next turn of the loop
        if self._is_open and data:
            self._transport.write(data)

    def set_baud(self, baud: int) -> None:
        if self._is_open:
            try:
                self._handle.baudrate = baud
            except (OSError, ValueError, termios.error) as error:
                # No module answers at a rate that the port does not support, so the search goes on.
                _log.info("port %s does not support %d baud: %s", self._port_name, baud, error)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._write_watchdog.stop()
            self._transport.flush()
            self._transport.abort()

    async def wait_closed(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._closed_event.wait()

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        if self._is_open:
            self._reader.data_received(data)

    def pause_writing(self) -> None:
        self._write_watchdog.start()

    def resume_writing(self) -> None:
        self._write_watchdog.stop()

    def _on_port_closed(self) -> None:
        """Set the event. Runs in the thread that closed the port."""
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nothing waits any more
            self._loop.call_soon_threadsafe(self._closed_event.set)

    def _on_hangup(self, reason: str) -> None:
        if self._is_open:
            self.close()
            self._reader.connection_lost(f"port {self._port_name} is gone: {reason}")
