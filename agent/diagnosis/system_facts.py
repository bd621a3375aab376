"""Facts about the device, and the state of the service that systemd reports."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from agent.version import VERSION
from hardware.sysfs import ROOT, list_usb_devices, list_usb_ports

COMMAND_TIMEOUT_S = 5.0
"""systemctl answers within a second, or systemd does not work."""
_PROPERTIES = (
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "UnitFileState",
    "NRestarts",
)


def read_unit(unit: str) -> dict[str, str]:
    """Return properties of a unit; empty if systemd does not run here."""
    if not Path("/run/systemd/system").is_dir():
        return {}
    try:
        shown = subprocess.run(
            ("systemctl", "show", unit, f"--property={','.join(_PROPERTIES)}"),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)


def explain_unit(unit: str, properties: dict[str, str]) -> str:
    """Return a sentence if an installed service does not run; "" if it does, or is not installed."""
    if properties.get("LoadState") != "loaded" or properties.get("ActiveState") in {"active", "activating"}:
        return ""
    result = properties.get("Result", "success")
    why = "" if result == "success" else f" ({result}, exit status {properties.get('ExecMainStatus')})"
    enabled = "" if properties.get("UnitFileState") == "enabled" else "; it does not start at boot either"
    return f"{unit} does not run: {properties.get('ActiveState')}{why}{enabled}"


def read_system_facts(root: Path = ROOT) -> dict[str, Any]:
    """Return facts about this device as JSON values. Nothing of them names a person or a place."""
    return {
        "modem_agent": VERSION,
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "system": _read_release(root),
        "board": _read_text(root / "proc/device-tree/model").strip("\0\n "),
        "uptime_s": _read_text(root / "proc/uptime").partition(".")[0],
        "load": list(os.getloadavg()),
        "usb": [
            f"{device.usb_path} {device.usb_id} {device.description}" for device in list_usb_devices(root)
        ],
        "ports": [
            f"{port.node} {port.device.usb_id} interface {port.interface}" for port in list_usb_ports(root)
        ],
    }


def _read_release(root: Path) -> str:
    lines = _read_text(root / "etc/os-release").splitlines()
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), "")


def _read_text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
