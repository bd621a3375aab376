"""F50 F55 F69 F72: a port without permission, in data mode, the wrong one of several, or a console."""

import grp
import os
import pwd

import pytest

from agent.at.transport.base import PortState, PortUnavailable
from agent.at.transport.open import make_opener
from agent.at.transport.serial_port import open_serial, translate_open_error
from fault.catalogue import PLAIN_SID_START
from fault.fault_world import FaultWorld
from soak import agent_run

PIN = "4711"


class OtherDevice:
    """Replaces the module on the line. `answer(octets)` returns the response to the octets written."""

    def __init__(self, world, answer):
        self.world, self.answer = world, answer
        self.written = bytearray()
        world.interceptor.filter_to_module = self._on_input
        world.interceptor.filter_to_agent = lambda data: data if data in self.sent else b""
        self.sent = []

    def _on_input(self, data):
        self.written += data
        if response := self.answer(data):
            self.send(response)
        return b""

    def send(self, octets):
        """Send octets to the agent."""
        self.sent.append(octets)
        self.world.interceptor.send_to_agent(octets)


# F50


async def test_f50_denied_permission_is_logged_once_and_retried(tmp_path, message_format):
    """The line has device, owner, group and user; after the permission is given no restart is needed."""
    node = tmp_path / "ttyUSB2"
    node.touch(0o620)
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, PLAIN_SID_START)
        world.port.open_error = translate_open_error(str(node), PermissionError(13, "Permission denied"))
        await world.start_and_settle(60)
        world.port.open_error = None
        lines = world.log_lines(min_severity=30)
        assert len(lines) == 1
        status = node.stat()
        for part in (
            str(node),
            pwd.getpwuid(status.st_uid).pw_name,
            grp.getgrgid(status.st_gid).gr_name,
            f"({os.geteuid()})",
            f"({os.getegid()})",
            "dialout",
        ):
            assert part in lines[0]
        assert 4 <= len(world.events_of_kind("port")) <= 30
        await world.advance(60)
        assert world.executed == ["led on"]
        assert len(world.agent_runs) == 1


@pytest.mark.deviation(
    "`modem-agent doctor`, which would report this beforehand, is not built yet; the service logs it itself."
)
@pytest.mark.real_time
@pytest.mark.parametrize("number", [13, 1], ids=["EACCES", "EPERM"])
async def test_f50_denied_open_is_forbidden(tmp_path, monkeypatch, number):
    """EACCES and EPERM of a real port have the kind `forbidden`."""
    node = tmp_path / "ttyUSB2"
    node.touch()
    real_open = os.open

    def forbid(path, *arguments, **named):
        if str(path) == str(node):
            raise PermissionError(number, os.strerror(number), str(path))
        return real_open(path, *arguments, **named)

    monkeypatch.setattr(os, "open", forbid)
    with pytest.raises(PortUnavailable) as caught:
        await open_serial(str(node), 115200, None)
    assert caught.value.kind == "forbidden"
    assert str(node) in str(caught.value)


# F55


FRAMES = {
    "LCP": b"~\xff}#\xc0!}!}!} }4\x22}&} } } } }%}&\x83\xd4\x06\x9c}'}\x22}(}\x22\x11\xb6~",
    "LCP, no escapes": b"~\xff\x03\xc0\x21\x01\x01\x00\x14\x02\x06\x00\x00\x00\x00~",
    "echo": b"~\xff\x03\xc0\x21\x09\x05\x00\x08\x83\xd4\x06\x9c\x11\xb6~",
    "IP": b"~!E\x00\x00T\x00\x00@\x00@\x01\x12\x34\x0a\x40\x40\x01~",
}


class TransportWithPortState(agent_run._AgentTransport):
    """Keeps the state of the port for the next session, as a serial port does."""

    def __init__(self, owner, port):
        super().__init__(owner, port)
        self.port_state = owner.__dict__.setdefault("port_memory", PortState())

    def set_baud(self, baud):
        raise AssertionError("no baud rate may be tried")


class DataCall(OtherDevice):
    """A data call that sends a frame every 3 s. With `ends`, `+++` between pauses of a second ends it."""

    def __init__(self, world, frame, *, ends):
        super().__init__(world, self._check_escape)
        self.frame, self.ends = frame, ends
        self.escape_count = 0
        self.guarded_escape_count = 0
        self._written_at = -10.0
        self._tick()

    def _tick(self):
        if self.frame:
            self.send(self.frame)
            self.world.call_later(3, self._tick)

    def _check_escape(self, data):
        now = self.world.loop.time()
        quiet, self._written_at = now - self._written_at > 1, now
        if b"+++" in data:
            self.escape_count += 1
            if data == b"+++" and quiet:
                self.guarded_escape_count += 1
                self.world.call_later(1.05, self._end, now)
        return b""

    def _end(self, since):
        if self.ends and self._written_at == since:
            self.frame = b""
            self.world.interceptor.filter_to_module = self.world.interceptor.filter_to_agent = lambda data: (
                data
            )
            self.world.interceptor.send_to_agent(b"\r\nOK\r\n")
            self.world.call_later(20, self.world.interceptor.send_to_agent, b"\r\nNO CARRIER\r\n")


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_f55_data_mode_is_left_with_guard_times(tmp_path, message_format, frame):
    """`+++` is sent once, with its guard times, then the session begins."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.store_pdu(1, PLAIN_SID_START)
        data_call = DataCall(world, frame, ends=True)
        await world.start_and_settle(120)
        assert data_call.escape_count == data_call.guarded_escape_count == 1
        assert world.executed == ["led on"]
        assert world.sent_bodies == ["did led on"]
        assert b"ATH" not in data_call.written


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_f55_data_mode_that_does_not_end_is_left_alone(tmp_path, message_format, frame, monkeypatch):
    """It is logged, and nothing more is written until the frames stop."""
    monkeypatch.setattr(agent_run, "_AgentTransport", TransportWithPortState)
    async with FaultWorld(tmp_path, message_format) as world:
        data_call = DataCall(world, frame, ends=False)
        await world.start_and_settle(600)
        assert data_call.escape_count == data_call.guarded_escape_count <= 1
        # In this world recovery may restart the module: only a real PortOpener knows that the port is in use.
        after = data_call.written.split(b"+++")[1].replace(b"AT+CFUN=1,1\r", b"")
        assert after == b""
        assert any("data mode" in line for line in world.log_lines(min_severity=30))
        assert len([line for line in world.log_lines(min_severity=30) if "data mode" in line]) <= 2
        data_call.frame = b""
        world.interceptor.filter_to_module = world.interceptor.filter_to_agent = lambda data: data
        world.store_pdu(1, PLAIN_SID_START)
        await world.advance(300)
        assert world.executed == ["led on"]


# F69


WRONG_PORTS = {
    "A": (None, b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", "NMEA"),
    "C": (None, b"", "nothing came back"),
}


@pytest.mark.parametrize("port", WRONG_PORTS)
async def test_f69_wrong_port_is_described(tmp_path, message_format, port):
    """The configured port is not an AT port: the log says what it does, and no setting is written to it."""
    _, stream, words = WRONG_PORTS[port]
    async with FaultWorld(tmp_path, message_format) as world:
        device = OtherDevice(world, lambda data: b"")

        def tick():
            if stream:
                device.send(stream)
            world.call_later(1, tick)

        tick()
        await world.start_and_settle(100)
        assert any(words in line for line in world.log_lines(min_severity=30))
        assert b"AT+C" not in device.written.replace(b"AT+CMEE?", b"").replace(b"AT+CFUN=1,1", b"")
        assert world.current_run.is_alive


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f69_port_without_sms_commands_is_described(tmp_path, message_format):
    """B: the port answers AT with OK and +CMGF=0 with ERROR, and the log says so."""
    async with FaultWorld(tmp_path, message_format) as world:

        def answer(data):
            if not data.endswith(b"\r"):
                return b""
            return b"\r\nERROR\r\n" if b"+" in data else b"\r\nOK\r\n"

        OtherDevice(world, answer)
        await world.start_and_settle(200)
        assert any("does not accept this message format" in line for line in world.log_lines(min_severity=30))


@pytest.mark.deviation(
    '"auto" does not try the ports one after the other: it takes the one whose interface the profile '
    "names, and writes to no other."
)
@pytest.mark.real_time
async def test_f69_auto_opens_the_port_by_its_interface(tmp_path, monkeypatch):
    """Only the AT port is opened, whatever the numbers of the ports."""
    _plug_usb_device(tmp_path, "1e0e", "9001", {0: "ttyUSB5", 1: "ttyUSB4", 2: "ttyUSB3", 3: "ttyUSB6"})
    opened = []
    real_open = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *more, **named: opened.append(str(path)) or real_open(path, *more, **named)
    )
    with pytest.raises(PortUnavailable) as caught:  # these are regular files, not ports
        await make_opener("auto", 115200, tmp_path)(None)
    assert "ttyUSB3" in str(caught.value)
    assert [path for path in opened if "ttyUSB" in path] == [str(tmp_path / "dev/ttyUSB3")]


@pytest.mark.real_time
async def test_f69_auto_opens_nothing_without_an_at_port(tmp_path, monkeypatch):
    """The device has no AT port: no port is opened, and the error names the device."""
    _plug_usb_device(tmp_path, "1e0e", "9001", {0: "ttyUSB0", 1: "ttyUSB1"})
    with pytest.raises(PortUnavailable) as caught:
        await make_opener("auto", 115200, tmp_path)(None)
    assert caught.value.kind == "absent"
    assert "1e0e:9001" in str(caught.value)


def _plug_usb_device(root, vendor, product, ttys):
    """Create the sysfs tree of a USB module."""
    device = root / "sys/devices/usb1/1-1"
    device.mkdir(parents=True)
    for name, text in {"idVendor": vendor, "idProduct": product, "product": "SimTech"}.items():
        (device / name).write_text(text + "\n")
    devices = root / "sys/bus/usb/devices"
    devices.mkdir(parents=True)
    (devices / "1-1").symlink_to(device)
    (root / "dev").mkdir()
    (root / "sys/class/tty").mkdir(parents=True)
    for interface, tty in ttys.items():
        folder = device / f"1-1:1.{interface}"
        (folder / tty / "tty" / tty).mkdir(parents=True)
        (folder / "bInterfaceNumber").write_text(f"{interface:02x}\n")
        for part in ("Class", "SubClass", "Protocol"):
            (folder / f"bInterface{part}").write_text("ff\n")
        (devices / f"1-1:1.{interface}").symlink_to(folder)
        (root / "sys/class/tty" / tty).symlink_to(folder / tty / "tty" / tty)
        (root / "dev" / tty).touch()


# F72


CONSOLES = {
    "login": (b"\r\nraspberrypi login: ", b"Password: "),
    "login in the answer": (b"AT\r\n\r\nraspberrypi login: ", b"\r\nPassword: \r\nLogin incorrect\r\n"),
    "kernel": (
        b"[   25.780000] usb 1-1: new high-speed USB device number 4\r\n",
        b"[   25.9] usb 1-1: x\r\n",
    ),
}


@pytest.mark.parametrize("console", CONSOLES)
async def test_f72_console_is_recognised(tmp_path, message_format, console):
    """The log names the console, and neither PIN nor number is written to it."""
    first, second = CONSOLES[console]
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    tables = {
        "modem": {"message_format": message_format, "pin_file": str(pin), "service_centre": "+15550001234"}
    }
    async with FaultWorld(tmp_path, message_format, tables=tables) as world:
        inputs = []

        def answer(data):
            inputs.append(data)
            if not data.endswith(b"\r"):
                return b""
            return first if len(inputs) % 2 else second

        device = OtherDevice(world, answer)
        await world.start_and_settle(200)
        assert PIN.encode() not in device.written
        assert b"15550001234" not in device.written
        assert b"+CPIN" not in device.written
        assert b"+CMGS" not in device.written
        assert world.events_of_kind("session") == []
        words = ("login console", "getty") if "login" in console else ("kernel",)
        assert any(word in line for line in world.log_lines(min_severity=30) for word in words)


@pytest.mark.real_time
async def test_f72_systemd_console_is_found_before_writing(tmp_path):
    """The error names the unit to disable, and nothing is written."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ttyAMA0").touch()
    (tmp_path / "dev/serial0").symlink_to("ttyAMA0")
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    (tmp_path / "run/systemd/units/invocation:serial-getty@ttyAMA0.service").symlink_to("3f2a")
    with pytest.raises(PortUnavailable) as caught:
        await make_opener(str(tmp_path / "dev/serial0"), 115200, tmp_path)(None)
    assert "serial-getty@ttyAMA0.service" in str(caught.value)
    assert (tmp_path / "dev/ttyAMA0").stat().st_size == 0
