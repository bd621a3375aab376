"""Choose the transport for the port that the configuration names."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agent.at.transport.base import Transport, TransportOpener, TransportReader

COMMON_BAUD_RATES = (115_200, 9_600, 57_600, 38_400, 19_200, 230_400, 460_800, 921_600)
"""The baud rates that `baud = "auto"` tries, the most common ones first."""


def make_opener(port: str, baud: int | Literal["auto"] = 115200, root: Path = Path("/")) -> TransportOpener:
    """Return an opener for a port: "auto", a device path, or `socket://host:port`.

    The port "auto" is detected at each opening. With the rate "auto" common rates are tried until a module
    answers. Raises ValueError for an invalid socket address.
    """
    if port.startswith("socket://"):
        host, number = parse_socket_address(port)

        async def connect(reader: TransportReader) -> Transport:
            from agent.at.transport.tcp import open_tcp  # noqa: PLC0415  (only one kind of transport is used)

            return await open_tcp(host, number, reader)

        return connect

    from agent.at.transport.port_opener import PortOpener  # noqa: PLC0415  (a socket needs no profiles)

    return PortOpener(port, COMMON_BAUD_RATES if baud == "auto" else baud, root)


def parse_socket_address(port: str) -> tuple[str, int]:
    """Return host and port number of `socket://host:port`. Raises ValueError with a sentence."""
    host, colon, number = port.removeprefix("socket://").rpartition(":")
    if not colon or not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{port} is not a valid socket address; the form is socket://host:port")
    return host.strip("[]"), int(number)
