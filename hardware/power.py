"""The power of a module: its power key or reset line on a GPIO, or the switch that the kernel has for USB.

A key is pulsed and nobody sees what came of it: on may have become off. Who asks finds out by whether the
module answers. Whatever ends a pulse early, the key is let go; for a killed process the kernel does it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hardware.blocking import run_in_thread
from hardware.profile import DriverProfile
from hardware.quirks import Quirk
from hardware.sysfs import ROOT, find_usb_port

DEFAULT_ON_PULSE_S, DEFAULT_OFF_PULSE_S, DEFAULT_OFF_TO_ON_S, DEFAULT_RESET_PULSE_S = 1.0, 3.0, 10.0, 0.5
"""Where neither profile nor configuration says more. Most take 0.5 to 1 s for on and up to 3 s for off; the
gap lets one that is going off end in peace (SIM7000: 1.8 to 6.9 s)."""
USB_OFF_S = 2.0
_USB_PATH = re.compile(r"\d+-\d+(\.\d+)*")
"""Where a device is plugged in, as the kernel writes it."""
USB_ON_TIMEOUT_S = 2.0
"""How long switching USB on again is waited for when everything is to end; it goes on behind our back."""


class PowerUnavailable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The power cannot be switched; the text is one sentence that says what is missing."""


class PowerSwitch(Protocol):
    """Something that can take the power from a module and give it back."""

    name: str
    """For people."""
    is_toggle: bool
    """Whether a pulse may leave the module off."""

    async def power_cycle(self, driver: DriverProfile) -> None:
        """Off and on again. Raises PowerUnusable."""

    async def power_on(self, driver: DriverProfile) -> None:
        """On, for one that may be off. Raises PowerUnusable."""


@dataclass(frozen=True, slots=True)
class GpioLine:
    """A line of a GPIO chip and what it is connected to."""

    chip: str
    offset: int
    active_low: bool = False
    drives: str = "power-key"
    """Or "reset"."""
    on_s: float = 0.0
    """Length of the pulse that switches on, or resets; 0: what the profile says."""
    off_s: float = 0.0

    def __str__(self) -> str:
        return f"{'reset line' if self.drives == 'reset' else 'power key'} on {self.chip} line {self.offset}"


class PowerConfig(Protocol):
    """What the operator says: the keys of ``[recovery]``."""

    @property
    def power(self) -> str: ...
    @property
    def gpio_chip(self) -> Path: ...
    @property
    def gpio_line(self) -> int: ...
    @property
    def gpio_active_low(self) -> bool: ...
    @property
    def gpio_drives(self) -> str: ...
    @property
    def pulse_on_s(self) -> float: ...
    @property
    def pulse_off_s(self) -> float: ...


def make_power_switch(
    config: PowerConfig, current_port: Callable[[], Path | None], state_file: Path
) -> PowerSwitch | None:
    """What the operator has named, None for nothing; `node` and `note` as for `Usb`. Raises PowerUnusable."""
    if config.power == "usb":
        return UsbPowerSwitch(current_port, state_file)
    if config.power == "gpio":
        return GpioPowerSwitch(
            GpioLine(
                str(config.gpio_chip),
                config.gpio_line,
                config.gpio_active_low,
                config.gpio_drives,
                config.pulse_on_s,
                config.pulse_off_s,
            )
        )
    return None


class GpioPowerSwitch:
    """A line by way of the kernel's GPIO character device."""

    def __init__(self, line: GpioLine) -> None:
        """Raises PowerUnusable where package, chip or line is missing."""
        self._line = line
        self._gpiod = _import_gpiod()
        self.name = f"the {line}"
        self.is_toggle = line.drives != "reset"
        self._check_line()

    async def power_cycle(self, driver: DriverProfile) -> None:
        line = self._line
        if line.drives == "reset":
            if Quirk.RESET_LINE_UNSAFE in driver.quirks:
                raise PowerUnavailable(
                    "the reset line may leave this module beyond recovery and is never used"
                )
            self.is_toggle = Quirk.RESET_LINE_IS_POWER_KEY in driver.quirks
            await self._pulse(line.on_s or driver.reset_line_s or DEFAULT_RESET_PULSE_S)
            return
        await self._pulse(line.off_s or driver.power_key_off_s or DEFAULT_OFF_PULSE_S)
        await asyncio.sleep(driver.power_off_s or DEFAULT_OFF_TO_ON_S)
        await self.power_on(driver)

    async def power_on(self, driver: DriverProfile) -> None:
        await self._pulse(self._line.on_s or driver.power_key_on_s or DEFAULT_ON_PULSE_S)

    async def _pulse(self, seconds: float) -> None:
        line, gpiod = self._line, self._gpiod
        settings = gpiod.LineSettings(
            direction=gpiod.line.Direction.OUTPUT,
            active_low=line.active_low,
            output_value=gpiod.line.Value.INACTIVE,
        )

        def take() -> Any:
            return gpiod.request_lines(line.chip, consumer="modem-agent", config={line.offset: settings})

        try:
            held = await run_in_thread(take, "power", on_abandoned=lambda held: held.release())
            try:
                held.set_value(line.offset, gpiod.line.Value.ACTIVE)  # one ioctl, it waits for nothing
                await asyncio.sleep(seconds)
            finally:
                with contextlib.suppress(OSError):
                    held.set_value(line.offset, gpiod.line.Value.INACTIVE)
                held.release()
        except (OSError, ValueError) as error:
            raise PowerUnavailable(f"the {line} cannot be driven: {error}") from None

    def _check_line(self) -> None:
        """Whether chip and line are there."""
        chip = self._line.chip
        try:
            with self._gpiod.Chip(chip) as opened:
                count = opened.get_info().num_lines
        except FileNotFoundError:
            raise PowerUnavailable(f"there is no GPIO chip {chip} (recovery.gpio_chip)") from None
        except PermissionError:
            raise PowerUnavailable(
                f"{chip} may not be opened; put the agent's user into its group (gpio) and allow the device "
                "in the unit (see README.md beside agent.toml)"
            ) from None
        except (OSError, ValueError) as error:
            raise PowerUnavailable(f"{chip} is no GPIO chip (recovery.gpio_chip): {error}") from None
        if self._line.offset >= count:
            raise PowerUnavailable(
                f"{chip} has {count} lines, no line {self._line.offset} (recovery.gpio_line)"
            )


class UsbPowerSwitch:
    """The kernel's switch for a device on USB: `authorized`. It takes no current away, but all else.

    It stays as it is when the process that wrote it is killed, and then the module has no ports any more by
    which it could be known. So its place is noted in a file for as long as it is off.
    """

    is_toggle = False
    name = "the kernel's switch for its USB device"

    def __init__(self, current_port: Callable[[], Path | None], state_file: Path, root: Path = ROOT) -> None:
        """`node` is the port the module is on, or was on last; `note` a file that may be written."""
        self._current_port = current_port
        self._state_file = state_file
        self._devices_dir = root / "sys/bus/usb/devices"
        self._root = root

    async def power_cycle(self, driver: DriverProfile) -> None:
        early = threading.Event()

        def off_and_on() -> None:
            place = self._find_usb_path()
            try:
                self._state_file.write_text(place)
            except OSError as error:
                raise PowerUnavailable(
                    f"{self._state_file} cannot be written: {error.strerror or error}"
                ) from None
            try:
                _write_authorized(self._devices_dir / place / "authorized", "0")
            except PowerUnavailable:
                self._state_file.unlink()
                raise
            early.wait(USB_OFF_S)
            self._switch_on(place)

        work = asyncio.ensure_future(run_in_thread(off_and_on, "power"))
        try:
            await asyncio.wait((work,))
        finally:
            early.set()  # whatever ends this early, it is switched on again
            await asyncio.wait((work,), timeout=USB_ON_TIMEOUT_S)
        work.result()

    async def power_on(self, driver: DriverProfile) -> None:
        await self.power_cycle(driver)

    async def restore(self) -> str:
        """Switch on again what a killed process has left off; its place, empty where there was nothing.

        Raises PowerUnusable.
        """

        def on() -> str:
            try:
                place = self._state_file.read_text("ascii", "replace")
            except FileNotFoundError:
                return ""
            except OSError as error:
                raise PowerUnavailable(
                    f"{self._state_file} cannot be read: {error.strerror or error}"
                ) from None
            there = _USB_PATH.fullmatch(place) is not None and (self._devices_dir / place).exists()
            if not there:  # unplugged since, or begun and not written
                self._state_file.unlink(missing_ok=True)
                return ""
            self._switch_on(place)
            return place

        return await run_in_thread(on, "power")

    def _switch_on(self, usb_path: str) -> None:
        _write_authorized(self._devices_dir / usb_path / "authorized", "1")
        with contextlib.suppress(OSError):  # then the next start writes "1" once more, which changes nothing
            self._state_file.unlink()

    def _find_usb_path(self) -> str:
        node = self._current_port()
        port = None if node is None else find_usb_port(node, self._root)
        if port is None:
            raise PowerUnavailable("the port of the module is not on USB, so USB cannot switch it")
        return port.device.usb_path


def _write_authorized(authorized: Path, value: str) -> None:
    try:
        authorized.write_text(value)
    except PermissionError:
        raise PowerUnavailable(
            f"{authorized} may not be written; a udev rule must give it to the agent's user "
            "(see README.md beside agent.toml)"
        ) from None
    except OSError as error:
        raise PowerUnavailable(f"{authorized} cannot be written: {error.strerror or error}") from None


def _import_gpiod() -> Any:
    """The library, only where it is used."""
    try:
        import gpiod  # noqa: PLC0415  (an extra: nobody else needs it in memory)
        import gpiod.line  # noqa: PLC0415  (the same)
    except ImportError:
        raise PowerUnavailable(
            'recovery.power "gpio" needs the Python package gpiod 2: pip install "modem-agent[gpio]"'
        ) from None
    if not hasattr(gpiod, "request_lines"):
        raise PowerUnavailable('recovery.power "gpio" needs version 2 of the Python package gpiod')
    return gpiod
