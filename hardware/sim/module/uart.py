"""The two ends of a UART, each with its own idea of how fast it is (8N1).

Where they differ the other end reads rubbish: here the bits are laid on the line at the one rate and read at
the other. A module that learns its rate says nothing until it has heard an `AT`, boot lines included, and
learns anew after each start (V.250 6.2.10 has +IPR=0 for that).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardware.sim.module.pace import BITS_PER_BYTE, BaudThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import Scheduler

AUTOBAUD_PATTERN = re.compile(rb"AT|at")
MAX_GARBLED_RATIO = 16
"""Bytes that are read for one that was sent; a module is not much quicker than what it listens to."""


class UartLink:
    """A line between a client with a rate of its own and a module.

    `rate` is the module's, 0 where it learns it; `client` tells that of the other end in bits per second, or
    None where it is not known and taken to be right.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        baud: int,
        client_baud: Callable[[], int | None],
        write: Callable[[bytes], None],
    ) -> None:
        self._client_baud = client_baud
        self._autobaud_buffer = b""
        self._to_client = BaudThrottle(scheduler, baud or DEFAULT_BAUD, write)
        self._to_module = BaudThrottle(scheduler, baud or DEFAULT_BAUD, self._deliver_to_module)
        self._receive: Callable[[bytes], None] = lambda _: None
        self.baud = 0
        """The module's now; 0 while it has not been learnt."""
        self.set_baud(baud)

    def start(self, receive: Callable[[bytes], None]) -> None:
        """Hand on to `receive` what the module hears."""
        self._receive = receive

    def set_baud(self, baud: int) -> None:
        """The module takes another rate (+IPR, or a new start)."""
        self.baud, self._autobaud_buffer = baud, b""
        if baud:
            self._to_client.set_baud(baud)
            self._to_module.set_baud(baud)

    def receive_from_client(self, data: bytes) -> None:
        """Bytes from the client."""
        client = self._client_baud()
        if self.baud == 0:
            data = self._detect_baud(data, client or DEFAULT_BAUD)
        self._to_module.send(
            data if client in {None, self.baud} else garble(data, client or DEFAULT_BAUD, self.baud)
        )

    def write_to_client(self, data: bytes) -> None:
        """Bytes from the module; one that does not know its rate yet says nothing."""
        client = self._client_baud()
        if self.baud:
            self._to_client.send(
                data if client in {None, self.baud} else garble(data, self.baud, client or DEFAULT_BAUD)
            )

    def _deliver_to_module(self, data: bytes) -> None:
        self._receive(data)

    def _detect_baud(self, data: bytes, client_baud: int) -> bytes:
        """What is left of the bytes from the first `AT` on."""
        self._autobaud_buffer = self._autobaud_buffer[-1:] + data
        found = AUTOBAUD_PATTERN.search(self._autobaud_buffer)
        if found is None:
            return b""
        left = self._autobaud_buffer[found.start() :]
        self.set_baud(client_baud)
        return left


DEFAULT_BAUD = 115200
"""Stands for a rate that nobody knows."""


def garble(data: bytes, sent_baud: int, read_baud: int) -> bytes:
    """What a UART at one rate reads of bytes sent at another. A byte without its stop bit reads as NUL."""
    if read_baud == 0:
        return b""
    bits = [level for byte in data for level in (0, *(byte >> place & 1 for place in range(8)), 1)]
    width = sent_baud / read_baud
    """Bits of the sender in the time of one of the reader."""
    found = bytearray()
    at = 0.0
    while len(found) < MAX_GARBLED_RATIO * len(data):
        start = next((place for place in range(int(at), len(bits)) if bits[place] == 0), None)
        if start is None:
            break
        at = max(at, float(start))
        levels = [_line_level(bits, at + (place + 0.5) * width) for place in range(BITS_PER_BYTE)]
        if levels[0] == 0:
            byte = sum(level << place for place, level in enumerate(levels[1:9]))
            found.append(byte if levels[9] else 0)
            at += (BITS_PER_BYTE - 0.5) * width
        else:  # too short for a start bit
            at = start + 1.0
    return bytes(found)


def _line_level(bits: list[int], at: float) -> int:
    """The line at that moment; it rests at 1."""
    return bits[int(at)] if at < len(bits) else 1
