"""A line of a certain speed: bytes arrive as they would at that baud rate, 8N1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import Scheduler

BITS_PER_BYTE = 10
"""A start bit, eight data bits, a stop bit."""

MAX_QUEUED_BYTES = 65536
"""Bytes that wait for the line at most: a talkative module says more than a slow line carries."""

FIFO_BYTES = 16
"""A UART hands on what it received in portions of so many bytes, and the rest when the line falls still."""


class BaudThrottle:
    """One direction of the line: what is given to `send` comes out of `sink` later, in order."""

    def __init__(self, scheduler: Scheduler, baud: int, sink: Callable[[bytes], None]) -> None:
        self._scheduler = scheduler
        self._byte_s = BITS_PER_BYTE / baud
        self._sink = sink
        self._queued = bytearray()
        self.overrun_bytes = 0
        """Bytes that found no room."""
        self._idle_at = 0.0
        """When the line has carried everything that was handed on or is under way."""

    def set_baud(self, baud: int) -> None:
        """Another speed, for what is not under way yet."""
        self._byte_s = BITS_PER_BYTE / baud

    def send(self, data: bytes) -> None:
        """Put bytes on the line; what finds no room is lost and counted, as when a UART overruns."""
        idle = not self._queued
        room = MAX_QUEUED_BYTES - len(self._queued)
        self.overrun_bytes += max(0, len(data) - room)
        self._queued += data[:room]
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
