"""Opening a serial port by name or by what it is, and what is remembered of it.

One `PortOpener` lives as long as the agent: it knows the module that was used last, the rate at which it
answered, and whether somebody else's data call was met.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from agent.at.wire import PortMemory, PortUnavailable, Wire, WireReader
from hardware.identify import Place
from hardware.ports import Finder, NoPort, login, place


class PortOpener:
    """Opens one port again and again; an `Opener`."""

    def __init__(self, port: str, baud: int | Sequence[int], root: Path = Path("/")) -> None:
        """`port`: "auto" or a device path; `baud`: the rate, or several to try."""
        self._port = port
        self._baud = baud
        self._root = root
        self._finder = Finder(root)
        self._node: Path | None = None
        self.memory = PortMemory(() if isinstance(baud, int) else baud)

    async def __call__(self, reader: WireReader) -> Wire:
        """Open it. Raises PortUnavailable."""
        from agent.at.serial_wire import open_serial  # noqa: PLC0415  (one kind of wire is used, not all)

        auto = self._port == "auto"
        try:
            now = asyncio.get_running_loop().time()
            node = self._finder.find(now) if auto else Path(self._port)
            login(node, self._root)
        except NoPort as reason:
            raise PortUnavailable(reason.kind, str(reason)) from None
        self._node = node
        rate = self._baud if isinstance(self._baud, int) else self.memory.rates[0]
        return await open_serial(str(node) if auto else self._port, rate, reader, self.memory)

    @property
    def node(self) -> Path | None:
        """The device path that was opened last, or tried."""
        return self._node

    def place(self) -> Place:
        """What the port that was opened last says of the module behind it."""
        return Place() if self._node is None else place(self._node, self._root)
