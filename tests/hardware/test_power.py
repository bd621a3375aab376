"""Switching a module's power: pulses on a line, the kernel's switch for USB, and what ends them early."""

import asyncio
import sys
import types
from dataclasses import dataclass
from pathlib import Path

import pytest

from hardware import power
from hardware.power import GpioPowerSwitch, PowerUnavailable, UsbPowerSwitch, make_power_switch
from hardware.profile import DriverProfile
from hardware.quirks import Quirk


@dataclass
class FakePowerConfig:
    power: str = "none"
    gpio_chip: str = "/dev/gpiochip0"
    gpio_line: int = 6
    gpio_active_low: bool = False
    gpio_drives: str = "power-key"
    pulse_on_s: float = 0.0
    pulse_off_s: float = 0.0


class FakeGpiod(types.ModuleType):
    """gpiod 2 as far as it is used, with one chip of 8 lines."""

    def __init__(self):
        super().__init__("gpiod")
        self.line = types.ModuleType("gpiod.line")
        self.line.Direction = types.SimpleNamespace(OUTPUT="output")
        self.line.Value = types.SimpleNamespace(ACTIVE="active", INACTIVE="inactive")
        self.levels = []
        self.held = 0
        self.open_error = None
        self.busy = None
        self.labels = {}
        outer = self

        class Chip:
            def __init__(self, path):
                if outer.open_error is not None:
                    raise outer.open_error
                self.label = outer.labels.get(path.rpartition("/")[2], "")

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def get_info(self):
                return types.SimpleNamespace(num_lines=8, label=self.label)

        self.Chip = Chip
        self.LineSettings = types.SimpleNamespace

    def request_lines(self, path, consumer, config):
        if self.busy is not None:
            raise self.busy
        [(offset, settings)] = config.items()
        self.held += 1
        self.request = (path, consumer, offset, settings)
        outer = self
        loop = self.loop

        class Request:
            def set_value(self, number, value):
                assert number == offset
                outer.levels.append((round(loop.time() - outer.begun, 3), value))

            def release(self):
                outer.held -= 1

        return Request()


@pytest.fixture
async def gpiod(monkeypatch):
    library = FakeGpiod()
    library.loop = asyncio.get_running_loop()
    library.begun = library.loop.time()
    monkeypatch.setitem(sys.modules, "gpiod", library)
    monkeypatch.setitem(sys.modules, "gpiod.line", library.line)
    return library


@pytest.fixture
def sleep_durations(monkeypatch):
    """How long each pause was to be; none really is."""
    pauses = []

    async def sleep(seconds):
        pauses.append(seconds)

    monkeypatch.setattr(power, "asyncio", _AsyncioWithSleep(sleep))
    return pauses


class _AsyncioWithSleep:
    """asyncio with another sleep."""

    def __init__(self, sleep):
        self.sleep = sleep

    def __getattr__(self, name):
        return getattr(asyncio, name)


DRIVER = DriverProfile(power_key_on_s=0.5, power_key_off_s=3.0, power_off_s=6.0, reset_line_s=0.25)


@pytest.mark.parametrize(
    ("line", "driver", "pauses"),
    [
        ({}, DRIVER, [3.0, 6.0, 0.5]),
        ({}, DriverProfile(), [3.0, 10.0, 1.0]),
        ({"pulse_on_s": 2.0, "pulse_off_s": 4.0}, DRIVER, [4.0, 6.0, 2.0]),
        ({"gpio_drives": "reset"}, DRIVER, [0.25]),
        ({"gpio_drives": "reset"}, DriverProfile(), [0.5]),
        ({"gpio_drives": "reset", "pulse_on_s": 0.7}, DRIVER, [0.7]),
    ],
)
async def test_pulse_lengths_come_from_configuration_or_profile(gpiod, sleep_durations, line, driver, pauses):
    """A key: off, pause, on. A reset line: one pulse. The line is released in between and afterwards."""
    await GpioPowerSwitch(FakePowerConfig(**line)).power_cycle(driver)
    assert sleep_durations == pauses
    values = [value for _, value in gpiod.levels]
    assert values == ["active", "inactive"] * (len(values) // 2)
    assert gpiod.held == 0
    assert gpiod.request[:3] == ("/dev/gpiochip0", "modem-agent", 6)


@pytest.mark.parametrize(
    ("label", "path", "error"),
    [
        ("pinctrl-rp1", "gpiochip4", ""),
        ("relay", "", "gpiochip0 and "),
        (
            "pinctrl-bcm2711",
            "",
            "no GPIO chip with the label pinctrl-bcm2711 .*; there are relay, pinctrl-rp1",
        ),
    ],
)
async def test_chip_is_found_by_its_label(gpiod, tmp_path, label, path, error):
    """A label that is unknown or not unique is an error that says what there is. A path is taken as it is."""
    gpiod.labels = {"gpiochip0": "relay", "gpiochip1": "relay", "gpiochip4": "pinctrl-rp1"}
    for name in gpiod.labels:
        (tmp_path / name).touch()
    assert power.find_gpio_chip(gpiod, "/dev/x", tmp_path) == "/dev/x"
    if error:
        with pytest.raises(power.PowerUnavailable, match=error):
            power.find_gpio_chip(gpiod, label, tmp_path)
    else:
        assert power.find_gpio_chip(gpiod, label, tmp_path) == str(tmp_path / path)


async def test_chip_is_not_found_without_permission(gpiod, tmp_path):
    """The remedy is a right, not another label."""
    gpiod.open_error = PermissionError()
    (tmp_path / "gpiochip0").touch()
    with pytest.raises(power.PowerUnavailable, match=r"permission to open .*gpiochip0 is denied"):
        power.find_gpio_chip(gpiod, "pinctrl-rp1", tmp_path)


async def test_power_on_is_one_pulse(gpiod, sleep_durations):
    """For a module that may be off."""
    await GpioPowerSwitch(FakePowerConfig(gpio_active_low=True)).power_on(DRIVER)
    assert sleep_durations == [0.5]
    assert gpiod.request[3].active_low is True
    assert gpiod.request[3].output_value == "inactive"


async def test_unknown_module_gets_longer_pulses(gpiod, sleep_durations):
    """Without a profile successive pulses have the lengths that modules need, and then begin again."""
    key = GpioPowerSwitch(FakePowerConfig())
    for _ in range(4):
        await key.power_on(DriverProfile())
    await key.power_on(DRIVER)
    assert sleep_durations == [1.0, 2.0, 5.05, 1.0, 0.5]


async def test_unsafe_reset_line_is_never_used(gpiod, sleep_durations):
    """It may leave the module beyond recovery."""
    line = GpioPowerSwitch(FakePowerConfig(gpio_drives="reset"))
    with pytest.raises(PowerUnavailable, match="never used"):
        await line.power_cycle(DriverProfile(quirks=(Quirk.RESET_LINE_UNSAFE,)))
    assert gpiod.levels == []


async def test_reset_line_tied_to_the_power_key_is_a_toggle(gpiod, sleep_durations):
    """It may leave the module off, and the caller must know that."""
    line = GpioPowerSwitch(FakePowerConfig(gpio_drives="reset"))
    assert not line.is_toggle
    await line.power_cycle(DriverProfile(quirks=(Quirk.RESET_LINE_IS_POWER_KEY,)))
    assert line.is_toggle


async def test_cancelled_pulse_releases_the_key(gpiod):
    """At once."""
    pulse = asyncio.ensure_future(GpioPowerSwitch(FakePowerConfig(pulse_on_s=60.0)).power_on(DRIVER))
    async with asyncio.timeout(5):
        while not gpiod.levels:  # noqa: ASYNC110  (a fake line sends no event)
            await asyncio.sleep(0)
    pulse.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pulse
    assert [value for _, value in gpiod.levels] == ["active", "inactive"]
    assert gpiod.held == 0


async def test_busy_gpio_line_is_reported(gpiod, sleep_durations):
    """In one sentence."""
    gpiod.busy = OSError(16, "Device or resource busy")
    with pytest.raises(
        PowerUnavailable, match=r"power key on /dev/gpiochip0 line 6 cannot be driven: .*busy"
    ):
        await GpioPowerSwitch(FakePowerConfig()).power_on(DRIVER)


@pytest.mark.parametrize(
    ("open_error", "offset", "sentence"),
    [
        (FileNotFoundError(2, "No such file"), 6, "there is no GPIO chip /dev/gpiochip0"),
        (PermissionError(13, "Permission denied"), 6, "permission to open /dev/gpiochip0 is denied"),
        (ValueError("no chip"), 6, "is not a GPIO chip"),
        (None, 8, "has 8 lines; line 8 does not exist"),
    ],
)
async def test_missing_chip_line_or_permission_is_reported(gpiod, open_error, offset, sentence):
    """At the start of the program, and by `config check`."""
    gpiod.open_error = open_error
    with pytest.raises(PowerUnavailable, match=sentence):
        GpioPowerSwitch(FakePowerConfig(gpio_line=offset))


def test_missing_package_is_reported(monkeypatch):
    """With the command that installs it; version 1 is a different library."""
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(PowerUnavailable, match=r"modem-agent\[gpio\]"):
        GpioPowerSwitch(FakePowerConfig())
    old = types.ModuleType("gpiod")
    monkeypatch.setitem(sys.modules, "gpiod", old)
    monkeypatch.setitem(sys.modules, "gpiod.line", types.ModuleType("gpiod.line"))
    with pytest.raises(PowerUnavailable, match="version 2"):
        GpioPowerSwitch(FakePowerConfig())


STATE_FILE = Path("/nowhere/usb-off")


async def test_configured_power_switch_is_made(gpiod):
    """None, a GPIO line, or USB."""
    assert make_power_switch(FakePowerConfig(), lambda: None, STATE_FILE) is None
    assert (
        make_power_switch(FakePowerConfig("gpio"), lambda: None, STATE_FILE).name
        == "the power key on /dev/gpiochip0 line 6"
    )
    assert (
        make_power_switch(FakePowerConfig("gpio", gpio_drives="reset"), lambda: None, STATE_FILE).is_toggle
        is False
    )
    assert isinstance(make_power_switch(FakePowerConfig("usb"), lambda: None, STATE_FILE), UsbPowerSwitch)


# USB


async def run_inline(work, name):
    """Without the thread, which a test cannot kill."""
    return work()


@pytest.fixture
def module(fake_host, monkeypatch, tmp_path):
    fake_host.plug("1-1.2", "1e0e:9001", {2: "ttyUSB2"})
    monkeypatch.setattr(power, "USB_OFF_S", 0.05)
    fake_host.written = []
    write = Path.write_text

    def noted(path, text, *args, **kwargs):
        if path.name == "authorized":
            fake_host.written.append(text)
        return write(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", noted)
    fake_host.note = tmp_path / "usb-off"
    fake_host.switch = fake_host.root / "sys/bus/usb/devices/1-1.2/authorized"
    write(fake_host.switch, "1")
    return fake_host


async def test_usb_device_is_switched_off_and_on(module):
    """The device to which the port belongs."""
    await UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note, module.root).power_cycle(DRIVER)
    assert module.written == ["0", "1"]


async def test_killed_process_leaves_a_state_file(module, monkeypatch):
    """The next process switches the device on again, once; a complete cycle leaves no file."""

    class KilledError(BaseException):
        pass

    class Death:
        def wait(self, seconds):
            raise KilledError

        def set(self):
            pass

    usb = UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note, module.root)
    await usb.power_cycle(DRIVER)
    assert await usb.restore() == ""
    monkeypatch.setattr(power.threading, "Event", Death)
    monkeypatch.setattr(power, "run_in_thread", run_inline)
    with pytest.raises(KilledError):
        await usb.power_cycle(DRIVER)
    monkeypatch.undo()
    assert module.switch.read_text() == "0"
    later = UsbPowerSwitch(lambda: None, module.note, module.root)
    assert await later.restore() == "USB device 1-1.2"
    assert module.switch.read_text() == "1"
    assert await later.restore() == ""


@pytest.mark.parametrize("note", ["", "1-1.9", "../../../../etc", "1-1.2/.."])
async def test_state_file_without_its_device_is_removed(module, note):
    """Unplugged since, or not completely written: nothing is switched."""
    module.note.write_text(note)
    assert await UsbPowerSwitch(lambda: None, module.note, module.root).restore() == ""
    assert module.written == []
    assert not module.note.exists()


async def test_device_is_not_switched_off_without_a_state_file(module):
    """For example if the disk is full."""
    usb = UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note / "no folder", module.root)
    with pytest.raises(PowerUnavailable, match="no folder cannot be written"):
        await usb.power_cycle(DRIVER)
    assert module.written == []


async def test_cancelled_usb_cycle_ends_with_power_on(module, monkeypatch):
    """Also if the agent stops in the middle."""
    monkeypatch.setattr(power, "USB_OFF_S", 60.0)
    cycle = asyncio.ensure_future(
        UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note, module.root).power_cycle(DRIVER)
    )
    async with asyncio.timeout(5):
        while module.written != ["0"]:  # noqa: ASYNC110  (a file sends no event)
            await asyncio.sleep(0.001)
    cycle.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await cycle
    assert module.written == ["0", "1"]


@pytest.mark.parametrize("node", [None, "ttyAMA0"])
async def test_port_without_usb_cannot_use_the_usb_switch(module, node):
    """A UART, or no port."""
    module.uart("ttyAMA0")
    with pytest.raises(PowerUnavailable, match="not on USB"):
        await UsbPowerSwitch(
            lambda: None if node is None else module.dev / node, module.note, module.root
        ).power_cycle(DRIVER)
    assert module.written == []


async def test_failed_usb_switch_is_reported(module, monkeypatch):
    """With the reason of the kernel."""

    write = Path.write_text

    def failing(path, *args):
        if path.name == "authorized":
            raise OSError(5, "Input/output error")
        return write(path, *args)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(PowerUnavailable, match="authorized cannot be written: Input/output error"):
        await UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note, module.root).power_cycle(DRIVER)


async def test_missing_permission_for_the_usb_switch_is_reported(module, monkeypatch):
    """With the rule that gives it."""

    write = Path.write_text

    def forbidden(path, *args):
        if path.name == "authorized":
            raise PermissionError(13, "Permission denied")
        return write(path, *args)

    monkeypatch.setattr(Path, "write_text", forbidden)
    with pytest.raises(PowerUnavailable, match="udev rule"):
        await UsbPowerSwitch(lambda: module.dev / "ttyUSB2", module.note, module.root).power_cycle(DRIVER)
    assert not module.note.exists()
