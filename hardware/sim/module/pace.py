"""A line of a certain speed: bytes arrive as they would at that baud rate, 8N1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.radio import Scheduler

BITS_PER_BYTE = 10
"""A start bit, eight data bits, a stop bit."""

LONGEST = 65536
"""Bytes that wait for the line at most: a talkative module says more than a slow line carries."""

FIFO = 16
"""A UART hands on what it received in portions of so many bytes, and the rest when the line falls still."""


class Pace:
    """One direction of the line: what is given to `send` comes out of `sink` later, in order."""

    def __init__(self, scheduler: Scheduler, baud: int, sink: Callable[[bytes], None]) -> None:
        self._scheduler = scheduler
        self._byte_s = BITS_PER_BYTE / baud
        self._sink = sink
        self._waiting = bytearray()
        self.overrun = 0
        """Bytes that found no room."""
        self._free_at = 0.0
        """When the line has carried everything that was handed on or is under way."""

    def tune(self, baud: int) -> None:
        """Another speed, for what is not under way yet."""
        self._byte_s = BITS_PER_BYTE / baud

    def send(self, data: bytes) -> None:
        """Put bytes on the line; what finds no room is lost and counted, as when a UART overruns."""
        idle = not self._waiting
        room = LONGEST - len(self._waiting)
        self.overrun += max(0, len(data) - room)
        self._waiting += data[:room]
        if idle and data:
            self._free_at = max(self._free_at, self._scheduler.time())
            self._next()

    def _next(self) -> None:
        portion = min(FIFO, len(self._waiting))
        self._free_at += portion * self._byte_s
        self._scheduler.call_later(self._free_at - self._scheduler.time(), self._arrive, portion)

    def _arrive(self, portion: int) -> None:
        data = bytes(self._waiting[:portion])
        del self._waiting[:portion]
        if self._waiting:
            self._next()
        self._sink(data)
