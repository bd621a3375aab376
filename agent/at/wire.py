"""The wire: octets between us and a module, over a serial port, a TCP socket, or memory.

A wire never blocks and never waits: `write` keeps what cannot be written yet, `close` throws it away. What
stays unwritten for `WRITE_S` means that the other end has stopped reading (CTS dropped, adapter hung): the
wire is lost then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, runtime_checkable

WRITE_S = 10.0
"""Longest that an octet may wait to be written. At 9600 baud the longest body needs 0.4 s."""


class PortMemory:
    """What is known of a port from one opening to the next."""

    def __init__(self, rates: Sequence[int] = ()) -> None:
        """`rates`: those to be tried until the module answers; none where the rate is given."""
        self.rates = list(rates)
        self.in_data_mode = False
        """PPP frames were heard there last."""
        self.sleeps = False
        """The module there has missed the first octets after a silence."""

    def answered_at(self, rate: int) -> None:
        """Begin with this rate next time."""
        if rate in self.rates:
            self.rates.remove(rate)
            self.rates.insert(0, rate)


class WireReader(Protocol):
    """Who reads a wire."""

    def received(self, data: bytes) -> None:
        """Octets came."""

    def hung_up(self, reason: str) -> None:
        """The wire is gone by itself; told once, with a sentence, and not after `close`."""


class Wire(Protocol):
    """An open wire."""

    def write(self, data: bytes) -> None:
        """Write, or keep to be written; never blocks. Does nothing on a wire that is gone."""

    def close(self) -> None:
        """Let go of the port at once, with what has not been written."""

    async def closed(self) -> None:
        """Wait until the port can be opened again, a few seconds at the most."""


@runtime_checkable
class SerialLine(Wire, Protocol):
    """A wire that has a rate, and whose port is remembered."""

    memory: PortMemory

    def tune(self, rate: int) -> None:
        """Change the rate, in bits per second."""


Opener = Callable[[WireReader], Awaitable[Wire]]
"""Opens a port; raises PortUnavailable."""


class PortUnavailable(Exception):  # noqa: N818  (reads as the sentence it is)
    """A port that cannot be opened now. The text names the port, who holds it, and what to do."""

    def __init__(self, kind: str, sentence: str) -> None:
        """`kind` is "absent", "busy", "forbidden" or "ambiguous"."""
        super().__init__(sentence)
        self.kind = kind


class WriteLimit:
    """Watches that what waits to be written goes out in time."""

    def __init__(self, stuck: Callable[[], None]) -> None:
        """`stuck` is called once `WRITE_S` after the first octet began to wait."""
        self._stuck = stuck
        self._timer: asyncio.TimerHandle | None = None

    def waiting(self) -> None:
        """Something could not be written yet."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WRITE_S, self._stuck)

    def written(self) -> None:
        """Nothing waits any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


STUCK = f"nothing could be written for {WRITE_S:.0f} s: the other end has stopped reading"
