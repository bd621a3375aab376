"""The pseudo-terminal, as a client that opens it like a serial port sees it."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import termios
import time

import pytest

from hardware.sim.module.port_access import PortAccess
from hardware.sim.module.pty import Pty


@pytest.fixture
async def port(tmp_path):
    """A started pseudo-terminal behind a link, and what it has received."""
    pty = Pty(tmp_path / "ports" / "modem", buffer_bytes=1000)
    pty.received = bytearray()
    pty.data_event = asyncio.Event()
    pty.on_data = lambda _: None

    def receive(data):
        pty.on_data(data)
        pty.received.extend(data)
        pty.data_event.set()

    pty.start(receive)
    yield pty
    pty.close()


class Client:
    """A program that opens the port, reads and writes without waiting."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def read(self):
        try:
            return os.read(self.fd, 100_000)
        except BlockingIOError:
            return b""

    def read_all(self):
        return b"".join(iter(self.read, b""))

    async def readable(self):
        loop, came = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.fd, came.set)
        await came.wait()
        loop.remove_reader(self.fd)

    def write(self, data):
        os.write(self.fd, data)

    def close(self):
        os.close(self.fd)


async def until(port, data):
    """Wait until the module's side has received that much."""
    async with asyncio.timeout(5):
        while len(port.received) < len(data):
            port.data_event.clear()
            await port.data_event.wait()
    assert bytes(port.received) == data
    port.received.clear()


async def turn():
    """Let the event loop see what has happened to its descriptors."""
    for _ in range(3):
        await asyncio.sleep(0)


TIOCGEXCL = 0x80045440
"""Asks whether the terminal is in exclusive use; Python's termios does not name it."""

EVERY_BYTE = bytes(range(256))


async def test_all_bytes_pass_unchanged_both_ways(port):
    """The terminal is raw from the start: no echo, no signals, no translated line ends."""
    client = Client(port.link)
    client.write(EVERY_BYTE)
    await until(port, EVERY_BYTE)
    port.write(EVERY_BYTE)
    assert client.read_all() == EVERY_BYTE
    assert not termios.tcgetattr(client.fd)[3] & termios.ECHO
    client.close()


async def test_client_may_close_and_reopen(port):
    """The port works on after its last client closed it; the client's last bytes are not lost."""
    for word in (b"one", b"two", b"three"):
        client = Client(port.link)
        client.write(word)
        client.close()
        await until(port, word)
        await turn()
        assert not port.is_open
    client = Client(port.link)
    port.write(b"still here")
    assert client.read_all() == b"still here"
    client.close()


async def test_several_clients_at_once(port):
    """The port can be opened twice, as a serial port can; one client may close it."""
    first, second = Client(port.link), Client(port.link.resolve())
    first.write(b"a")
    await until(port, b"a")
    first.close()
    await turn()
    assert port.is_open
    second.write(b"b")
    await until(port, b"b")
    port.write(b"answer")
    assert second.read_all() == b"answer"
    second.close()


async def test_output_without_client_is_dropped(port):
    """It is dropped and counted while no client has the port open; the next client does not get it."""
    port.write(b"nobody hears this")
    assert port.unread_bytes == 17
    client = Client(port.link)
    assert client.read_all() == b""
    client.close()


async def test_unread_output_is_not_given_to_the_next_client(port):
    """A port that is closed drops its output."""
    client = Client(port.link)
    port.write(b"left behind")
    client.close()
    await turn()
    client = Client(port.link)
    port.write(b"fresh")
    assert client.read_all() == b"fresh"
    client.close()


async def test_output_for_a_client_is_not_given_to_one_that_opens_the_port_at_once(port):
    """Also if nobody has seen the port closed in between."""
    client = Client(port.link)
    port.write(b"left behind")
    client.close()
    client = Client(port.link)
    port.write(b"fresh")
    assert client.read_all() == b"fresh"
    client.close()


async def test_port_works_without_inotify(port):
    """Its instances are limited. Output for a client that has just closed may then reach another one."""
    port._terminal.epoll.unregister(port._terminal.watch.fd)
    port._terminal.watch.close()
    for _ in range(3):
        client = Client(port.link)
        client.write(b"x")
        await until(port, b"x")
        port.write(b"unread")
        client.close()
        await turn()
    client = Client(port.link)
    assert client.read_all() == b""
    client.close()


async def test_closing_one_of_two_clients_discards_nothing(port):
    """What the other has not read yet stays, as when stty is run beside a program."""
    client = Client(port.link)
    port.write(b"for the first")
    Client(port.link).close()
    port.write(b" client")
    await turn()
    assert client.read_all() == b"for the first client"
    client.close()


def ask(path, gap_s):
    """Open the port, send a command, read the answer, close; wait and start again. Returns the answers."""
    answers = []
    for _ in range(200):
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        os.write(fd, b"AT\r")
        answer = b""
        while not answer.endswith(b"OK") and select.select([fd], [], [], 5)[0]:
            answer += os.read(fd, 100)
        answers.append(answer)
        os.close(fd)
        if gap_s:
            time.sleep(gap_s)
    return answers


@pytest.mark.parametrize("gap_s", [0, 0.0002, 0.001])
async def test_port_can_be_opened_again_at_once(port, gap_s):
    """Each of 200 clients is answered and reads nothing that was meant for the one before."""
    port.on_data = lambda _: port.write(b"OK")
    answers = await asyncio.to_thread(ask, port.link, gap_s)
    assert answers == [b"OK"] * 200


async def test_line_settings_stay_and_exclusive_use_ends_with_the_client(port):
    """As on a serial port, however the client ended."""
    client = Client(port.link)
    fcntl.ioctl(client.fd, termios.TIOCEXCL)
    settings = termios.tcgetattr(client.fd)
    settings[4] = settings[5] = termios.B9600
    settings[6][termios.VTIME] = 7
    termios.tcsetattr(client.fd, termios.TCSANOW, settings)
    client.close()
    await turn()
    client = Client(port.link)
    assert fcntl.ioctl(client.fd, TIOCGEXCL, b"\0\0\0\0") == b"\0\0\0\0"
    settings = termios.tcgetattr(client.fd)
    assert settings[4:6] == [termios.B9600] * 2
    assert settings[6][termios.VTIME] == 7
    assert port.client_baud() == 9600
    client.close()


async def test_mode_and_group_of_the_port(tmp_path):
    """They are set again when the device comes back."""
    pty = Pty(tmp_path / "modem", access=PortAccess(0o666, os.getgid()))
    pty.start(lambda _: None)
    pty.unplug()
    pty.plug()
    status = (tmp_path / "modem").stat()
    assert status.st_mode & 0o777 == 0o666
    assert status.st_gid == os.getgid()
    pty.close()


async def test_client_that_does_not_read_blocks_nothing(port):
    """Buffers are bounded: the first bytes are kept, what exceeds the buffer is dropped and counted."""
    client = Client(port.link)
    sent = b"".join(b"%07d\n" % number for number in range(50_000))
    for start in range(0, len(sent), 80):
        port.write(sent[start : start + 80])
    assert port.overrun_bytes > 0
    assert len(port._pending) <= 1000
    got = bytearray()
    async with asyncio.timeout(5):
        while len(got) + port.overrun_bytes < len(sent):
            await client.readable()
            got += client.read_all()
    assert got.startswith(sent[:4000])
    assert len(got) + port.overrun_bytes == len(sent)
    port.write(b"and on")
    assert client.read_all() == b"and on"
    client.close()


async def test_idle_port_does_not_wake_the_event_loop(port):
    """Neither without a client nor with an idle one."""
    woken = 0
    readable = port._read_available

    def count():
        nonlocal woken
        woken += 1
        readable()

    asyncio.get_running_loop().add_reader(port._terminal.epoll.fileno(), count)
    client = Client(port.link)
    client.write(b"x")
    await until(port, b"x")
    client.close()
    await turn()
    before = woken
    for _ in range(200):
        await asyncio.sleep(0)
    client = Client(port.link)
    for _ in range(200):
        await asyncio.sleep(0)
    assert woken - before <= 2
    client.close()


async def test_link_is_replaced_and_removed(tmp_path):
    """A link of an earlier run is replaced atomically, and removed when the port is closed."""
    link = tmp_path / "modem"
    link.symlink_to("/nowhere")
    pty = Pty(link)
    pty.start(lambda _: None)
    assert str(link.resolve()).startswith("/dev/pts/")
    pty.close()
    assert not link.is_symlink()


async def test_closing_hangs_up(port):
    """A client that still has the port open gets a hangup, and the port does not come back."""
    client = Client(port.link)
    port.close()
    assert client.read() == b""
    port.plug()
    assert not port.link.is_symlink()
    client.close()


async def test_pausing_an_unplugged_port_does_nothing(port):
    """Faults of the line may overlap."""
    port.unplug()
    port.pause()
    port.resume()
    port.plug()
    client = Client(port.link)
    client.write(b"x")
    await until(port, b"x")
    client.close()


async def test_unplugged_device_comes_back(port):
    """A client gets a hangup; the link disappears and comes back with another device."""
    client, path = Client(port.link), port.link.resolve()
    port.unplug()
    assert client.read() == b""
    assert not port.link.is_symlink()
    port.write(b"lost")
    port.plug()
    assert port.link.is_symlink()
    assert port.unread_bytes == 4
    again = Client(port.link)
    again.write(b"back")
    await until(port, b"back")
    again.close()
    client.close()
    assert port.link.resolve() != path


async def test_paused_port_keeps_bytes_in_order(port):
    """The client's writes fill the kernel's buffer; after the pause all bytes arrive in order."""
    client = Client(port.link)
    port.pause()
    sent = bytearray()
    with contextlib.suppress(BlockingIOError):
        while True:
            piece = b"%07d\n" % len(sent) * 100
            sent += piece[: os.write(client.fd, piece)]
    await turn()
    assert port.received == b""
    port.resume()
    await until(port, bytes(sent))
    client.close()
