"""F129 F130 F134: a journal in memory, a deleted control socket, a port that is not a serial port."""

import asyncio
import json
import os
import shutil
import socket
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.at.client import AtClient
from agent.at.errors import ModemLost
from agent.at.transport.base import PortState, PortUnavailable
from agent.at.transport.open import make_opener
from agent.cli.commands import group
from agent.daemon.agent import RecoveryExhausted
from agent.journal.mounts import explain_volatile
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld
from hardware.header_uart import describe_header_uart, explain_debug_plug
from hardware.port_finder import PortFinder, PortSelectionError
from hardware.serial_device import explain_absent, explain_not_serial
from soak.world import HandlerPlan

CONFIG = """
[modem]
port = "{port}"
[service]
name = "super-sim"
[handlers]
directory = "handlers"
[journal]
path = "{journal}"
allow_volatile = {allow_volatile}
[control]
socket = "control.sock"
"""


@pytest.fixture
def check_config(tmp_path):
    """Return a function that runs `modem-agent config check` with these values."""

    def check(*, port="/dev/nowhere", journal="journal.db", allow_volatile="true"):
        (tmp_path / "handlers").mkdir(exist_ok=True, mode=0o755)
        config = tmp_path / "agent.toml"
        config.write_text(CONFIG.format(port=port, journal=journal, allow_volatile=allow_volatile))
        return CliRunner().invoke(group, ["config", "check", "--config", str(config)])

    return check


# F129

ROOT_DISK = "24 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw"
RUN_TMPFS = "30 24 0:26 / /run rw,nosuid shared:5 - tmpfs tmpfs rw,size=800k"
RASPI_OVERLAY = (
    "24 1 0:22 / / rw,noatime - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work"
)
OVERLAYROOT = (
    "24 1 0:22 / / rw - overlay overlayroot rw,lowerdir=/ro,upperdir=/media/root-rw/overlay,workdir=/w"
)
STATE = "/var/lib/modem-agent/journal.db"
VOLATILE = {
    "tmpfs": ([ROOT_DISK, "31 24 0:27 / /var/lib rw - tmpfs tmpfs rw"], STATE, "tmpfs at /var/lib"),
    "ramfs": ([ROOT_DISK, "31 24 0:27 / /var rw - ramfs none rw"], STATE, "ramfs at /var"),
    "root in memory": (["1 1 0:2 / / rw - rootfs rootfs rw"], STATE, "rootfs at /"),
    "/run": ([ROOT_DISK, RUN_TMPFS], "/run/journal.db", "tmpfs at /run"),
    "zram": ([ROOT_DISK, "31 24 252:0 / /var rw - ext4 /dev/zram0 rw"], STATE, "ext4 at /var on /dev/zram0"),
    "directory of a tmpfs": (
        [ROOT_DISK, RUN_TMPFS, "31 24 0:26 /state /var/lib/modem-agent rw - tmpfs tmpfs rw"],
        STATE,
        "tmpfs at /var/lib/modem-agent",
    ),
    "blank in the name": (
        [ROOT_DISK, r"31 24 0:27 / /mnt/my\040disk rw - tmpfs tmpfs rw"],
        "/mnt/my disk/journal.db",
        "tmpfs at /mnt/my disk",
    ),
    "over a disk": (
        [ROOT_DISK, "31 24 8:1 / /data rw - ext4 /dev/sda1 rw", "32 31 0:27 / /data rw - tmpfs tmpfs rw"],
        "/data/journal.db",
        "tmpfs at /data",
    ),
    "raspi-config": ([RASPI_OVERLAY, "30 24 0:26 / /run rw - tmpfs tmpfs rw"], STATE, "/upper/data is on no"),
    "overlayroot": (
        [
            OVERLAYROOT,
            "25 24 179:2 / /media/root-ro ro - ext4 /dev/mmcblk0p2 ro",
            "26 24 0:20 / /media/root-rw rw - tmpfs tmpfs-root rw",
        ],
        STATE,
        "overlay at /, whose upper directory /media/root-rw/overlay is on tmpfs at /media/root-rw",
    ),
    "overlay on an overlay": (
        [
            OVERLAYROOT,
            "26 24 0:20 / /media/root-rw rw - tmpfs tmpfs-root rw",
            "27 24 0:30 / /var rw - overlay o rw,lowerdir=/var,upperdir=/srv/var,workdir=/srv/work",
        ],
        STATE,
        "/srv/var is on overlay at /, whose upper directory /media/root-rw/overlay is on tmpfs",
    ),
    "comma in the upper directory": (
        [ROOT_DISK, RUN_TMPFS, r"27 24 0:30 / /var rw - overlay o rw,upperdir=/run/a\054b\040c,workdir=/w"],
        STATE,
        "/run/a,b c is on tmpfs at /run",
    ),
    "overlay that does not sync": (
        [ROOT_DISK, "27 24 0:30 / /var rw - overlay o rw,upperdir=/srv/a,workdir=/srv/w,volatile"],
        STATE,
        "with the option volatile",
    ),
}
DURABLE = {
    "disk": [ROOT_DISK, RUN_TMPFS],
    "network": [ROOT_DISK, "31 24 0:27 / /var/lib rw - nfs4 server:/export rw"],
    "similar name": [ROOT_DISK, "31 24 0:27 / /var/lib/modem rw - tmpfs tmpfs rw"],
    "disk below an overlay": [
        RASPI_OVERLAY,
        "31 24 179:3 / /var/lib/modem-agent rw - ext4 /dev/mmcblk0p3 rw",
    ],
    "overlay on a disk": [
        "24 1 0:22 / / rw - overlay o rw,lowerdir=/rom,upperdir=/overlay/upper,workdir=/overlay/work",
        "25 24 31:6 / /overlay rw - jffs2 /dev/mtdblock6 rw",
    ],
    "overlay on its own directory": [
        ROOT_DISK,
        "27 24 0:30 / /var rw - overlay o rw,upperdir=/var/upper,workdir=/w",
    ],
    "hidden tmpfs": [
        ROOT_DISK,
        "31 24 0:27 / /var/lib rw - tmpfs tmpfs rw",
        "32 24 8:1 / /var rw - ext4 /dev/sda1 rw",
    ],
    "not a list of mounts": ["", "nonsense", "1 2 3 - 4"],
}


def write_mounts(folder, lines):
    """Write a list of mounts and return its path."""
    path = folder / "mountinfo"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


@pytest.mark.parametrize(("lines", "journal", "part"), VOLATILE.values(), ids=VOLATILE)
def test_f129_journal_in_memory_is_found(tmp_path, lines, journal, part):
    """One sentence names journal and file system, and what to do. The directory need not exist."""
    sentence = explain_volatile(Path(journal), write_mounts(tmp_path, lines))
    assert sentence.startswith(f"journal {journal} is on ")
    assert part in sentence
    assert "[journal] path" in sentence
    assert "allow_volatile" in sentence


@pytest.mark.parametrize("lines", DURABLE.values(), ids=DURABLE)
def test_f129_journal_on_a_disk_is_not_reported(tmp_path, lines):
    """A disk, whatever it is mounted over or beside."""
    assert explain_volatile(Path(STATE), write_mounts(tmp_path, lines)) == ""
    assert explain_volatile(Path(STATE), tmp_path / "nowhere") == ""


def test_f129_links_are_followed(tmp_path):
    """The journal is where a link leads to."""
    (tmp_path / "state").symlink_to("/run/state")
    mounts = write_mounts(tmp_path, [ROOT_DISK, RUN_TMPFS])
    assert "tmpfs at /run" in explain_volatile(tmp_path / "state/journal.db", mounts)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this host has no /dev/shm")
def test_f129_config_check_warns(check_config):
    """With exit status 0. `allow_volatile` silences it."""
    result = check_config(journal="/dev/shm/modem-agent-journal.db", allow_volatile="false")
    assert result.exit_code == 0
    (warning,) = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert "journal.path: journal /dev/shm/modem-agent-journal.db is on tmpfs at /dev/shm" in warning
    assert "journal" not in check_config(journal="/dev/shm/modem-agent-journal.db").stderr


@pytest.mark.parametrize("allowed", [False, True])
async def test_f129_start_and_status_warn(tmp_path, message_format, allowed):
    """The log has one warning and `status` the same sentence, unless `allow_volatile` is set."""
    mounts = write_mounts(tmp_path, [RASPI_OVERLAY])
    async with FaultWorld(
        tmp_path / "world",
        message_format,
        tables={"journal": {"allow_volatile": allowed}},
        dependencies={"mountinfo": mounts},
    ) as world:
        await world.start_and_settle()
        lines = [line for line in world.log_lines(30) if line.startswith("journal in memory: ")]
        status = await world.control_api.get_status({})
        assert lines == ([] if allowed else [f"journal in memory: {status['volatile_journal']}"])
        assert bool(status["volatile_journal"]) is not allowed


# F130


def replace_socket(path):
    """Leave a socket there on which nobody listens."""
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))


DELETIONS = {
    "socket": lambda directory: (directory / "control.sock").unlink(),
    "directory": shutil.rmtree,
    "directory moved away": lambda directory: directory.rename(directory.with_name("away")),
    "replaced by a stale socket": lambda directory: replace_socket(directory / "control.sock"),
    "directory replaced": lambda directory: (shutil.rmtree(directory), directory.mkdir(0o750)),
}


@pytest.mark.parametrize("delete", DELETIONS.values(), ids=DELETIONS)
async def test_f130_deleted_control_socket_is_created_again(tmp_path, message_format, delete):
    """Within half a minute, with its modes. It is logged once. Receiving is not affected."""
    directory = tmp_path / "run"
    directory.mkdir(0o750)
    tables = {"control": {"socket": str(directory / "control.sock")}}
    async with FaultWorld(tmp_path / "world", message_format, tables=tables) as world:
        await world.start_and_settle()
        for _ in range(2):
            delete(directory)
            await world.advance(31)
            assert await is_answered(directory / "control.sock")
            assert stat.S_IMODE((directory / "control.sock").stat().st_mode) == 0o660
            assert stat.S_IMODE(directory.stat().st_mode) == 0o750
            shutil.rmtree(tmp_path / "away", ignore_errors=True)
        lines = [line for line in world.log_lines(0) if line.startswith("control socket")]
        assert len(lines) == 2
        assert "was deleted or replaced; it was created again" in lines[0]
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        await world.current_run.stop()
        assert not (directory / "control.sock").exists()


async def is_answered(path):
    """Return True if an agent answers on the socket."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(b'{"do": "status"}\n')
        return json.loads(await reader.readline())["ok"]
    finally:
        writer.close()
        await writer.wait_closed()


async def test_f130_socket_of_another_agent_is_left_alone(tmp_path):
    """It is logged once, and the socket comes back when the other one has gone."""
    path = tmp_path / "control.sock"
    async with FaultWorld(tmp_path / "world", tables={"control": {"socket": str(path)}}) as world:
        await world.start_and_settle()
        path.unlink()
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            await world.advance(300)
            (line,) = [line for line in world.log_lines(30) if line.startswith("control socket")]
            assert "in use by another agent" in line
        await world.advance(31)
        assert await is_answered(path)


async def test_f130_directory_that_only_systemd_can_create(tmp_path, message_format):
    """The agent ends when that interrupts nothing; systemd creates the directory and starts it again."""
    directory = tmp_path / "run"
    directory.mkdir(0o750)
    async with FaultWorld(
        tmp_path / "world",
        message_format,
        tables={"control": {"socket": str(directory / "control.sock")}},
        dependencies={"runtime_directories": (directory,)},
    ) as world:
        world.plans = {"led on": HandlerPlan([(20, "ok")])}
        await world.start_and_settle()
        directory.rename(tmp_path / "away")
        directory.write_text("nothing can be created here")
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(20)
        assert world.current_run.is_alive
        await world.advance(100)
        assert not world.current_run.is_alive
        assert isinstance(world.unforced_ends[-1][2], RecoveryExhausted)
        assert "systemd creates it again" in str(world.unforced_ends[-1][2])
        assert world.sent_bodies == ["did led on"]
        directory.unlink()
        directory.mkdir(0o750)
        await world.start_and_settle()
        assert await is_answered(directory / "control.sock")


# F134


@pytest.fixture
def special_files(tmp_path):
    """Files of every type, by what they are. Each is a path that is no serial port."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to("/dev/null")
    return {
        "a directory": tmp_path,
        "a regular file": tmp_path / "file",
        "a named pipe": tmp_path / "fifo",
        "a socket": tmp_path / "socket",
        "another device": tmp_path / "link",
    }


@pytest.mark.parametrize("port", ["/dev/null", "/dev/zero", "/dev/tty", "/dev/ptmx", "/dev", "/etc/hostname"])
def test_f134_config_check_names_what_is_not_a_serial_port(check_config, port):
    """It is a mistake: exit status 2."""
    result = check_config(port=port)
    assert result.exit_code == 2
    (line,) = [line for line in result.stderr.splitlines() if "modem.port" in line]
    assert line.startswith("modem-agent: ")
    assert f"modem.port: {port} is a" in line
    assert "and not a serial port; set [modem] port to" in line


def test_f134_every_type_of_file_is_named(special_files):
    """Links are followed."""
    for kind, path in special_files.items():
        assert explain_not_serial(str(path)).startswith(f"{path} is {kind} and not a serial port")


@pytest.mark.parametrize(
    "port", ["/dev/ttyUSB97", "/nowhere/port", "/dev/null/port", f"/dev/{'x' * 300}", "loop"]
)
def test_f134_config_check_notes_an_absent_port(check_config, tmp_path, port):
    """It may appear later: exit status 0."""
    if port == "loop":
        port = str(tmp_path / "loop")
        Path(port).symlink_to(port)
    result = check_config(port=port)
    assert result.exit_code == 0
    assert (
        f"note: {result.stdout.split(' is valid')[0]}: modem.port: port {port} does not exist"
        in result.stderr
    )


def test_f134_serial_ports_are_valid(check_config, tmp_path):
    """A pseudo-terminal, by its name or by a link, and what the kernel lists as serial."""
    far, near = os.openpty()
    try:
        (tmp_path / "module").symlink_to(os.ttyname(near))
        for port in (os.ttyname(near), str(tmp_path / "module"), "socket://127.0.0.1:7", "auto"):
            assert "modem.port" not in check_config(port=port).stderr
    finally:
        os.close(far)
        os.close(near)


DRIVERS = """\
/dev/tty             /dev/tty        5       0 system:/dev/tty
usbserial            /dev/ttyUSB   188 0-511 serial
ttyAMA               /dev/ttyAMA   204 64-77 serial
null                 /dev/null       1       3 {}
"""


def test_f134_kernel_decides_which_devices_are_serial(tmp_path):
    """By the type of the driver; a port of a module on PCIe has none. Without the list nothing is refused."""
    assert explain_not_serial("/dev/null", tmp_path) == ""
    (tmp_path / "proc/tty").mkdir(parents=True)
    drivers = tmp_path / "proc/tty/drivers"
    drivers.write_text(DRIVERS.format("serial"))
    assert explain_not_serial("/dev/null", tmp_path) == ""
    assert "not a serial port" in explain_not_serial("/dev/zero", tmp_path)
    drivers.write_text(DRIVERS.format("console"))
    assert "not a serial port" in explain_not_serial("/dev/null", tmp_path)
    (tmp_path / "sys/dev/char/1:3").mkdir(parents=True)
    (tmp_path / "sys/dev/char/1:3/subsystem").symlink_to("../../../class/wwan")
    assert explain_not_serial("/dev/null", tmp_path) == ""


class Board:
    """A directory tree in place of the root of a Raspberry Pi."""

    def __init__(self, root, model, *compatible, **links):
        """`links`: the targets of links in /dev; every target is made."""
        self.root = root
        (root / "proc/device-tree").mkdir(parents=True)
        (root / "proc/device-tree/model").write_text(model + "\0")
        (root / "proc/device-tree/compatible").write_text("".join(f"{name}\0" for name in compatible))
        (root / "boot/firmware").mkdir(parents=True)
        (root / "boot/firmware/config.txt").touch()
        (root / "dev").mkdir()
        for link, target in links.items():
            self.add_tty(target)
            (root / "dev" / link).symlink_to(target)

    def add_tty(self, name):
        """Add a device node."""
        (self.root / "dev" / name).touch()

    def add_login_console(self, tty):
        """Let systemd run a login console on a port."""
        (self.root / "run/systemd/units").mkdir(parents=True)
        (self.root / f"run/systemd/units/invocation:serial-getty@{tty}.service").symlink_to("3f2a")

    def explain_auto(self):
        """Return why `port = "auto"` finds no module."""
        with pytest.raises(PortSelectionError) as caught:
            PortFinder(self.root).find(0.0)
        return str(caught.value)


PI_5 = [
    ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b", "brcm,bcm2712"),
    ("Raspberry Pi Compute Module 5 Rev 1.0",),
    ("Raspberry Pi 500 Rev 1.0", "raspberrypi,500", "brcm,bcm2712"),
    ("Raspberry Pi Next", "raspberrypi,next", "brcm,bcm2712"),
]


@pytest.mark.parametrize("names", PI_5, ids=lambda names: names[0])
async def test_f134_header_of_a_raspberry_pi_5(tmp_path, names):
    """Each sentence names ttyAMA0, and calls /dev/serial0 the debug plug."""
    board = Board(tmp_path, *names, serial0="ttyAMA10")
    serial0, header = tmp_path / "dev/serial0", tmp_path / "dev/ttyAMA0"
    plug = "is the debug plug of this Raspberry Pi 5; a HAT on its header is /dev/ttyAMA0"
    enable = "enable it with the line dtparam=uart0=on in /boot/firmware/config.txt and reboot"
    for port in (serial0, tmp_path / "dev/ttyAMA10"):
        assert explain_debug_plug(port, tmp_path) == f"{port} {plug}"
    assert explain_absent(str(header), tmp_path) == f"port {header} does not exist; {enable}"
    assert f'"/dev/ttyAMA0" on this Raspberry Pi 5; first {enable}' in board.explain_auto()
    board.add_tty("ttyAMA0")
    assert explain_debug_plug(header, tmp_path) == ""
    assert board.explain_auto().endswith('its port ("/dev/ttyAMA0" on this Raspberry Pi 5)')
    missing = tmp_path / "dev/ttyS0"
    assert "the UART on the header of this Raspberry Pi 5 is /dev/ttyAMA0" in explain_absent(
        str(missing), tmp_path
    )
    board.add_login_console("ttyAMA10")
    with pytest.raises(PortUnavailable, match=plug):
        await make_opener(str(serial0), 115200, tmp_path)(None)
    serial0.unlink()
    serial0.symlink_to("ttyAMA0")  # with dtparam=uart0_console
    assert explain_debug_plug(serial0, tmp_path) == ""


@pytest.mark.parametrize("model", ["Raspberry Pi 4 Model B Rev 1.5", "Raspberry Pi Zero 2 W Rev 1.0"])
def test_f134_header_of_an_earlier_raspberry_pi(tmp_path, model):
    """It is /dev/serial0, whatever that leads to."""
    board = Board(tmp_path, model, "brcm,bcm2711", serial0="ttyS0")
    assert explain_debug_plug(tmp_path / "dev/serial0", tmp_path) == ""
    assert board.explain_auto().endswith('its port ("/dev/serial0" on this Raspberry Pi)')
    (tmp_path / "dev/serial0").unlink()
    enable = "enable it with the line enable_uart=1 in /boot/firmware/config.txt and reboot"
    assert explain_absent(str(tmp_path / "dev/serial0"), tmp_path).endswith(f"does not exist; {enable}")
    assert enable in board.explain_auto()


def test_f134_other_machines(tmp_path):
    """Without a device tree both names are given, and an absent port is explained as a USB module."""
    assert (
        describe_header_uart(tmp_path)
        == '"/dev/serial0" on a Raspberry Pi, "/dev/ttyAMA0" on a Raspberry Pi 5'
    )
    assert "is it on?" in explain_absent("/dev/ttyAMA0", tmp_path)
    assert explain_debug_plug(Path("/dev/ttyAMA10"), tmp_path) == ""


class SilentTransport:
    """A serial line on which nobody answers."""

    def __init__(self, port_state):
        self.port_state = port_state

    def write(self, data):
        pass

    def set_baud(self, baud):
        pass

    def close(self):
        pass

    async def wait_closed(self):
        pass


async def test_f134_silence_on_the_debug_plug_is_explained():
    """When no module answers there, the sentence names the right port."""
    port_state = PortState()
    port_state.no_answer_hint = "/dev/serial0 is the debug plug"

    async def open_port(reader):
        return SilentTransport(port_state)

    client = await AtClient.open(open_port)
    with pytest.raises(
        ModemLost, match=r"no module answers: nothing came back .*; /dev/serial0 is the debug plug"
    ):
        await client.wake_module(10)
    client.close()
