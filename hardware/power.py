"""Switches the power of a module: by its power key or reset line on a GPIO, or by the kernel's USB switch.

A pulse at a power key toggles: it may switch the module off instead of on, and nothing reports which. The
caller checks whether the module answers. The key is always released, also if the pulse is cancelled; if the
process is killed, the kernel releases it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from hardware.blocking import run_in_thread
from hardware.profile import DriverProfile
from hardware.quirks import Quirk
from hardware.sysfs import ROOT, find_usb_port

DEFAULT_OFF_PULSE_S, DEFAULT_OFF_TO_ON_S, DEFAULT_RESET_PULSE_S = 3.0, 10.0, 0.5
"""Used if neither configuration nor profile has a value. Most modules take up to 3 s for off; the pause lets
a module finish its shutdown (SIM7000: 1.8 to 6.9 s)."""
DEFAULT_ON_PULSES_S = (1.0, 2.0, 5.05)
"""Lengths of successive pulses that switch on, if neither configuration nor profile has a value. The first is
right for most modules, the second for those that need 1.5 s (SARA-R5, HL7800, EG25) and boards that delay the
key, the third for Telit's LE910 and ME910."""
USB_OFF_S = 2.0
"""Time between off and on of a USB device."""
_USB_PATH = re.compile(r"\d+-\d+(\.\d+)*")
"""USB path of a device, as the kernel writes it."""
USB_ON_TIMEOUT_S = 2.0
"""Longest wait for USB to be switched on again after cancellation; the thread goes on after that."""


class PowerUnavailable(Exception):  # noqa: N818  (the name of a condition)
    """The power cannot be switched; the text is one sentence with what is missing."""


class PowerSwitch(Protocol):
    """Switches the power of a module."""

    name: str
    """Name for log and error sentences."""
    is_toggle: bool
    """True if a pulse may leave the module off."""

    async def power_cycle(self, driver: DriverProfile) -> None:
        """Switch off and on again. Raises PowerUnavailable."""

    async def power_on(self, driver: DriverProfile) -> None:
        """Switch on a module that may be off. Raises PowerUnavailable."""


class PowerConfig(Protocol):
    """The keys of `[recovery]` that describe the power switch."""

    @property
    def power(self) -> str: ...
    @property
    def gpio_chip(self) -> str: ...  # a path, or the label of a chip
    @property
    def gpio_line(self) -> int: ...
    @property
    def gpio_active_low(self) -> bool: ...
    @property
    def gpio_drives(self) -> str: ...  # "power-key" or "reset"
    @property
    def pulse_on_s(self) -> float: ...
    @property
    def pulse_off_s(self) -> float: ...


def make_power_switch(
    config: PowerConfig, current_port: Callable[[], Path | None], state_file: Path
) -> PowerSwitch | None:
    """Return the configured power switch, None for none. Raises PowerUnavailable.

    `current_port` and `state_file` are those of `UsbPowerSwitch`.
    """
    if config.power == "usb":
        return UsbPowerSwitch(current_port, state_file)
    return GpioPowerSwitch(config) if config.power == "gpio" else None


class GpioPowerSwitch:
    """A power key or reset line, driven through the kernel's GPIO character device."""

    def __init__(self, config: PowerConfig) -> None:
        """Raises PowerUnavailable if package, chip or line is missing."""
        self._config = config
        self._gpiod = _import_gpiod()
        self._chip = find_gpio_chip(self._gpiod, config.gpio_chip)
        self._is_reset = config.gpio_drives == "reset"
        self.is_toggle = not self._is_reset
        kind = "reset line" if self._is_reset else "power key"
        self._unknown_on_pulses = itertools.cycle(DEFAULT_ON_PULSES_S)
        self.name = f"the {kind} on {self._chip} line {config.gpio_line}"
        self._check_line()

    async def power_cycle(self, driver: DriverProfile) -> None:
        if self._is_reset:
            if Quirk.RESET_LINE_UNSAFE in driver.quirks:
                raise PowerUnavailable(
                    "the reset line may leave this module beyond recovery and is never used"
                )
            self.is_toggle = Quirk.RESET_LINE_IS_POWER_KEY in driver.quirks
            await self._pulse(self._config.pulse_on_s or driver.reset_line_s or DEFAULT_RESET_PULSE_S)
            return
        await self._pulse(self._config.pulse_off_s or driver.power_key_off_s or DEFAULT_OFF_PULSE_S)
        await asyncio.sleep(driver.power_off_s or DEFAULT_OFF_TO_ON_S)
        await self.power_on(driver)

    async def power_on(self, driver: DriverProfile) -> None:
        length_s = self._config.pulse_on_s or driver.power_key_on_s or next(self._unknown_on_pulses)
        await self._pulse(length_s)

    async def _pulse(self, seconds: float) -> None:
        line, gpiod = self._config.gpio_line, self._gpiod
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT,
            active_low=self._config.gpio_active_low,
            output_value=gpiod.line.Value.INACTIVE,
        )

        def request_line() -> Any:
            return gpiod.request_lines(self._chip, consumer="modem-agent", config={line: settings})

        try:
            request = await run_in_thread(
                request_line, "power", on_abandoned=lambda request: request.release()
            )
            try:
                request.set_value(line, gpiod.line.Value.ACTIVE)  # one ioctl, which does not block
                await asyncio.sleep(seconds)
            finally:
                with contextlib.suppress(OSError):
                    request.set_value(line, gpiod.line.Value.INACTIVE)
                request.release()
        except (OSError, ValueError) as error:
            raise PowerUnavailable(f"{self.name} cannot be driven: {error}") from None

    def _check_line(self) -> None:
        """Raise PowerUnavailable if chip or line does not exist."""
        chip, line = self._chip, self._config.gpio_line
        try:
            with self._gpiod.Chip(chip) as opened:
                count = opened.get_info().num_lines
        except FileNotFoundError:
            raise PowerUnavailable(f"there is no GPIO chip {chip} (recovery.gpio_chip)") from None
        except PermissionError:
            raise _forbidden_chip(chip) from None
        except (OSError, ValueError) as error:
            raise PowerUnavailable(f"{chip} is not a GPIO chip (recovery.gpio_chip): {error}") from None
        if line >= count:
            raise PowerUnavailable(
                f"{chip} has {count} lines; line {line} does not exist (recovery.gpio_line)"
            )


class UsbPowerSwitch:
    """The kernel's switch for a USB device: its file `authorized`. The supply voltage stays on.

    A killed process leaves the device off, and a device that is off has no ports by which to find it. So a
    state file has its USB path while it is off.
    """

    is_toggle = False
    name = "the kernel's switch for its USB device"

    def __init__(self, current_port: Callable[[], Path | None], state_file: Path, root: Path = ROOT) -> None:
        """`current_port` returns the port on which the module is or was last.

        `state_file` must be writable.
        """
        self._current_port = current_port
        self._state_file = state_file
        self._devices_dir = root / "sys/bus/usb/devices"
        self._root = root

    async def power_cycle(self, driver: DriverProfile) -> None:
        cancelled = threading.Event()

        def off_and_on() -> None:
            usb_path = self._find_usb_path()
            try:
                self._state_file.write_text(usb_path)
            except OSError as error:
                raise PowerUnavailable(
                    f"{self._state_file} cannot be written: {error.strerror or error}"
                ) from None
            try:
                _write_authorized(self._devices_dir / usb_path / "authorized", "0")
            except PowerUnavailable:
                self._state_file.unlink()
                raise
            cancelled.wait(USB_OFF_S)
            self._switch_on(usb_path)

        work = asyncio.ensure_future(run_in_thread(off_and_on, "power"))
        try:
            await asyncio.wait((work,))
        finally:
            cancelled.set()  # also after cancellation the device is switched on again
            await asyncio.wait((work,), timeout=USB_ON_TIMEOUT_S)
        work.result()

    async def power_on(self, driver: DriverProfile) -> None:
        await self.power_cycle(driver)

    async def restore(self) -> str:
        """Switch on the device that a killed process has left off; return its name, "" if there is none.

        Raises PowerUnavailable.
        """

        def switch_on() -> str:
            try:
                usb_path = self._state_file.read_text("ascii", "replace")
            except FileNotFoundError:
                return ""
            except OSError as error:
                raise PowerUnavailable(
                    f"{self._state_file} cannot be read: {error.strerror or error}"
                ) from None
            is_valid = _USB_PATH.fullmatch(usb_path) is not None
            if not (
                is_valid and (self._devices_dir / usb_path).exists()
            ):  # unplugged, or the write was cut off
                self._state_file.unlink(missing_ok=True)
                return ""
            self._switch_on(usb_path)
            return f"USB device {usb_path}"

        return await run_in_thread(switch_on, "power")

    def _switch_on(self, usb_path: str) -> None:
        _write_authorized(self._devices_dir / usb_path / "authorized", "1")
        with contextlib.suppress(OSError):  # then the next start writes "1" again, which is harmless
            self._state_file.unlink()

    def _find_usb_path(self) -> str:
        node = self._current_port()
        port = None if node is None else find_usb_port(node, self._root)
        if port is None:
            raise PowerUnavailable("the port of the module is not on USB, so the USB switch cannot be used")
        return port.device.usb_path


def _write_authorized(authorized: Path, value: str) -> None:
    try:
        authorized.write_text(value)
    except PermissionError:
        raise PowerUnavailable(
            f"permission to write {authorized} is denied; a udev rule must give it to the agent's user "
            "(see README.md beside agent.toml)"
        ) from None
    except OSError as error:
        raise PowerUnavailable(f"{authorized} cannot be written: {error.strerror or error}") from None


def find_gpio_chip(gpiod: Any, chip: str, devices: Path = Path("/dev")) -> str:
    """Return the path of a chip; a name without a slash is its label. Raises PowerUnavailable.

    Labels stay, where numbers depend on the kernel: the header of a Raspberry Pi 5 is pinctrl-rp1, which was
    gpiochip4 and became gpiochip0.
    """
    if chip.startswith("/"):
        return chip
    labels: dict[str, list[str]] = {}
    forbidden = ""
    for path in sorted(map(str, devices.glob("gpiochip*"))):
        try:
            with gpiod.Chip(path) as opened:
                labels.setdefault(opened.get_info().label, []).append(path)
        except PermissionError:
            forbidden = path
        except (OSError, ValueError):  # it was removed, or is none
            continue
    found = labels.get(chip, [])
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        raise PowerUnavailable(
            f"{' and '.join(found)} all have the label {chip} (recovery.gpio_chip); write the path of one"
        )
    if forbidden:
        raise _forbidden_chip(forbidden)
    known = f"; there are {', '.join(labels)}" if labels else "; there is no GPIO chip at all"
    raise PowerUnavailable(f"there is no GPIO chip with the label {chip} (recovery.gpio_chip){known}")


def _forbidden_chip(chip: str) -> PowerUnavailable:
    return PowerUnavailable(
        f"permission to open {chip} is denied; put the agent's user into its group (gpio) and allow "
        "the device in the unit (see README.md beside agent.toml)"
    )


def _import_gpiod() -> Any:
    """Return the package gpiod. Raises PowerUnavailable if it is missing or too old."""
    try:
        import gpiod  # noqa: PLC0415  (an extra, loaded only if it is used)
        import gpiod.line  # noqa: PLC0415  (an extra, loaded only if it is used)
    except ImportError:
        raise PowerUnavailable(
            'recovery.power "gpio" needs the Python package gpiod 2: pip install "modem-agent[gpio]"'
        ) from None
    if not hasattr(gpiod, "request_lines"):
        raise PowerUnavailable('recovery.power "gpio" needs version 2 of the Python package gpiod')
    return gpiod
