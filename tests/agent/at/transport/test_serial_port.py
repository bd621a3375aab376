"""A serial port; a pseudo-terminal is one."""

import asyncio
import errno
import fcntl
import os
import termios
import threading
import tty

import pytest

from agent.at.transport import serial_port
from agent.at.transport.base import PortUnavailable
from agent.at.transport.serial_port import NonBlockingSerial, open_serial, translate_open_error


@pytest.fixture
def terminal():
    """A pseudo-terminal: its far end, and the name under which it is a port."""
    far, near = os.openpty()
    tty.setraw(near)
    name = os.ttyname(near)
    os.close(near)
    ends = {"far": far, "name": name}
    yield ends
    if ends["far"] is not None:
        os.close(ends["far"])


async def test_bytes_pass_unchanged(terminal, make_reader):
    """No line ends are changed, and no flow control characters are removed."""
    reader = make_reader()
    transport = await open_serial(terminal["name"], 115200, reader)
    every = bytes(range(256))
    os.write(terminal["far"], every)
    await reader.until(lambda: len(reader.data) == 256)
    assert reader.data == every
    transport.write(b"AT\r")
    transport.write(every)
    await asyncio.sleep(0.05)
    assert os.read(terminal["far"], 4096) == b"AT\r" + every
    transport.close()
    await transport.wait_closed()


async def test_port_is_configured_and_locked(terminal, make_reader):
    """No echo, no XON/XOFF, DTR is kept on close, and a second opening is refused."""
    before = os.open(terminal["name"], os.O_RDWR | os.O_NOCTTY)
    flags = termios.tcgetattr(before)
    flags[2] |= termios.HUPCL
    flags[0] |= termios.IXON
    termios.tcsetattr(before, termios.TCSANOW, flags)
    os.close(before)
    transport = await open_serial(terminal["name"], 115200, make_reader())
    port = transport._handle
    flags = termios.tcgetattr(port.fd)
    assert not flags[0] & (termios.IXON | termios.IXOFF | termios.ICRNL)
    assert not flags[2] & termios.HUPCL
    assert not flags[3] & (termios.ECHO | termios.ICANON)
    assert flags[6][termios.VMIN] in (1, b"\x01")
    with pytest.raises(PortUnavailable, match=rf"held by .*\(pid {os.getpid()}\)") as caught:
        await open_serial(terminal["name"], 115200, make_reader())
    assert caught.value.kind == "busy"
    transport.close()
    await transport.wait_closed()
    again = await open_serial(terminal["name"], 115200, make_reader())
    again.close()
    await again.wait_closed()


async def test_locked_port_names_its_holder(terminal, make_reader):
    """The holder of the lock is named; after its end the port opens."""
    other = os.open(terminal["name"], os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(PortUnavailable, match="is held by"):
        await open_serial(terminal["name"], 115200, make_reader())
    os.close(other)
    transport = await open_serial(terminal["name"], 115200, make_reader())
    transport.close()
    await transport.wait_closed()


async def test_missing_port(tmp_path, make_reader):
    """A path that does not exist, and a file that is not a serial port, give a sentence."""
    with pytest.raises(PortUnavailable, match="does not exist") as caught:
        await open_serial(str(tmp_path / "ttyUSB7"), 115200, make_reader())
    assert caught.value.kind == "absent"
    (tmp_path / "file").write_text("x")
    with pytest.raises(PortUnavailable, match="not a serial port"):
        await open_serial(str(tmp_path / "file"), 115200, make_reader())


async def test_unplugged_while_idle(terminal, make_reader):
    """The loss is reported at once and only once; writing does nothing."""
    reader = make_reader()
    transport = await open_serial(terminal["name"], 115200, reader)
    os.close(terminal["far"])
    terminal["far"] = None
    await reader.until(lambda: reader.reasons)
    assert f"port {terminal['name']} is gone" in reader.reasons[0]
    transport.write(b"AT\r")
    await transport.wait_closed()
    assert len(reader.reasons) == 1


async def test_unplugged_while_writing(terminal, make_reader):
    """The loss with unwritten bytes is reported once, too."""
    reader = make_reader()
    transport = await open_serial(terminal["name"], 115200, reader)
    transport.write(b"x" * 100_000)
    os.close(terminal["far"])
    terminal["far"] = None
    await reader.until(lambda: reader.reasons)
    await transport.wait_closed()
    assert len(reader.reasons) == 1


async def test_write_timeout(terminal, make_reader):
    """A write never blocks: bytes that stay unwritten end the transport, and the close does not drain."""
    reader = make_reader()
    transport = await open_serial(terminal["name"], 115200, reader, write_timeout_s=0.1)
    transport.write(b"x" * 1_000_000)
    await reader.until(lambda: reader.reasons)
    assert "stopped reading" in reader.reasons[0]
    await transport.wait_closed()


async def test_close_discards_unwritten_bytes(terminal, make_reader):
    """A silent module must not delay the end of the program."""
    transport = await open_serial(terminal["name"], 115200, make_reader())
    transport.write(b"x" * 1_000_000)
    await asyncio.sleep(0.01)
    transport.close()
    async with asyncio.timeout(1):
        await transport.wait_closed()


async def test_open_and_close_do_not_block_the_loop(terminal, monkeypatch, make_reader):
    """A slow driver blocks nothing else; a cancelled opening leaves no port open.

    The driver's calls are patched, because no pseudo-terminal is slow to open.
    """
    threads = []
    opened = serial_port._open_blocking

    def slowly(port, baud):
        threads.append(threading.current_thread())
        released.wait(5)
        return opened(port, baud)

    released = threading.Event()
    monkeypatch.setattr(serial_port, "_open_blocking", slowly)
    let_go = asyncio.Event()
    loop = asyncio.get_running_loop()
    close = NonBlockingSerial.close_blocking
    monkeypatch.setattr(
        NonBlockingSerial, "close_blocking", lambda port: (close(port), loop.call_soon_threadsafe(let_go.set))
    )
    opening = asyncio.create_task(open_serial(terminal["name"], 115200, make_reader()))
    await asyncio.sleep(0.02)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    released.set()
    async with asyncio.timeout(5):
        await let_go.wait()
    assert threads[0] is not threading.main_thread()


async def test_output_is_discarded_before_close(terminal, make_reader, monkeypatch):
    """A driver that still has output would delay the close by half a minute.

    The system calls are patched to see their order; a pseudo-terminal never delays its close.
    """
    steps = []
    flush, close = termios.tcflush, os.close
    monkeypatch.setattr(termios, "tcflush", lambda fd, what: (steps.append(("flush", what)), flush(fd, what)))
    monkeypatch.setattr(os, "close", lambda fd: (steps.append(("close", fd)), close(fd)))
    transport = await open_serial(terminal["name"], 115200, make_reader())
    port = transport._handle.fd
    steps.clear()
    transport.close()
    await transport.wait_closed()
    assert steps[0] == ("flush", termios.TCOFLUSH)
    assert ("close", port) in steps


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EBUSY, "busy"),
        (errno.EAGAIN, "busy"),
        (errno.EACCES, "forbidden"),
        (errno.ENOENT, "absent"),
        (errno.EIO, "absent"),
        (errno.ENOTTY, "absent"),
        (errno.EISDIR, "absent"),
        (0, "absent"),
    ],
)
def test_open_error_has_a_kind_and_names_the_port(number, kind, tmp_path):
    """The kind is for programs, the sentence for the operator."""
    error = translate_open_error("/dev/ttyX9", OSError(number, "why"), tmp_path)
    assert error.kind == kind
    assert "/dev/ttyX9" in str(error)
