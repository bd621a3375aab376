"""A serial line at a baud rate (8N1): bytes take time, and two ends with different rates read garbage.

A module that detects the baud rate (+IPR=0, V.250 6.2.10) writes nothing, boot lines included, until it has
received an `AT`. It detects the rate again after each start.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import Scheduler

BITS_PER_BYTE = 10
"""A start bit, eight data bits, a stop bit."""

MAX_QUEUED_BYTES = 65536
"""Bytes that may wait for the line; a module can write more than a slow line carries."""

FIFO_BYTES = 16
"""A UART passes received bytes on in portions of this size, and the rest when the line becomes idle."""

DEFAULT_BAUD = 115200
"""Stands for an unknown rate."""

AUTOBAUD_PATTERN = re.compile(rb"AT|at")

NOISE = bytes.fromhex("00FFF8E68098FE")
"""The octets of garbage. None is a character of a command, with or without its highest bit."""


class BaudThrottle:
    """One direction of a line: what is passed to `send` reaches `sink` later, in order."""

    def __init__(self, scheduler: Scheduler, baud: int, sink: Callable[[bytes], None]) -> None:
        self._scheduler = scheduler
        self._byte_s = BITS_PER_BYTE / baud
        self._sink = sink
        self._queued = bytearray()
        self.overrun_bytes = 0
        """Bytes lost because the queue was full."""
        self._idle_at = 0.0
        """Time at which the last scheduled byte has been carried."""

    def set_baud(self, baud: int) -> None:
        """Change the rate for the bytes that are not scheduled yet."""
        self._byte_s = BITS_PER_BYTE / baud

    def send(self, data: bytes) -> None:
        """Put bytes on the line; what exceeds the queue is lost and counted, as in an overrun of a UART."""
        idle = not self._queued
        free = MAX_QUEUED_BYTES - len(self._queued)
        self.overrun_bytes += max(0, len(data) - free)
        self._queued += data[:free]
        if idle and data:
            self._idle_at = max(self._idle_at, self._scheduler.time())
            self._schedule_next()

    def _schedule_next(self) -> None:
        portion = min(FIFO_BYTES, len(self._queued))
        self._idle_at += portion * self._byte_s
        self._scheduler.call_later(self._idle_at - self._scheduler.time(), self._deliver, portion)

    def _deliver(self, portion: int) -> None:
        data = bytes(self._queued[:portion])
        del self._queued[:portion]
        if self._queued:
            self._schedule_next()
        self._sink(data)


class UartLink:
    """The line between a client and a module, each with its own baud rate.

    `baud` is the module's rate, 0 if it detects the rate. `client_baud` returns the client's rate in bits per
    second, or None if it is unknown and assumed to be right. `write` takes the bytes for the client.
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
        """The module's rate; 0 until it is detected."""
        self.set_baud(baud)

    def start(self, receive: Callable[[bytes], None]) -> None:
        """Pass the bytes for the module to `receive` from now on."""
        self._receive = receive

    def set_baud(self, baud: int) -> None:
        """Change the module's rate (+IPR, or a restart); 0 starts the detection."""
        self.baud, self._autobaud_buffer = baud, b""
        if baud:
            self._to_client.set_baud(baud)
            self._to_module.set_baud(baud)

    def receive_from_client(self, data: bytes) -> None:
        """Process bytes from the client."""
        client = self._client_baud()
        if self.baud == 0:
            data = self._detect_baud(data, client or DEFAULT_BAUD)
        self._to_module.send(data if client in {None, self.baud} else garble(data))

    def write_to_client(self, data: bytes) -> None:
        """Process bytes from the module; they are dropped until its rate is detected."""
        if self.baud:
            self._to_client.send(data if self._client_baud() in {None, self.baud} else garble(data))

    def _deliver_to_module(self, data: bytes) -> None:
        self._receive(data)

    def _detect_baud(self, data: bytes, client_baud: int) -> bytes:
        """Return the bytes from the first `AT` on; before it everything is dropped."""
        self._autobaud_buffer = self._autobaud_buffer[-1:] + data
        found = AUTOBAUD_PATTERN.search(self._autobaud_buffer)
        if found is None:
            return b""
        rest = self._autobaud_buffer[found.start() :]
        self.set_baud(client_baud)
        return rest


def garble(data: bytes) -> bytes:
    """Return what a UART reads at a wrong baud rate: noise, and every third octet is lost."""
    return bytes(NOISE[octet % len(NOISE)] for index, octet in enumerate(data) if index % 3 != 2)
