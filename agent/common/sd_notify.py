"""The interface to systemd: notifications (sd_notify(3)) and the environment variables of a service."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

SdNotify = Callable[[str], None]
"""Sends assignments such as ``READY=1`` to systemd, several of them joined by line feeds."""


def make_notifier(environ: Mapping[str, str]) -> SdNotify:
    """Return a function that notifies systemd. It does nothing if systemd did not start the agent."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda message: None
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]

    def notify(message: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            client.connect(address)
            client.send(message.encode())

    return notify


def read_runtime_directories(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the directories that systemd creates at each start (RuntimeDirectory= in systemd.exec(5))."""
    return tuple(Path(name) for name in environ.get("RUNTIME_DIRECTORY", "").split(":") if name)


def read_watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two watchdog notifications: half of the time that systemd allows.

    Return None if systemd expects none from the process `pid` (WATCHDOG_USEC, WATCHDOG_PID).
    """
    try:
        timeout_us = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    if timeout_us <= 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return timeout_us / 2_000_000
