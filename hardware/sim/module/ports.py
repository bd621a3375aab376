"""The ports of a simulated module: its pseudo-terminal, and sockets on request.

They are one line: each client receives what the module writes, and the module executes what any client sends.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hardware.sim.module.pty import Pty
    from hardware.sim.module.socket_port import SocketPort


class LineDirection(Enum):
    """Which way bytes went, as recordings and logs of bytes write it."""

    TO_MODULE = ">"
    FROM_MODULE = "<"
    UNHEARD = "|"
    """From the module while no client had a port open."""


class ModulePorts:
    """The pseudo-terminal and the sockets of one module; `observe` sees all bytes in order."""

    def __init__(
        self,
        pty: Pty,
        sockets: Sequence[SocketPort] = (),
        observe: Callable[[LineDirection, bytes], None] = lambda _direction, _data: None,
    ) -> None:
        self.pty = pty
        self.sockets = tuple(sockets)
        self._all: tuple[Pty | SocketPort, ...] = (pty, *sockets)
        self._observe = observe
        self._receive: Callable[[bytes], None] = lambda _: None

    async def start(self, receive: Callable[[bytes], None]) -> None:
        """Offer the ports, and pass bytes from clients to `receive`. Raises OSError."""
        self._receive = receive
        self.pty.start(self._receive_from_client)
        for port in self.sockets:
            await port.start(self._receive_from_client)

    def restart(self, receive: Callable[[bytes], None]) -> None:
        """Pass bytes from clients to another module. What waits in either direction is dropped."""
        self._receive = lambda _: None
        self.plug()
        self.resume()  # reads what waits
        self.pty.discard_output()
        self._receive = receive

    @property
    def is_open(self) -> bool:
        """True while a client has a port open."""
        return any(port.is_open for port in self._all)

    def client_baud(self) -> int | None:
        """Return the rate that the client has set; None if it is unknown, as over a socket."""
        return self.pty.client_baud() if self.pty.is_open else None

    def write(self, data: bytes) -> None:
        """Write bytes of the module to all clients; never blocks."""
        self._observe(LineDirection.FROM_MODULE if self.is_open else LineDirection.UNHEARD, data)
        self.pty.write(data)
        for port in self.sockets:
            port.write(data)

    def close(self) -> None:
        """Close the ports for good."""
        for port in self._all:
            port.close()

    def pause(self) -> None:
        """Stop reading from the clients."""
        for port in self._all:
            port.pause()

    def resume(self) -> None:
        """Read from the clients again."""
        for port in self._all:
            port.resume()

    def unplug(self) -> None:
        """Remove the device: clients get a hangup."""
        for port in self._all:
            port.unplug()

    def plug(self) -> None:
        """Bring the device back."""
        for port in self._all:
            port.plug()

    def _receive_from_client(self, data: bytes) -> None:
        self._observe(LineDirection.TO_MODULE, data)
        self._receive(data)
