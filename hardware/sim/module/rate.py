"""The two ends of a UART, each with its own idea of how fast it is (8N1).

Where they differ the other end reads rubbish: here the bits are laid on the line at the one rate and read at
the other. A module that learns its rate says nothing until it has heard an `AT`, boot lines included, and
learns anew after each start (V.250 6.2.10 has +IPR=0 for that).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardware.sim.module.pace import BITS_PER_BYTE, Pace

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.radio import Scheduler

LEARNT = re.compile(rb"AT|at")
MOST = 16
"""Bytes that are read for one that was sent; a module is not much quicker than what it listens to."""


class Line:
    """A line between a client with a rate of its own and a module.

    `rate` is the module's, 0 where it learns it; `client` tells that of the other end in bits per second, or
    None where it is not known and taken to be right.
    """

    def __init__(
        self, scheduler: Scheduler, rate: int, client: Callable[[], int | None], say: Callable[[bytes], None]
    ) -> None:
        self._client = client
        self._heard = b""
        self._say = Pace(scheduler, rate or FIRST, say)
        self._hear = Pace(scheduler, rate or FIRST, self._arrived)
        self._receive: Callable[[bytes], None] = lambda _: None
        self.rate = 0
        """The module's now; 0 while it has not been learnt."""
        self.set(rate)

    def start(self, receive: Callable[[bytes], None]) -> None:
        """Hand on to `receive` what the module hears."""
        self._receive = receive

    def set(self, rate: int) -> None:
        """The module takes another rate (+IPR, or a new start)."""
        self.rate, self._heard = rate, b""
        if rate:
            self._say.tune(rate)
            self._hear.tune(rate)

    def hear(self, data: bytes) -> None:
        """Bytes from the client."""
        client = self._client()
        if self.rate == 0:
            data = self._learn(data, client or FIRST)
        self._hear.send(data if client in {None, self.rate} else garbled(data, client or FIRST, self.rate))

    def say(self, data: bytes) -> None:
        """Bytes from the module; one that does not know its rate yet says nothing."""
        client = self._client()
        if self.rate:
            self._say.send(data if client in {None, self.rate} else garbled(data, self.rate, client or FIRST))

    def _arrived(self, data: bytes) -> None:
        self._receive(data)

    def _learn(self, data: bytes, client: int) -> bytes:
        """What is left of the bytes from the first `AT` on."""
        self._heard = self._heard[-1:] + data
        found = LEARNT.search(self._heard)
        if found is None:
            return b""
        left = self._heard[found.start() :]
        self.set(client)
        return left


FIRST = 115200
"""Stands for a rate that nobody knows."""


def garbled(data: bytes, sent: int, read: int) -> bytes:
    """What a UART at one rate reads of bytes sent at another. A byte without its stop bit reads as NUL."""
    if read == 0:
        return b""
    bits = [level for byte in data for level in (0, *(byte >> place & 1 for place in range(8)), 1)]
    width = sent / read
    """Bits of the sender in the time of one of the reader."""
    found = bytearray()
    at = 0.0
    while len(found) < MOST * len(data):
        start = next((place for place in range(int(at), len(bits)) if bits[place] == 0), None)
        if start is None:
            break
        at = max(at, float(start))
        levels = [_level(bits, at + (place + 0.5) * width) for place in range(BITS_PER_BYTE)]
        if levels[0] == 0:
            byte = sum(level << place for place, level in enumerate(levels[1:9]))
            found.append(byte if levels[9] else 0)
            at += (BITS_PER_BYTE - 0.5) * width
        else:  # too short for a start bit
            at = start + 1.0
    return bytes(found)


def _level(bits: list[int], at: float) -> int:
    """The line at that moment; it rests at 1."""
    return bits[int(at)] if at < len(bits) else 1
