"""Open a serial port by name, or detect it, and remember its state.

One `PortOpener` lives as long as the agent. It knows the module that was used last, its baud rate, and
whether another program's data call was found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.at.transport.base import PortErrorKind, PortState, PortUnavailable, Transport, TransportReader
from hardware.header_uart import explain_debug_plug
from hardware.identify import PortInfo
from hardware.port_finder import PortFinder, PortSelectionError, read_port_info, refuse_login_console


class PortOpener:
    """A `TransportOpener` for one port."""

    def __init__(self, port: str, baud: int | Sequence[int], root: Path = Path("/")) -> None:
        """`port`: "auto" or a device path; `baud`: the rate, or the rates to try."""
        self._port = port
        self._baud = baud
        self._root = root
        self._finder = PortFinder(root)
        self._device_path: Path | None = None
        self.port_state = PortState(() if isinstance(baud, int) else baud)

    async def __call__(self, reader: TransportReader) -> Transport:
        """Open the port. Raises PortUnavailable."""
        from agent.at.transport.serial_port import open_serial  # noqa: PLC0415  (only one kind of transport is used)

        auto = self._port == "auto"
        try:
            now = asyncio.get_running_loop().time()
            node = self._finder.find(now) if auto else Path(self._port)
            refuse_login_console(node, self._root)
        except PortSelectionError as reason:
            raise PortUnavailable(PortErrorKind(reason.kind), str(reason)) from None
        self._device_path = node
        self.port_state.no_answer_hint = explain_debug_plug(node, self._root)
        rate = self._baud if isinstance(self._baud, int) else self.port_state.baud_rates[0]
        return await open_serial(str(node) if auto else self._port, rate, reader, self.port_state)

    @property
    def device_path(self) -> Path | None:
        """The device path of the last attempt to open."""
        return self._device_path

    def read_port_info(self) -> PortInfo:
        """Return what the system knows about the last port and the module behind it."""
        return PortInfo() if self._device_path is None else read_port_info(self._device_path, self._root)
