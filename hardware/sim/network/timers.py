"""Delayed calls that can all be cancelled at once, so that a stopped network leaves none behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.interfaces import Arguments, Scheduler, TimerHandle


class Timer:
    """One scheduled call."""

    __slots__ = ("_handle", "_timers")

    def __init__(self, timers: set[Timer]) -> None:
        self._timers = timers
        self._handle: TimerHandle | None = None

    def set_handle(self, handle: TimerHandle) -> None:
        self._handle = handle
        self._timers.add(self)

    def discard(self) -> None:
        self._timers.discard(self)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self.discard()


class TimerGroup:
    """Schedules calls and keeps track of those that are pending."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: set[Timer] = set()
        self._closed = False

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> Timer:
        """Call `callback(*args)` after `delay` seconds, unless it is cancelled before."""
        timer = Timer(self._pending)

        def call() -> None:
            timer.discard()
            callback(*args)

        if not self._closed:
            timer.set_handle(self._scheduler.call_later(delay, call))
        return timer

    def close(self) -> None:
        """Cancel all pending calls and ignore new ones."""
        self._closed = True
        for timer in list(self._pending):
            timer.cancel()

    def __len__(self) -> int:
        return len(self._pending)
