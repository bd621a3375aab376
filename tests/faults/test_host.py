"""What goes wrong on the host: stuck tasks, other programs on the port, a damaged journal."""

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
from agent.at.transport import base as wire_room
from agent.at.transport.base import PortUnavailable
from agent.at.transport.open import make_opener
from agent.at.transport.serial_port import open_serial, translate_open_error
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld, make_pdu
from soak.world import HandlerPlan

HOUR = 3600


async def never(*arguments):
    """As a task that hangs."""
    await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f02_fed_while_everybody_works(tmp_path, message_format):
    """A day, most of it idle: the watchdog is fed each half minute."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for _ in range(6):
            scene.deliver_pdu(make_pdu(f"led {scene.loop.time()}"))
            await scene.advance(4 * HOUR)
        fed = [at for at, _, notice in scene.sd_notifications if notice == "WATCHDOG=1"]
        assert max(later - earlier for earlier, later in itertools.pairwise(fed)) < 31
        assert len(scene.executed) == 6


STUCK = ["receiver", "sender", "command", "supervisor"]


@pytest.mark.parametrize("task", STUCK)
async def test_f02_starved_when_a_task_hangs(tmp_path, message_format, task):
    """Each task has a deadline of its own; past it the watchdog starves, and the log says who is late."""
    async with FaultWorld(tmp_path, message_format) as scene:
        if task == "supervisor":
            scene.port.open = never
        await scene.start_and_settle(60)
        match task:
            case "receiver":
                scene.modem.sweep = never
            case "sender":
                scene.modem.send = never
            case "command":
                scene.plans = {"led on": HandlerPlan([(1, "stuck")])}
        if task != "supervisor":
            scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(HOUR)
        fed = [at for at, _, notice in scene.sd_notifications if notice == "WATCHDOG=1"]
        assert fed
        assert scene.loop.time() - fed[-1] > HOUR / 3
        (said,) = [line for line in scene.log_lines(0) if line.startswith("watchdog")]
        assert task in said
        if task != "supervisor":
            scene.current_run.kill("by systemd")
            await scene.start_and_settle(120)
            assert scene.stored_indices() == []
            assert scene.executed == ["led on"]


BLOCKED = """
import asyncio, time
from agent import app
run = app.Agent.run
async def blocked(self):
    asyncio.get_running_loop().call_later(1.0, time.sleep, 60)
    await run(self)
app.Agent.run = blocked
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
[control]
socket = "{name}.sock"
"""


@pytest.mark.real_time
def test_f02_starved_when_the_event_loop_is_blocked(tmp_path):
    """The real service: fed until its loop hangs, then never again; systemd would start it anew."""
    config = configuration(tmp_path, "/dev/nowhere")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(tmp_path / "notify"))
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"}
        process = subprocess.Popen(
            [sys.executable, "-c", BLOCKED, "run", "--config", str(config)],
            env=os.environ | environ,
            stderr=subprocess.DEVNULL,
        )
        try:
            heard = []
            line.settimeout(20)
            while "WATCHDOG=1" not in heard:
                heard.append(line.recv(4096).decode())
            line.settimeout(0.8)
            for _ in range(100):
                if not heard_again(line):
                    break
            assert not heard_again(line)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()


def heard_again(line):
    """What the service says within the line's time."""
    try:
        return line.recv(4096)
    except TimeoutError:
        return None


def configuration(folder, port, name="agent"):
    """An agent.toml in this folder."""
    (folder / "handlers").mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(CONFIG.format(port=port, name=name))
    return path


async def test_f05_busy_for_20_s(tmp_path, message_format):
    """EBUSY after plug-in: said once, with the udev line, tried again with growing waits, then it works."""
    proc = tmp_path / "proc"
    (proc / "77").mkdir(parents=True)
    (proc / "77/comm").write_text("ModemManager\n")
    async with FaultWorld(tmp_path / "scene", message_format) as scene:
        scene.port.open_error = translate_open_error("/dev/ttyUSB2", OSError(16, "busy"), tmp_path)
        scene.call_later(20, setattr, scene.port, "unavailable", None)
        scene.store_pdu(1, PLAIN_SID_START)
        await scene.start_and_settle(60)
        (said,) = [line for line in scene.log_lines(30) if line.startswith("port")]
        assert "ModemManager (pid 77)" in said
        assert 'ENV{ID_MM_PORT_IGNORE}="1"' in said
        assert 3 <= len([line for line in scene.log_lines() if line.startswith("port")]) <= 20
        assert scene.executed == ["led on"]


PROBES = [
    b"\r\n+GCAP: +CGSM\r\n\r\nOK\r\n",
    b"\r\n+CGMI: SIMCOM\r\n\r\nOK\r\n",
    b"AT+GCAP\r\r\n+GCAP: +CGSM\r\n\r\nOK\r\n",
    b"\r\nERROR\r\n",
    b"\r\nOK\r\n\r\nOK\r\n",
]


@pytest.mark.parametrize("probe", PROBES, ids=repr)
@pytest.mark.parametrize("when", ["idle", "in a read", "in a send"])
async def test_f05_answers_that_nobody_asked_for(tmp_path, message_format, probe, when):
    """Surplus answers shift nothing; settings that the other program changed are set again."""
    if when == "in a send" and b"ERROR" in probe:
        when = "in a read"  # after a body nobody could tell it from the module's own
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle(100)
        settings = scene.module.settings
        if when == "idle":
            scene.interceptor.send_to_agent(probe)
        else:
            command = r"AT\+CMGR=.*" if when == "in a read" else r"AT\+CMGS=.*"
            old = b"\r\n+CMGR" if when == "in a read" else b"\r\n+CMGS"
            scene.interceptor.rewrite(command, old, probe + old)
        settings.echo, settings.cmee, settings.text_mode = True, 0, not settings.text_mode
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(60)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(600)
        assert scene.executed == ["led on", "led 2"]
        assert scene.sent_bodies[-1] == "did led 2"
        assert scene.sent_bodies.count("did led on") <= 1
        assert (settings.cmee, settings.text_mode) == (1, message_format == "text")
        assert scene.stored_indices() == []
        assert scene.query_journal("SELECT count(*) FROM ignored") == [(0,)]
        said = [line for line in scene.log_lines(30) if line.startswith("port conflict")]
        assert len(said) == (b"+GCAP" in probe)
        assert all(
            'ModemManager is kept away by the udev rule ENV{ID_MM_PORT_IGNORE}="1"' in line for line in said
        )


async def test_f06_half_of_what_the_module_says_is_read_by_others(tmp_path, message_format):
    """Every second chunk never arrives, for two minutes: afterwards all is there, once."""
    lossy = [False]
    pieces = [0]

    def cut(data):
        chunks = [data[at : at + 8] for at in range(0, len(data), 8)]
        kept = []
        for chunk in chunks:
            pieces[0] += 1
            if not (lossy[0] and pieces[0] % 2):
                kept.append(chunk)
        return kept

    async with FaultWorld(tmp_path, message_format, split=cut) as scene:
        await scene.start_and_settle()
        lossy[0] = True
        for number in range(5):
            scene.deliver_pdu(make_pdu(f"led {number}"))
            await scene.advance(24)
        lossy[0] = False
        await scene.advance(1200)
        assert sorted(scene.executed) == [f"led {number}" for number in range(5)]
        assert scene.stored_indices() == []
        assert len(scene.sent_bodies) <= 5
        assert all(state in {"sent", "unknown"} for state, _ in scene.replies)
        (said,) = [line for line in scene.log_lines(30) if line.startswith("port conflict")]
        assert "octets of its answers are missing; find it with `sudo fuser -v" in said


class IgnoringReader:
    """Nobody's."""

    def data_received(self, data):
        pass

    def connection_lost(self, reason):
        pass


@pytest.fixture
def terminal():
    """A pseudo-terminal: its far end, and the name under which it is a port."""
    far, near = os.openpty()
    tty.setraw(near)
    name = os.ttyname(near)
    os.close(near)
    yield far, name
    os.close(far)


def written(far):
    """Wait until somebody has opened the near end and written; a pty without one fails to be read."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            return os.read(far, 1)
        except OSError:
            time.sleep(0.02)
    raise AssertionError("nobody wrote")


@pytest.mark.real_time
def test_f06_a_second_agent_on_the_port(tmp_path, terminal):
    """The port is locked before the first octet: the second service says who holds it and writes nothing."""
    far, name = terminal
    first, second = (configuration(tmp_path, name, which) for which in ("first", "second"))
    command = [sys.executable, "-c", "from agent.cli import main; main()", "run", "--config"]
    one = subprocess.Popen([*command, str(first)], stderr=subprocess.PIPE, text=True)
    try:
        written(far)  # the first has it, and has begun to write
        two = subprocess.Popen([*command, str(second)], stderr=subprocess.PIPE, text=True)
        try:
            for said in two.stderr:
                if "port:" in said:
                    break
            assert f"port {name} is held by" in said
            assert f"(pid {one.pid})" in said
        finally:
            two.send_signal(signal.SIGTERM)
            two.communicate(timeout=20)
    finally:
        one.kill()
        one.communicate()


@pytest.mark.real_time
@pytest.mark.deviation(
    "The design holds: a port that is held is said once, with its holder, and waited for; a second agent on"
    " one journal ends, non-zero and naming the holder."
)
def test_f06_a_second_agent_on_the_journal(tmp_path):
    """It ends at once with status 1 and names the first; one that died leaves nothing in the way."""
    config = configuration(tmp_path, "/dev/nowhere")
    command = [sys.executable, "-c", "from agent.cli import main; main()", "run", "--config", str(config)]
    for _ in range(2):
        one = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for said in one.stderr:
                if "ready" in said:
                    break
            two = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
            assert two.returncode == 1
            assert str(one.pid) in two.stderr
        finally:
            one.kill()  # as a crash leaves it; the next round starts all the same
            one.communicate()


LOCK_HOLDER_PROGRAM = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
fcntl.flock(file, fcntl.LOCK_EX)
os.kill(os.getpid(), 9)
"""


@pytest.mark.real_time
async def test_f06_a_stale_lock_does_not_block(terminal):
    """Who held the lock is dead: the port opens."""
    _, name = terminal
    await (await asyncio.create_subprocess_exec(sys.executable, "-c", LOCK_HOLDER_PROGRAM, name)).wait()
    wire = await open_serial(name, 115200, IgnoringReader())
    other = os.open(name, os.O_RDWR | os.O_NOCTTY)
    with pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    with pytest.raises(PortUnavailable):
        await open_serial(name, 115200, IgnoringReader())
    wire.close()
    await wire.wait_closed()


@pytest.mark.real_time
async def test_f10_a_write_that_never_returns(terminal, monkeypatch):
    """The other end reads nothing: the loop goes on, the write has a deadline, its command fails once."""
    far, name = terminal
    monkeypatch.setattr(wire_room, "WRITE_TIMEOUT_S", 0.3)
    channel = await AtClient.open(make_opener(name))
    beats = []

    async def beat():
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    beating = asyncio.ensure_future(beat())
    channel._connection.write(b"\r" * 1_000_000)  # more than the kernel keeps for an end that does not read
    with pytest.raises(ModemLost, match="stopped reading"):
        await channel.exchange(AtCommand("AT+CMGR=1", 60))
    with pytest.raises(ModemLost):
        await channel.exchange(AtCommand("AT", 60))
    beating.cancel()
    assert max(later - earlier for earlier, later in itertools.pairwise(beats)) < 0.25
    channel.close()
    await channel.wait_closed()
    os.set_blocking(far, False)
    with contextlib.suppress(OSError):
        while os.read(far, 65536):
            pass
    again = await AtClient.open(make_opener(name))
    again.close()
    await again.wait_closed()


async def test_f10_nothing_is_read_for_two_minutes(tmp_path, message_format):
    """The whole agent: it works again afterwards, and each Command was run and answered once."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.module.faults.add("write-blocked:for=120")
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(900)
        scene.deliver_pdu(make_pdu("led 2"))
        await scene.advance(600)
        assert scene.executed == ["led on", "led 2"]
        assert scene.sent_bodies == ["did led on", "did led 2"]
        assert scene.stored_indices() == []


def cut_off(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def zeros(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(4096))


def log_of(path):
    return path.with_name(path.name + "-wal")


DAMAGE = {
    "zero length": lambda path: path.write_bytes(b""),
    "zeros at the start": lambda path: zeros(path, 0),
    "zeros in the middle": lambda path: zeros(path, 8192),
    "no database": lambda path: path.write_bytes(random.Random(3).randbytes(20_000)),
    "a log of another": lambda path: path.with_name(path.name + "-wal").write_bytes(
        random.Random(4).randbytes(9000)
    ),
    **{f"cut at {share}": lambda path, share=share: cut_off(path, share) for share in (0.01, 0.3, 0.6, 0.95)},
}


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("end", ["clean", "kill"])
@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f19_a_damaged_journal(tmp_path, message_format, how, end):
    """It starts, says it, keeps the bad file aside; no message is deleted that was not handled; no loop."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        for number in range(12):
            scene.deliver_pdu(make_pdu(f"led {number}", timestamp=f"26/11/21,22:{number:02}:00+00"))
            await scene.advance(7)
        if end == "clean":
            await scene.current_run.stop()
        else:
            scene.current_run.kill("power")
        folder = scene.journal_folder
        DAMAGE[how](folder / "journal.db")
        scene.store_pdu(7, PLAIN_SID_START)
        before = len(scene.log_lines())
        await scene.start_and_settle(60)
        assert scene.current_run.is_alive
        assert scene.executed.count("led on") == 1
        assert scene.stored_indices() == []
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(20)
        assert scene.executed.count("led on") == 1
        said = [line for line in scene.log_lines()[before:] if "journal" in line]
        assert len(said) < 5
        if said:
            assert len([path for path in folder.iterdir() if path.name.startswith("journal.db")]) > 3
        else:  # the log had all that was lost of the file
            assert scene.query_journal("SELECT count(*) FROM commands") == [(13,)]
        assert scene.query_journal("PRAGMA integrity_check") == [("ok",)]
        await scene.current_run.stop()
        await scene.start_and_settle(20)
        assert scene.current_run.is_alive
