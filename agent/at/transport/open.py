"""How to open what a configuration names as the port of a module."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agent.at.transport.base import Transport, TransportOpener, TransportReader

COMMON_BAUD_RATES = (115_200, 9_600, 57_600, 38_400, 19_200, 230_400, 460_800, 921_600)
"""What UARTs of modules are set to, the usual ones first; `baud = "auto"` tries them."""


def make_opener(port: str, baud: int | Literal["auto"] = 115200, root: Path = Path("/")) -> TransportOpener:
    """How to open what a configuration names: "auto", a device path, or `socket://host:port`.

    A port "auto" is looked for anew at each opening; at a rate "auto" the usual ones are tried until a module
    answers. Raises ValueError for a socket address that cannot be one.
    """
    if port.startswith("socket://"):
        host, number = parse_socket_address(port)

        async def connect(reader: TransportReader) -> Transport:
            from agent.at.transport.tcp import open_tcp  # noqa: PLC0415  (one kind of wire is used, not all)

            return await open_tcp(host, number, reader)

        return connect

    from agent.at.transport.port_opener import PortOpener  # noqa: PLC0415  (a socket needs no profiles)

    return PortOpener(port, COMMON_BAUD_RATES if baud == "auto" else baud, root)


def parse_socket_address(port: str) -> tuple[str, int]:
    """Host and port number of `socket://host:port`; ValueError with a sentence."""
    host, colon, number = port.removeprefix("socket://").rpartition(":")
    if not colon or not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{port} is no socket address; it looks like socket://host:port")
    return host.strip("[]"), int(number)
