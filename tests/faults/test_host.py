"""F02 F05 F06 F10 F19: stuck tasks, other programs on the port, blocked writes, a damaged journal."""

import asyncio
import contextlib
import fcntl
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
import tty

import pytest

from agent.at.client import AtClient
from agent.at.command import AtCommand
from agent.at.errors import ModemLost
from agent.at.transport.base import PortUnavailable
from agent.at.transport.open import make_opener
from agent.at.transport.serial_port import open_serial, translate_open_error
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from soak.world import HandlerPlan

HOUR = 3600


async def hang(*arguments):
    """Never return."""
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f02_watchdog_is_notified_while_all_tasks_work(tmp_path, message_format):
    """Over a day that is mostly idle, the watchdog is notified at least every 31 s."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for _ in range(6):
            world.deliver_pdu(make_pdu(f"led {world.loop.time()}"))
            await world.advance(4 * HOUR)
        fed_at = [at for at, _, notice in world.sd_notifications if notice == "WATCHDOG=1"]
        assert max(later - earlier for earlier, later in itertools.pairwise(fed_at)) < 31
        assert len(world.executed) == 6


STUCK = ["receiver", "sender", "command", "supervisor"]


@pytest.mark.parametrize("task", STUCK)
async def test_f02_watchdog_is_not_notified_when_a_task_hangs(tmp_path, message_format, task):
    """After a task's deadline the watchdog is no longer notified, and the log names the task."""
    async with FaultWorld(tmp_path, message_format) as world:
        if task == "supervisor":
            world.port.open = hang
        await world.start_and_settle(60)
        match task:
            case "receiver":
                world.modem.sweep = hang
            case "sender":
                world.modem.send = hang
            case "command":
                world.plans = {"led on": HandlerPlan([(1, "stuck")])}
        if task != "supervisor":
            world.deliver_pdu(PLAIN_SID_START)
        await world.advance(HOUR)
        fed_at = [at for at, _, notice in world.sd_notifications if notice == "WATCHDOG=1"]
        assert fed_at
        assert world.loop.time() - fed_at[-1] > HOUR / 3
        (line,) = [line for line in world.log_lines(0) if line.startswith("watchdog")]
        assert task in line
        if task != "supervisor":
            world.current_run.kill("by systemd")
            await world.start_and_settle(120)
            assert world.stored_indices() == []
            assert world.executed == ["led on"]


BLOCKED = """
import asyncio, time
from agent.daemon.agent import Agent
run = Agent.run
async def blocked(self):
    asyncio.get_running_loop().call_later(1.0, time.sleep, 60)
    await run(self)
Agent.run = blocked
from agent.cli import main
main()
"""
CONFIG = """
[modem]
port = "{port}"
[service]
name = "super-sim"
[handlers]
directory = "handlers"
[journal]
path = "{name}.db"
allow_volatile = true
[control]
socket = "{name}.sock"
"""


@pytest.mark.real_time
def test_f02_watchdog_is_not_notified_when_the_event_loop_is_blocked(tmp_path):
    """The real service notifies systemd until its event loop blocks, and never again."""
    config = write_config(tmp_path, "/dev/nowhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify_socket:
        notify_socket.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED, "run", "--config", str(config)],
            env=os.environ | environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            notifications = []
            notify_socket.settimeout(20)
            while "WATCHDOG=1" not in notifications:
                notifications.append(notify_socket.recv(4096).decode())
            notify_socket.settimeout(0.8)
            for _ in range(100):
                if not receive_or_none(notify_socket):
                    break
            assert not receive_or_none(notify_socket)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()


def receive_or_none(notify_socket):
    """Return the next notification, or None if none comes within the socket's timeout."""
    try:
        return notify_socket.recv(4096)
    except TimeoutError:
        return None


def write_config(folder, port, name="agent"):
    """Write a configuration file and return its path."""
    (folder / "handlers").mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(CONFIG.format(port=port, name=name))
    return path


async def test_f05_busy_port_is_retried_until_it_opens(tmp_path, message_format):
    """EBUSY is logged once, with the udev rule, and retried with backoff until the port opens."""
    proc = tmp_path / "proc"
    (proc / "77").mkdir(parents=True)
    (proc / "77/comm").write_text("ModemManager\n")
    async with FaultWorld(tmp_path / "world", message_format) as world:
        world.port.open_error = translate_open_error("/dev/ttyUSB2", OSError(16, "busy"), tmp_path)
        world.call_later(20, setattr, world.port, "open_error", None)
        world.store_pdu(1, PLAIN_SID_START)
        await world.start_and_settle(60)
        (line,) = [line for line in world.log_lines(30) if line.startswith("port")]
        assert "ModemManager (pid 77)" in line
        assert 'ENV{ID_MM_PORT_IGNORE}="1"' in line
        assert 3 <= len([line for line in world.log_lines() if line.startswith("port")]) <= 20
        assert world.executed == ["led on"]


PROBES = [
    b"\r\n+GCAP: +CGSM\r\n\r\nOK\r\n",
    b"\r\n+CGMI: SIMCOM\r\n\r\nOK\r\n",
    b"AT+GCAP\r\r\n+GCAP: +CGSM\r\n\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\r\nOK\r\n\r\nOK\r\n",
]


@pytest.mark.parametrize("probe", PROBES, ids=repr)
@pytest.mark.parametrize("when", ["idle", "in a read", "in a send"])
async def test_f05_unrequested_responses_do_not_desynchronise(tmp_path, message_format, probe, when):
    """Extra responses are assigned to no command, and settings that it changed are restored."""
    if when == "in a send" and b"ERROR" in probe:
        when = "in a read"  # after a body it would look like the module's own result
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle(100)
        settings = world.module.settings
        if when == "idle":
            world.interceptor.send_to_agent(probe)
        else:
            command = r"AT\+CMGR=.*" if when == "in a read" else r"AT\+CMGS=.*"
            old = b"\r\n+CMGR" if when == "in a read" else b"\r\n+CMGS"
            world.interceptor.rewrite(command, old, probe + old)
        settings.echo, settings.cmee, settings.text_mode = True, 0, not settings.text_mode
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(60)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(600)
        assert world.executed == ["led on", "led 2"]
        assert world.sent_bodies[-1] == "did led 2"
        assert world.sent_bodies.count("did led on") <= 1
        assert (settings.cmee, settings.text_mode) == (1, message_format == "text")
        assert world.stored_indices() == []
        assert world.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        conflicts = [line for line in world.log_lines(30) if line.startswith("port conflict")]
        assert len(conflicts) == (b"+GCAP" in probe)
        advice = 'the udev rule ENV{ID_MM_PORT_IGNORE}="1" keeps ModemManager away'
        assert all(advice in line for line in conflicts)


async def test_f06_output_partly_read_by_another_program(tmp_path, message_format):
    """Every second chunk is lost for two minutes. Afterwards each Command has been executed exactly once."""
    is_lossy = False
    chunk_count = 0

    def drop_every_second_chunk(data):
        nonlocal chunk_count
        chunks = [data[at : at + 8] for at in range(0, len(data), 8)]
        kept = []
        for chunk in chunks:
            chunk_count += 1
            if not (is_lossy and chunk_count % 2):
                kept.append(chunk)
        return kept

    async with FaultWorld(tmp_path, message_format, split=drop_every_second_chunk) as world:
        await world.start_and_settle()
        is_lossy = True
        for number in range(5):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(24)
        is_lossy = False
        await world.advance(1200)
        assert sorted(world.executed) == [f"led {number}" for number in range(5)]
        assert world.stored_indices() == []
        assert len(world.sent_bodies) <= 5
        assert all(state in {"sent", "unknown"} for state, _ in world.replies)
        lines = [line for line in world.log_lines(30) if line.startswith("port conflict")]
        assert 1 <= len(lines) <= 2  # which octets are lost depends on the commands; a line may come again
        assert all("octets of its answers are missing; find it with `sudo fuser -v" in line for line in lines)


class IgnoringReader:
    """A reader that discards the octets."""

    def data_received(self, data):
        pass

    def connection_lost(self, reason):
        pass


@pytest.fixture
def terminal():
    """A pseudo-terminal: the file descriptor of its far end, and the device name of its near end."""
    far, near = os.openpty()
    tty.setraw(near)
    name = os.ttyname(near)
    os.close(near)
    yield far, name
    os.close(far)


def wait_for_octet(far):
    """Wait until the near end is open and an octet arrives. Until then reading the far end fails."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return os.read(far, 1)
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nothing was written within 20 s")


@pytest.mark.real_time
def test_f06_second_agent_on_the_port_is_refused(tmp_path, terminal):
    """The port is locked before the first octet: the second service logs the holder and writes nothing."""
    far, name = terminal
    first, second = (write_config(tmp_path, name, which) for which in ("first", "second"))
    command = [sys.executable, "-c", "from agent.cli import main; main()", "run", "--config"]
    one = subprocess.Popen([*command, str(first)], stderr=subprocess.PIPE, text=True)
    try:
        wait_for_octet(far)  # the first service has opened the port
        two = subprocess.Popen([*command, str(second)], stderr=subprocess.PIPE, text=True)
        try:
            for line in two.stderr:
                if "port:" in line:
                    break
            assert f"port {name} is held by" in line
            assert f"(pid {one.pid})" in line
        finally:
            two.send_signal(signal.SIGTERM)
            two.communicate(timeout=20)
    finally:
        one.kill()
        one.communicate()


@pytest.mark.real_time
@pytest.mark.deviation(
    "A port that is in use is logged once, with its holder, and retried; a second agent on one journal exits"
    " with status 1 and names the holder."
)
def test_f06_second_agent_on_the_journal_exits(tmp_path):
    """It exits with status 1 and names the first one. An agent that was killed leaves no lock behind."""
    config = write_config(tmp_path, "/dev/nowhere")
    command = [sys.executable, "-c", "from agent.cli import main; main()", "run", "--config", str(config)]
    for _ in range(2):
        one = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for line in one.stderr:
                if "ready" in line:
                    break
            two = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
            assert two.returncode == 1
            assert str(one.pid) in two.stderr
        finally:
            one.kill()  # the second round starts after this crash
            one.communicate()


LOCK_HOLDER_PROGRAM = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(file, fcntl.LOCK_EX)
os.kill(os.getpid(), 9)
"""


@pytest.mark.real_time
async def test_f06_stale_lock_does_not_block(terminal):
    """The port opens when the process that held the lock has died."""
    _, name = terminal
    await (await asyncio.create_subprocess_exec(sys.executable, "-c", LOCK_HOLDER_PROGRAM, name)).wait()
    connection = await open_serial(name, 115200, IgnoringReader())
    other = os.open(name, os.O_RDWR | os.O_NOCTTY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    with pytest.raises(PortUnavailable):
        await open_serial(name, 115200, IgnoringReader())
    connection.close()
    await connection.wait_closed()


@pytest.mark.real_time
async def test_f10_blocked_write_times_out(terminal):
    """The other end reads nothing: the event loop stays responsive, and the command fails at the timeout."""
    far, name = terminal
    client = await AtClient.open(lambda reader: open_serial(name, 115200, reader, write_timeout_s=0.3))
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    ticker = asyncio.ensure_future(tick())
    client._connection.write(b"\r" * 1_000_000)  # more than the kernel keeps for an end that does not read
    with pytest.raises(ModemLost, match="stopped reading"):
        await client.exchange(AtCommand("AT+CMGR=1", 60))
    with pytest.raises(ModemLost):
        await client.exchange(AtCommand("AT", 60))
    ticker.cancel()
    assert max(later - earlier for earlier, later in itertools.pairwise(ticks)) < 0.25
    client.close()
    await client.wait_closed()
    os.set_blocking(far, False)
    with contextlib.suppress(OSError):
        while os.read(far, 65536):
            pass
    reopened = await AtClient.open(make_opener(name))
    reopened.close()
    await reopened.wait_closed()


async def test_f10_agent_recovers_after_two_minutes_of_blocked_writes(tmp_path, message_format):
    """Afterwards each Command has been executed and answered exactly once."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.module.faults.add("write-blocked:for=120")
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(900)
        world.deliver_pdu(make_pdu("led 2"))
        await world.advance(600)
        assert world.executed == ["led on", "led 2"]
        assert world.sent_bodies == ["did led on", "did led 2"]
        assert world.stored_indices() == []


def truncate(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def overwrite_with_zeros(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(4096))


DAMAGE = {
    "zero length": lambda path: path.write_bytes(b""),
    "zeros at the start": lambda path: overwrite_with_zeros(path, 0),
    "zeros in the middle": lambda path: overwrite_with_zeros(path, 8192),
    "not a database": lambda path: path.write_bytes(random.Random(3).randbytes(20_000)),
    "write-ahead log of another file": lambda path: path.with_name(path.name + "-wal").write_bytes(
        random.Random(4).randbytes(9000)
    ),
    **{
        f"truncated to {share}": lambda path, share=share: truncate(path, share)
        for share in (0.01, 0.3, 0.6, 0.95)
    },
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("end", ["clean", "kill"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f19_damaged_journal_is_replaced_and_kept(tmp_path, message_format, how, end):
    """The agent starts, logs the damage and keeps the bad file.

    No unhandled message is deleted, and no Command is executed twice.
    """
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        for number in range(12):
            world.deliver_pdu(make_pdu(f"led {number}", timestamp=f"26/11/21,22:{number:02}:00+00"))
            await world.advance(7)
        if end == "clean":
            await world.current_run.stop()
        else:
            world.current_run.kill("power")
        folder = world.journal_folder
        DAMAGE[how](folder / "journal.db")
        world.store_pdu(7, PLAIN_SID_START)
        before = len(world.log_lines())
        await world.start_and_settle(60)
        assert world.current_run.is_alive
        assert world.executed.count("led on") == 1
        assert world.stored_indices() == []
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.executed.count("led on") == 1
        journal_lines = [line for line in world.log_lines()[before:] if "journal" in line]
        assert len(journal_lines) < 5
        if journal_lines:
            assert len([path for path in folder.iterdir() if path.name.startswith("journal.db")]) > 3
        else:  # the write-ahead log contained everything that the file had lost
            assert world.query_journal("SELECT count(*) FROM commands") == [(13,)]
        assert world.query_journal("PRAGMA integrity_check") == [("ok",)]
        await world.current_run.stop()
        await world.start_and_settle(20)
        assert world.current_run.is_alive
