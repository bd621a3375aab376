"""A serial port; a pseudo-terminal is one."""

import asyncio
import errno
import fcntl
import os
import termios
import threading
import tty

import pytest

from agent.at.transport import base as wire_room
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


async def test_octets_both_ways(terminal, make_reader):
    """Every octet passes as it is: no line ends are changed, no flow control characters are eaten."""
    reader = make_reader()
    wire = await open_serial(terminal["name"], 115200, reader)
    every = bytes(range(256))
    os.write(terminal["far"], every)
    await reader.until(lambda: len(reader.data) == 256)
    assert reader.data == every
    wire.write(b"AT\r")
    wire.write(every)
    await asyncio.sleep(0.05)
    assert os.read(terminal["far"], 4096) == b"AT\r" + every
    wire.close()
    await wire.wait_closed()


async def test_the_port_is_set_up_and_locked(terminal, make_reader):
    """No echo, no XON/XOFF, DTR stays up on close, and a second opener is refused."""
    before = os.open(terminal["name"], os.O_RDWR | os.O_NOCTTY)
    flags = termios.tcgetattr(before)
    flags[2] |= termios.HUPCL
    flags[0] |= termios.IXON
    termios.tcsetattr(before, termios.TCSANOW, flags)
    os.close(before)
    wire = await open_serial(terminal["name"], 115200, make_reader())
    port = wire._handle
    flags = termios.tcgetattr(port.fd)
    assert not flags[0] & (termios.IXON | termios.IXOFF | termios.ICRNL)
    assert not flags[2] & termios.HUPCL
    assert not flags[3] & (termios.ECHO | termios.ICANON)
    assert flags[6][termios.VMIN] in (1, b"\x01")
    with pytest.raises(PortUnavailable, match=rf"held by .*\(pid {os.getpid()}\)") as caught:
        await open_serial(terminal["name"], 115200, make_reader())
    assert caught.value.kind == "busy"
    wire.close()
    await wire.wait_closed()
    again = await open_serial(terminal["name"], 115200, make_reader())
    again.close()
    await again.wait_closed()


async def test_a_lock_of_somebody_else_is_respected(terminal, make_reader):
    """Whoever holds the lock is named; when they are gone the port opens."""
    other = os.open(terminal["name"], os.O_RDWR | os.O_NOCTTY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(PortUnavailable, match="is held by"):
        await open_serial(terminal["name"], 115200, make_reader())
    os.close(other)
    wire = await open_serial(terminal["name"], 115200, make_reader())
    wire.close()
    await wire.wait_closed()


async def test_no_port(tmp_path, make_reader):
    """A port that does not exist, and one that is no port, are told in a sentence."""
    with pytest.raises(PortUnavailable, match="does not exist") as caught:
        await open_serial(str(tmp_path / "ttyUSB7"), 115200, make_reader())
    assert caught.value.kind == "absent"
    (tmp_path / "file").write_text("x")
    with pytest.raises(PortUnavailable, match="not a serial port"):
        await open_serial(str(tmp_path / "file"), 115200, make_reader())


async def test_unplugged_at_idle(terminal, make_reader):
    """A port that goes away is noticed at once and told once; writing to it does nothing."""
    reader = make_reader()
    wire = await open_serial(terminal["name"], 115200, reader)
    os.close(terminal["far"])
    terminal["far"] = None
    await reader.until(lambda: reader.reasons)
    assert f"port {terminal['name']} is gone" in reader.reasons[0]
    wire.write(b"AT\r")
    await wire.wait_closed()
    assert len(reader.reasons) == 1


async def test_unplugged_while_writing(terminal, make_reader):
    """A port that goes away with octets still to be written is told once, too."""
    reader = make_reader()
    wire = await open_serial(terminal["name"], 115200, reader)
    wire.write(b"x" * 100_000)
    os.close(terminal["far"])
    terminal["far"] = None
    await reader.until(lambda: reader.reasons)
    await wire.wait_closed()
    assert len(reader.reasons) == 1


async def test_an_end_that_stops_reading(terminal, monkeypatch, make_reader):
    """A write never waits: what stays unwritten ends the wire, and closing does not drain."""
    monkeypatch.setattr(wire_room, "WRITE_TIMEOUT_S", 0.1)
    reader = make_reader()
    wire = await open_serial(terminal["name"], 115200, reader)
    wire.write(b"x" * 1_000_000)
    await reader.until(lambda: reader.reasons)
    assert "stopped reading" in reader.reasons[0]
    await wire.wait_closed()


async def test_closing_throws_away_what_was_not_written(terminal, make_reader):
    """A mute module must not hold up the end of the program."""
    wire = await open_serial(terminal["name"], 115200, make_reader())
    wire.write(b"x" * 1_000_000)
    await asyncio.sleep(0.01)
    wire.close()
    async with asyncio.timeout(1):
        await wire.wait_closed()


async def test_opening_and_closing_happen_beside_the_loop(terminal, monkeypatch, make_reader):
    """A driver that takes its time stops nobody else; whoever gave up opening leaves no port open."""
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


async def test_output_is_thrown_away_before_closing(terminal, make_reader, monkeypatch):
    """A driver that still has output would hold the closing for half a minute."""
    steps = []
    flush, close = termios.tcflush, os.close
    monkeypatch.setattr(termios, "tcflush", lambda fd, what: (steps.append(("flush", what)), flush(fd, what)))
    monkeypatch.setattr(os, "close", lambda fd: (steps.append(("close", fd)), close(fd)))
    wire = await open_serial(terminal["name"], 115200, make_reader())
    port = wire._handle.fd
    steps.clear()
    wire.close()
    await wire.wait_closed()
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
    """The kind decides how long the agent waits; the sentence is for the operator."""
    error = translate_open_error("/dev/ttyX9", OSError(number, "why"), tmp_path)
    assert error.kind == kind
    assert "/dev/ttyX9" in str(error)
