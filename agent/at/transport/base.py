"""The wire: octets between us and a module, over a serial port, a TCP socket, or memory.

A wire never blocks and never waits: `write` keeps what cannot be written yet, `close` throws it away. What
stays unwritten for `WRITE_S` means that the other end has stopped reading (CTS dropped, adapter hung): the
wire is lost then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

WRITE_TIMEOUT_S = 10.0
"""Longest that an octet may wait to be written. At 9600 baud the longest body needs 0.4 s."""


class PortState:
    """What is known of a port from one opening to the next."""

    def __init__(self, baud_rates: Sequence[int] = ()) -> None:
        """`rates`: those to be tried until the module answers; none where the rate is given."""
        self.baud_rates = list(baud_rates)
        self.is_in_data_mode = False
        """PPP frames were heard there last."""
        self.module_sleeps = False
        """The module there has missed the first octets after a silence."""

    def prefer_baud(self, baud: int) -> None:
        """Begin with this rate next time."""
        if baud in self.baud_rates:
            self.baud_rates.remove(baud)
            self.baud_rates.insert(0, baud)


class TransportReader(Protocol):
    """Who reads a wire."""

    def data_received(self, data: bytes) -> None:
        """Octets came."""

    def connection_lost(self, reason: str) -> None:
        """The wire is gone by itself; told once, with a sentence, and not after `close`."""


class Transport(Protocol):
    """An open wire."""

    def write(self, data: bytes) -> None:
        """Write, or keep to be written; never blocks. Does nothing on a wire that is gone."""

    def close(self) -> None:
        """Let go of the port at once, with what has not been written."""

    async def wait_closed(self) -> None:
        """Wait until the port can be opened again, a few seconds at the most."""


@runtime_checkable
class SerialTransport(Transport, Protocol):
    """A wire that has a rate, and whose port is remembered."""

    port_state: PortState

    def set_baud(self, baud: int) -> None:
        """Change the rate, in bits per second."""


TransportOpener = Callable[[TransportReader], Awaitable[Transport]]
"""Opens a port; raises PortUnavailable."""


class PortUnavailable(Exception):  # noqa: N818  (reads as the sentence it is)
    """A port that cannot be opened now. The text names the port, who holds it, and what to do."""

    def __init__(self, kind: str, message: str) -> None:
        """`kind` is "absent", "busy", "forbidden" or "ambiguous"."""
        super().__init__(message)
        self.kind = kind


class WriteWatchdog:
    """Watches that what waits to be written goes out in time."""

    def __init__(self, on_timeout: Callable[[], None]) -> None:
        """`stuck` is called once `WRITE_S` after the first octet began to wait."""
        self._on_timeout = on_timeout
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Something could not be written yet."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_TIMEOUT_S, self._on_timeout)

    def stop(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


WRITE_TIMEOUT_REASON = (
    f"nothing could be written for {WRITE_TIMEOUT_S:.0f} s: the other end has stopped reading"
)
