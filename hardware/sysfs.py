"""Reads USB devices and their serial ports from /sys/class/tty, /sys/bus/usb/devices and /dev/serial.

Nothing here writes. `root` is the root of the file system; a test passes a directory tree instead.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from pdu.record import Record

ROOT = Path("/")


class UsbDevice(Record):
    """A USB device."""

    usb_path: str
    """Bus and ports as the kernel writes them: `1-1.2`. It is the same after the device was disconnected."""
    vendor: str
    product: str
    serial: str
    """Often the same for all modules of a maker."""
    description: str
    """Manufacturer and product name."""

    @property
    def usb_id(self) -> str:
        """`1e0e:9001`."""
        return f"{self.vendor}:{self.product}"


class UsbPort(Record):
    """A tty on one interface of a USB device."""

    node: Path
    """`/dev/ttyUSB2`; the number depends on the order of plugging in."""
    device: UsbDevice
    interface: int
    """bInterfaceNumber."""
    interface_class: str
    """Class, subclass and protocol of the interface: `ff/02/02`."""

    @property
    def is_present(self) -> bool:
        """True if the device node exists; udev may not have made it yet, and a container may not have it."""
        return self.node.exists()


def list_usb_ports(root: Path = ROOT) -> list[UsbPort]:
    """Return all ttys on USB, sorted by USB path and interface number."""
    found = []
    with contextlib.suppress(OSError), os.scandir(root / "sys/class/tty") as entries:
        for entry in entries:
            with contextlib.suppress(OSError, ValueError):
                if "/usb" in os.readlink(entry.path):  # noqa: PTH115  (a Path each would cost more)
                    found.append(_read_usb_port(root, Path(entry.path).resolve(strict=True)))
    return sorted(
        (port for port in found if port is not None), key=lambda port: (port.device.usb_path, port.interface)
    )


def find_usb_port(node: Path, root: Path = ROOT) -> UsbPort | None:
    """Return the port of a device path, links followed; None if it is not a tty on USB."""
    with contextlib.suppress(OSError):
        name = node.resolve(strict=True).name
        return next((port for port in list_usb_ports(root) if port.node.name == name), None)
    return None


def list_usb_devices(root: Path = ROOT) -> list[UsbDevice]:
    """Return all USB devices, also those without a tty, sorted by USB path."""
    found = []
    with contextlib.suppress(OSError), os.scandir(root / "sys/bus/usb/devices") as entries:
        found = [Path(entry.path) for entry in entries]
    return sorted(_read_usb_devices(found), key=lambda device: device.usb_path)


def find_udev_links(node: Path, root: Path = ROOT) -> tuple[Path | None, Path | None]:
    """Return the by-id and the by-path link of udev to a port; None for a link that does not exist."""
    return _find_link(root / "dev/serial/by-id", node), _find_link(root / "dev/serial/by-path", node)


def _read_usb_devices(folders: list[Path]) -> Iterator[UsbDevice]:
    for folder in folders:
        with contextlib.suppress(OSError):  # the folder also has interfaces, which have no idVendor
            yield _read_usb_device(folder)


def _read_usb_port(root: Path, tty: Path) -> UsbPort | None:
    """Return the port of a tty folder such as `…/1-1.2/1-1.2:1.2/ttyUSB2/tty/ttyUSB2`, or None.

    cdc-acm has one folder less between interface and tty.
    """
    interface = next((folder for folder in tty.parents if (folder / "bInterfaceNumber").exists()), None)
    if interface is None:
        return None
    kind = (
        _read_attribute(interface / f"bInterface{part}", default="")
        for part in ("Class", "SubClass", "Protocol")
    )
    return UsbPort(
        node=root / "dev" / tty.name,
        device=_read_usb_device(interface.parent),
        interface=int(_read_attribute(interface / "bInterfaceNumber"), 16),
        interface_class="/".join(kind),
    )


def _read_usb_device(folder: Path) -> UsbDevice:
    words = (_read_attribute(folder / name, default="") for name in ("manufacturer", "product"))
    return UsbDevice(
        usb_path=folder.name,
        vendor=_read_attribute(folder / "idVendor"),
        product=_read_attribute(folder / "idProduct"),
        serial=_read_attribute(folder / "serial", default=""),
        description=" ".join(filter(None, words)),
    )


def _read_attribute(file: Path, default: str | None = None) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        if default is None:
            raise
        return default


def _find_link(folder: Path, node: Path) -> Path | None:
    with contextlib.suppress(OSError):
        return next((link for link in sorted(folder.iterdir()) if link.resolve() == node.resolve()), None)
    return None
