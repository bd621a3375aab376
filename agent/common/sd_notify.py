"""The sd_notify protocol of systemd: one datagram a message to the socket that NOTIFY_SOCKET names."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping

SdNotify = Callable[[str], None]
"""Takes assignments such as ``READY=1``, several joined by line feeds."""


def make_notifier(environ: Mapping[str, str]) -> SdNotify:
    """How to tell systemd; tells nobody where the agent was not started by it."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address:
        return lambda message: None
    if address.startswith("@"):  # a name in the abstract namespace
        address = "\0" + address[1:]

    def notify(message: str) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.connect(address)
            line.send(message.encode())

    return notify


def read_watchdog_interval_s(environ: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life: half of what systemd allows; None where it asks for none."""
    try:
        allowed = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    if allowed <= 0 or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return allowed / 2_000_000
