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

from hardware.profile import DriverProfile
from hardware.quirks import Quirk
from hardware.sysfs import ROOT, usb_port
from hardware.thread import in_thread

ON_S, OFF_S, GAP_S, RESET_S = 1.0, 3.0, 10.0, 0.5
"""Where neither profile nor configuration says more. Most take 0.5 to 1 s for on and up to 3 s for off; the
gap lets one that is going off end in peace (SIM7000: 1.8 to 6.9 s)."""
USB_OFF_S = 2.0
_PLACE = re.compile(r"\d+-\d+(\.\d+)*")
"""Where a device is plugged in, as the kernel writes it."""
WRITE_S = 2.0
"""How long switching USB on again is waited for when everything is to end; it goes on behind our back."""


class PowerUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The power cannot be switched; the text is one sentence that says what is missing."""


class Power(Protocol):
    """Something that can take the power from a module and give it back."""

    name: str
    """For people."""
    is_key: bool
    """Whether a pulse may leave the module off."""

    async def cycle(self, driver: DriverProfile) -> None:
        """Off and on again. Raises PowerUnusable."""

    async def press(self, driver: DriverProfile) -> None:
        """On, for one that may be off. Raises PowerUnusable."""


@dataclass(frozen=True, slots=True)
class Line:
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


class Rules(Protocol):
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


def switch(rules: Rules, node: Callable[[], Path | None], note: Path) -> Power | None:
    """What the operator has named, None for nothing; `node` and `note` as for `Usb`. Raises PowerUnusable."""
    if rules.power == "usb":
        return Usb(node, note)
    if rules.power == "gpio":
        return Gpio(
            Line(
                str(rules.gpio_chip),
                rules.gpio_line,
                rules.gpio_active_low,
                rules.gpio_drives,
                rules.pulse_on_s,
                rules.pulse_off_s,
            )
        )
    return None


class Gpio:
    """A line by way of the kernel's GPIO character device."""

    def __init__(self, line: Line) -> None:
        """Raises PowerUnusable where package, chip or line is missing."""
        self._line = line
        self._gpiod = _gpiod()
        self.name = f"the {line}"
        self.is_key = line.drives != "reset"
        self._look()

    async def cycle(self, driver: DriverProfile) -> None:
        line = self._line
        if line.drives == "reset":
            if Quirk.NO_RESET_LINE in driver.quirks:
                raise PowerUnusable("the reset line may leave this module beyond recovery and is never used")
            self.is_key = Quirk.RESET_LINE_IS_POWER_KEY in driver.quirks
            await self._pulse(line.on_s or driver.reset_line_s or RESET_S)
            return
        await self._pulse(line.off_s or driver.power_key_off_s or OFF_S)
        await asyncio.sleep(driver.power_off_s or GAP_S)
        await self.press(driver)

    async def press(self, driver: DriverProfile) -> None:
        await self._pulse(self._line.on_s or driver.power_key_on_s or ON_S)

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
            held = await in_thread(take, "power", abandoned=lambda held: held.release())
            try:
                held.set_value(line.offset, gpiod.line.Value.ACTIVE)  # one ioctl, it waits for nothing
                await asyncio.sleep(seconds)
            finally:
                with contextlib.suppress(OSError):
                    held.set_value(line.offset, gpiod.line.Value.INACTIVE)
                held.release()
        except (OSError, ValueError) as error:
            raise PowerUnusable(f"the {line} cannot be driven: {error}") from None

    def _look(self) -> None:
        """Whether chip and line are there."""
        chip = self._line.chip
        try:
            with self._gpiod.Chip(chip) as opened:
                count = opened.get_info().num_lines
        except FileNotFoundError:
            raise PowerUnusable(f"there is no GPIO chip {chip} (recovery.gpio_chip)") from None
        except PermissionError:
            raise PowerUnusable(
                f"{chip} may not be opened; put the agent's user into its group (gpio) and allow the device "
                "in the unit (see README.md beside agent.toml)"
            ) from None
        except (OSError, ValueError) as error:
            raise PowerUnusable(f"{chip} is no GPIO chip (recovery.gpio_chip): {error}") from None
        if self._line.offset >= count:
            raise PowerUnusable(f"{chip} has {count} lines, no line {self._line.offset} (recovery.gpio_line)")


class Usb:
    """The kernel's switch for a device on USB: `authorized`. It takes no current away, but all else.

    It stays as it is when the process that wrote it is killed, and then the module has no ports any more by
    which it could be known. So its place is noted in a file for as long as it is off.
    """

    is_key = False
    name = "the kernel's switch for its USB device"

    def __init__(self, node: Callable[[], Path | None], note: Path, root: Path = ROOT) -> None:
        """`node` is the port the module is on, or was on last; `note` a file that may be written."""
        self._node = node
        self._note = note
        self._devices = root / "sys/bus/usb/devices"
        self._root = root

    async def cycle(self, driver: DriverProfile) -> None:
        early = threading.Event()

        def off_and_on() -> None:
            place = self._place()
            try:
                self._note.write_text(place)
            except OSError as error:
                raise PowerUnusable(f"{self._note} cannot be written: {error.strerror or error}") from None
            try:
                _write(self._devices / place / "authorized", "0")
            except PowerUnusable:
                self._note.unlink()
                raise
            early.wait(USB_OFF_S)
            self._on(place)

        work = asyncio.ensure_future(in_thread(off_and_on, "power"))
        try:
            await asyncio.wait((work,))
        finally:
            early.set()  # whatever ends this early, it is switched on again
            await asyncio.wait((work,), timeout=WRITE_S)
        work.result()

    async def press(self, driver: DriverProfile) -> None:
        await self.cycle(driver)

    async def put_right(self) -> str:
        """Switch on again what a killed process has left off; its place, empty where there was nothing.

        Raises PowerUnusable.
        """

        def on() -> str:
            try:
                place = self._note.read_text("ascii", "replace")
            except FileNotFoundError:
                return ""
            except OSError as error:
                raise PowerUnusable(f"{self._note} cannot be read: {error.strerror or error}") from None
            there = _PLACE.fullmatch(place) is not None and (self._devices / place).exists()
            if not there:  # unplugged since, or begun and not written
                self._note.unlink(missing_ok=True)
                return ""
            self._on(place)
            return place

        return await in_thread(on, "power")

    def _on(self, place: str) -> None:
        _write(self._devices / place / "authorized", "1")
        with contextlib.suppress(OSError):  # then the next start writes "1" once more, which changes nothing
            self._note.unlink()

    def _place(self) -> str:
        node = self._node()
        port = None if node is None else usb_port(node, self._root)
        if port is None:
            raise PowerUnusable("the port of the module is not on USB, so USB cannot switch it")
        return port.device.path


def _write(switch: Path, value: str) -> None:
    try:
        switch.write_text(value)
    except PermissionError:
        raise PowerUnusable(
            f"{switch} may not be written; a udev rule must give it to the agent's user "
            "(see README.md beside agent.toml)"
        ) from None
    except OSError as error:
        raise PowerUnusable(f"{switch} cannot be written: {error.strerror or error}") from None


def _gpiod() -> Any:
    """The library, only where it is used."""
    try:
        import gpiod  # noqa: PLC0415  (an extra: nobody else needs it in memory)
        import gpiod.line  # noqa: PLC0415  (the same)
    except ImportError:
        raise PowerUnusable(
            'recovery.power "gpio" needs the Python package gpiod 2: pip install "modem-agent[gpio]"'
        ) from None
    if not hasattr(gpiod, "request_lines"):
        raise PowerUnusable('recovery.power "gpio" needs version 2 of the Python package gpiod')
    return gpiod
