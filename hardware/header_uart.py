"""The UART on the header of a Raspberry Pi, where a HAT is connected. Its name depends on the model.

The link /dev/serial0 leads to it, except on the Raspberry Pi 5 and its relatives (BCM2712). There the link
leads to ttyAMA10, the three-pin plug for debugging between the HDMI ports, and the header has ttyAMA0.
Source: the page "Configure UARTs" of Raspberry Pi's documentation, and the README of its device tree
overlays.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from hardware import serial_console
from hardware.sysfs import ROOT
from pdu.record import Record

_DEVICE_TREE = "proc/device-tree"
_BCM2712_MODEL = re.compile(r"Raspberry Pi (Compute Module )?5(00)?\b")
_DEBUG_TTY = "ttyAMA10"
_UART_NAMES = ("serial0", "ttyAMA0", "ttyS0")
"""Names by which the UART on the header of some model is known."""
_CONFIG_FILES = ("boot/firmware/config.txt", "boot/config.txt")


class HeaderUart(Record):
    """The UART on the header of this Raspberry Pi."""

    node: str
    model: str
    """`Raspberry Pi 5`, or `Raspberry Pi` for all earlier models."""
    setting: str
    """The line in config.txt that enables it."""


def find_header_uart(root: Path = ROOT) -> HeaderUart | None:
    """Return the UART on the header; None if this machine is not a Raspberry Pi. Reads the device tree."""
    model = _read_texts(root / _DEVICE_TREE / "model")[0]
    if not model.startswith("Raspberry Pi"):
        return None
    if _BCM2712_MODEL.match(model) or "brcm,bcm2712" in _read_texts(root / _DEVICE_TREE / "compatible"):
        return HeaderUart("/dev/ttyAMA0", "Raspberry Pi 5", "dtparam=uart0=on")
    return HeaderUart("/dev/serial0", "Raspberry Pi", "enable_uart=1")


def describe_header_uart(root: Path = ROOT) -> str:
    """Return the port of a HAT on this machine and what must be done first, as part of a sentence."""
    uart = find_header_uart(root)
    if uart is None:
        return '"/dev/serial0" on a Raspberry Pi, "/dev/ttyAMA0" on a Raspberry Pi 5'
    node = root / uart.node.removeprefix("/")
    steps = serial_console.fix_hint(node, root) if node.exists() else _enable_hint(uart, root)
    return f'"{uart.node}" on this {uart.model}' + (f"; first {steps}" if steps else "")


def explain_debug_plug(node: Path, root: Path = ROOT) -> str:
    """Return a sentence if a port is the debug plug of a Raspberry Pi 5 and not its header; else ""."""
    uart = find_header_uart(root)
    if uart is None or uart.model != "Raspberry Pi 5":
        return ""
    if Path(os.path.realpath(node)).name != _DEBUG_TTY:  # Path.resolve raises on a link to itself
        return ""
    return f"{node} is the debug plug of this {uart.model}; a HAT on its header is {uart.node}"


def explain_absent_uart(node: Path, root: Path = ROOT) -> str:
    """Return what to do if a UART of the header does not exist, as part of a sentence; "" for other ports."""
    uart = find_header_uart(root)
    if uart is None or node.name not in _UART_NAMES:
        return ""
    parts = []
    if node.name != Path(uart.node).name:
        parts.append(f"the UART on the header of this {uart.model} is {uart.node}")
    if not (root / uart.node.removeprefix("/")).exists():
        parts.append(_enable_hint(uart, root))
    return "; ".join(parts)


def _enable_hint(uart: HeaderUart, root: Path) -> str:
    file = next((file for file in _CONFIG_FILES if (root / file).exists()), _CONFIG_FILES[0])
    return f"enable it with the line {uart.setting} in /{file} and reboot"


def _read_texts(file: Path) -> list[str]:
    """Return the texts of a property of the device tree, each of which ends with a NUL; [""] without it."""
    try:
        return file.read_text(errors="replace").split("\0")
    except OSError:
        return [""]
