"""What the kernel and udev tell of serial ports: /sys/class/tty, /sys/bus/usb/devices, /dev/serial.

Only reads. `root` is the root of the file system, so that a tree of files can stand for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """A device on USB."""

    usb_path: str
    """Where it is plugged in, as the kernel writes it: `1-1.2`. It stays when the device comes back."""
    vendor: str
    product: str
    serial: str
    """Makers of modules often give all the same."""
    description: str
    """How it calls itself."""

    @property
    def usb_id(self) -> str:
        """`1e0e:9001`."""
        return f"{self.vendor}:{self.product}"


@dataclass(frozen=True, slots=True)
class UsbPort:
    """A tty on one interface of a USB device."""

    node: Path
    """`/dev/ttyUSB2`; the number says nothing about the module."""
    device: UsbDevice
    interface: int
    """bInterfaceNumber."""
    interface_class: str
    """Class, subclass and protocol of the interface: `ff/02/02`."""

    @property
    def is_present(self) -> bool:
        """Whether the node exists: not yet, or in a container not at all."""
        return self.node.exists()


def list_usb_ports(root: Path = ROOT) -> list[UsbPort]:
    """All ttys on USB, by where they are plugged in and interface."""
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
    """What a device path stands for, links followed; None when it is no tty on USB."""
    with contextlib.suppress(OSError):
        name = node.resolve(strict=True).name
        return next((port for port in list_usb_ports(root) if port.node.name == name), None)
    return None


def list_usb_devices(root: Path = ROOT) -> list[UsbDevice]:
    """All devices on USB, those without a tty included, by where they are plugged in."""
    found = []
    with contextlib.suppress(OSError), os.scandir(root / "sys/bus/usb/devices") as entries:
        found = [Path(entry.path) for entry in entries]
    return sorted(_read_usb_devices(found), key=lambda device: device.usb_path)


def find_udev_links(node: Path, root: Path = ROOT) -> tuple[Path | None, Path | None]:
    """The link of udev to a port by what it is, and the one by where it is plugged in."""
    return _find_link(root / "dev/serial/by-id", node), _find_link(root / "dev/serial/by-path", node)


def _read_usb_devices(folders: list[Path]) -> Iterator[UsbDevice]:
    for folder in folders:
        with contextlib.suppress(OSError):  # interfaces are there as well, without idVendor
            yield _read_usb_device(folder)


def _read_usb_port(root: Path, tty: Path) -> UsbPort | None:
    """Climb from `…/1-1.2/1-1.2:1.2/ttyUSB2/tty/ttyUSB2` to the interface; cdc-acm has a step less."""
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
