"""F50 F55 F69 F72: a port that is forbidden, in a data call, the wrong one of several, or a console."""

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
    """On the line there is no module, but what this says: `answer(data)` gets what was written."""

    def __init__(self, scene, answer):
        self.scene, self.answer = scene, answer
        self.written = bytearray()
        scene.interceptor.filter_to_module = self.hears
        scene.interceptor.filter_to_agent = lambda data: data if data in self.said else b""
        self.said = []

    def hears(self, data):
        self.written += data
        if says := self.answer(data):
            self.say(says)
        return b""

    def say(self, says):
        self.said.append(says)
        self.scene.interceptor.send_to_agent(says)


# F50


async def test_f50_permission_comes_later(tmp_path, message_format):
    """Said once, with device, owner, group and who we are; a minute later it works without a restart."""
    node = tmp_path / "ttyUSB2"
    node.touch(0o620)
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(1, PLAIN_SID_START)
        scene.port.open_error = translate_open_error(str(node), PermissionError(13, "Permission denied"))
        await scene.start_and_settle(60)
        scene.port.open_error = None
        said = scene.log_lines(min_severity=30)
        assert len(said) == 1
        status = node.stat()
        for part in (
            str(node),
            pwd.getpwuid(status.st_uid).pw_name,
            grp.getgrgid(status.st_gid).gr_name,
            f"({os.geteuid()})",
            f"({os.getegid()})",
            "dialout",
        ):
            assert part in said[0]
        assert 4 <= len(scene.events_of_kind("port")) <= 30
        await scene.advance(60)
        assert scene.executed == ["led on"]
        assert len(scene.agent_runs) == 1


@pytest.mark.deviation(
    "What says beforehand that a port may not be opened is `modem-agent doctor`, which is not built yet; the "
    "service says it itself."
)
@pytest.mark.real_time
@pytest.mark.parametrize("number", [13, 1], ids=["EACCES", "EPERM"])
async def test_f50_the_system_forbids_it(tmp_path, monkeypatch, number):
    """What opening a real port raises is told as forbidden."""
    node = tmp_path / "ttyUSB2"
    node.touch()
    really = os.open

    def forbid(path, *arguments, **named):
        if str(path) == str(node):
            raise PermissionError(number, os.strerror(number), str(path))
        return really(path, *arguments, **named)

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
    """As a serial port: what was met on it is known to the next session."""

    def __init__(self, whose, wire):
        super().__init__(whose, wire)
        self.port_state = whose.__dict__.setdefault("port_memory", PortState())

    def set_baud(self, baud):
        raise AssertionError("no rate is to be tried")


class DataCall(OtherDevice):
    """A frame every 3 s; `+++` with a second of silence around it ends it, if it does."""

    def __init__(self, scene, frame, *, ends):
        super().__init__(scene, self.written_to)
        self.frame, self.ends = frame, ends
        self.plus = 0
        self.guarded = 0
        self._written_at = -10.0
        self._tick()

    def _tick(self):
        if self.frame:
            self.say(self.frame)
            self.scene.call_later(3, self._tick)

    def written_to(self, data):
        now = self.scene.loop.time()
        quiet, self._written_at = now - self._written_at > 1, now
        if b"+++" in data:
            self.plus += 1
            if data == b"+++" and quiet:
                self.guarded += 1
                self.scene.call_later(1.05, self._end, now)
        return b""

    def _end(self, since):
        if self.ends and self._written_at == since:
            self.frame = b""
            self.scene.interceptor.filter_to_module = self.scene.interceptor.filter_to_agent = lambda data: (
                data
            )
            self.scene.interceptor.send_to_agent(b"\r\nOK\r\n")
            self.scene.call_later(20, self.scene.interceptor.send_to_agent, b"\r\nNO CARRIER\r\n")


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_f55_a_forgotten_data_call(tmp_path, message_format, frame):
    """`+++` once, with its guard times, and then the work begins."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.store_pdu(1, PLAIN_SID_START)
        dialled = DataCall(scene, frame, ends=True)
        await scene.start_and_settle(120)
        assert dialled.plus == dialled.guarded == 1
        assert scene.executed == ["led on"]
        assert scene.sent_bodies == ["did led on"]
        assert b"ATH" not in dialled.written


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_f55_a_data_call_of_others(tmp_path, message_format, frame, monkeypatch):
    """It does not end: that is said, and it is left alone from then on."""
    monkeypatch.setattr(agent_run, "_AgentTransport", TransportWithPortState)
    async with FaultWorld(tmp_path, message_format) as scene:
        dialled = DataCall(scene, frame, ends=False)
        await scene.start_and_settle(600)
        assert dialled.plus == dialled.guarded <= 1
        # That the port is somebody's keeps the ladder from restarting the module: only a PortOpener knows it.
        after = dialled.written.split(b"+++")[1].replace(b"AT+CFUN=1,1\r", b"")
        assert after == b""
        assert any("data mode" in line for line in scene.log_lines(min_severity=30))
        assert len([line for line in scene.log_lines(min_severity=30) if "data mode" in line]) <= 2
        dialled.frame = b""
        scene.interceptor.filter_to_module = scene.interceptor.filter_to_agent = lambda data: data
        scene.store_pdu(1, PLAIN_SID_START)
        await scene.advance(300)
        assert scene.executed == ["led on"]


# F69


WRONG = {
    "A": (None, b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n", "NMEA"),
    "C": (None, b"", "nothing came back"),
}


@pytest.mark.parametrize("port", WRONG)
async def test_f69_a_port_that_is_no_at_port(tmp_path, message_format, port):
    """Named in agent.toml and wrong: what it does is said, and nothing personal is written to it."""
    _, stream, words = WRONG[port]
    async with FaultWorld(tmp_path, message_format) as scene:
        wrong = OtherDevice(scene, lambda data: b"")

        def tick():
            if stream:
                wrong.say(stream)
            scene.call_later(1, tick)

        tick()
        await scene.start_and_settle(100)
        assert any(words in line for line in scene.log_lines(min_severity=30))
        assert b"AT+C" not in wrong.written.replace(b"AT+CMEE?", b"").replace(b"AT+CFUN=1,1", b"")
        assert scene.current_run.is_alive


@pytest.mark.parametrize("message_format", ["pdu"])
async def test_f69_a_port_without_messages(tmp_path, message_format):
    """B: answers AT by OK and +CMGF=0 by ERROR: that is what is said."""
    async with FaultWorld(tmp_path, message_format) as scene:

        def answer(data):
            if not data.endswith(b"\r"):
                return b""
            return b"\r\nERROR\r\n" if b"+" in data else b"\r\nOK\r\n"

        OtherDevice(scene, answer)
        await scene.start_and_settle(200)
        assert any("does not accept this message format" in line for line in scene.log_lines(min_severity=30))


@pytest.mark.deviation(
    'The ports of a module are not tried one after the other: "auto" takes the one that its profile names by '
    "interface, and writes to no other."
)
@pytest.mark.real_time
async def test_f69_the_right_one_of_four(tmp_path, monkeypatch):
    """By its interface, whatever the numbers; the others are not even opened."""
    _plug_usb_device(tmp_path, "1e0e", "9001", {0: "ttyUSB5", 1: "ttyUSB4", 2: "ttyUSB3", 3: "ttyUSB6"})
    opened = []
    really = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *more, **named: opened.append(str(path)) or really(path, *more, **named)
    )
    with pytest.raises(PortUnavailable) as caught:  # these are files, no ports
        await make_opener("auto", 115200, tmp_path)(None)
    assert "ttyUSB3" in str(caught.value)
    assert [path for path in opened if "ttyUSB" in path] == [str(tmp_path / "dev/ttyUSB3")]


@pytest.mark.real_time
async def test_f69_none_of_them(tmp_path, monkeypatch):
    """Where only ports for other things are there, none is opened and what was seen is named."""
    _plug_usb_device(tmp_path, "1e0e", "9001", {0: "ttyUSB0", 1: "ttyUSB1"})
    with pytest.raises(PortUnavailable) as caught:
        await make_opener("auto", 115200, tmp_path)(None)
    assert caught.value.kind == "absent"
    assert "1e0e:9001" in str(caught.value)


def _plug_usb_device(root, vendor, product, ttys):
    """A USB module as sysfs shows it."""
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
async def test_f72_a_console_answers(tmp_path, message_format, console):
    """It is no module: nothing personal is written to it, and it is said what it is."""
    first, then = CONSOLES[console]
    pin = tmp_path / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    tables = {
        "modem": {"message_format": message_format, "pin_file": str(pin), "service_centre": "+15550001234"}
    }
    async with FaultWorld(tmp_path, message_format, tables=tables) as scene:
        asked = []

        def answer(data):
            asked.append(data)
            if not data.endswith(b"\r"):
                return b""
            return first if len(asked) % 2 else then

        wrong = OtherDevice(scene, answer)
        await scene.start_and_settle(200)
        assert PIN.encode() not in wrong.written
        assert b"15550001234" not in wrong.written
        assert b"+CPIN" not in wrong.written
        assert b"+CMGS" not in wrong.written
        assert scene.events_of_kind("session") == []
        words = ("login console", "getty") if "login" in console else ("kernel",)
        assert any(word in line for line in scene.log_lines(min_severity=30) for word in words)


@pytest.mark.real_time
async def test_f72_a_console_that_systemd_runs(tmp_path):
    """It is found before anything is written, and the sentence names the unit to disable."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/ttyAMA0").touch()
    (tmp_path / "dev/serial0").symlink_to("ttyAMA0")
    (tmp_path / "run/systemd/units").mkdir(parents=True)
    (tmp_path / "run/systemd/units/invocation:serial-getty@ttyAMA0.service").symlink_to("3f2a")
    with pytest.raises(PortUnavailable) as caught:
        await make_opener(str(tmp_path / "dev/serial0"), 115200, tmp_path)(None)
    assert "serial-getty@ttyAMA0.service" in str(caught.value)
    assert (tmp_path / "dev/ttyAMA0").stat().st_size == 0
