"""The wire: octets between us and a module, over a serial port, a TCP socket, or memory.

A wire never blocks and never waits: `write` keeps what cannot be written yet, `close` throws it away. What
stays unwritten for `WRITE_S` means that the other end has stopped reading (CTS dropped, adapter hung): the
wire is lost then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

WRITE_S = 10.0
"""Longest that an octet may wait to be written. At 9600 baud the longest body needs 0.4 s."""


RATES = (115_200, 9_600, 57_600, 38_400, 19_200, 230_400, 460_800, 921_600)
"""What UARTs of modules are set to, the usual ones first; `baud = "auto"` tries them."""


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


def opener(port: str, baud: int | Literal["auto"] = 115200, root: Path = Path("/")) -> Opener:
    """How to open what a configuration names: "auto", a device path, or `socket://host:port`.

    A port "auto" is looked for anew at each opening; at a rate "auto" the usual ones are tried until a module
    answers. Raises ValueError for a socket address that cannot be one.
    """
    if port.startswith("socket://"):
        host, number = socket_address(port)

        async def connect(reader: WireReader) -> Wire:
            from agent.at.socket_wire import open_socket  # noqa: PLC0415  (one kind of wire is used, not all)

            return await open_socket(host, number, reader)

        return connect

    from agent.at.port import PortOpener  # noqa: PLC0415  (a socket needs no profiles)

    return PortOpener(port, RATES if baud == "auto" else baud, root)


def socket_address(port: str) -> tuple[str, int]:
    """Host and port number of `socket://host:port`; ValueError with a sentence."""
    host, colon, number = port.removeprefix("socket://").rpartition(":")
    if not colon or not host or not number.isdecimal() or not 0 < int(number) < 65536:
        raise ValueError(f"{port} is no socket address; it looks like socket://host:port")
    return host.strip("[]"), int(number)


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
