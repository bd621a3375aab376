"""Calls at a later time that can all be cancelled at once: a stopped network leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.radio import Handle, Scheduler

Arguments = TypeVarTuple("Arguments")


class Timer:
    """One call that is still to come."""

    __slots__ = ("_handle", "_timers")

    def __init__(self, timers: set[Timer]) -> None:
        self._timers = timers
        self._handle: Handle | None = None

    def hold(self, handle: Handle) -> None:
        self._handle = handle
        self._timers.add(self)

    def drop(self) -> None:
        self._timers.discard(self)

    def cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self.drop()


class Timers:
    """Hands calls to a scheduler and remembers which have not been made."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._pending: set[Timer] = set()
        self._closed = False

    def later(self, delay: float, callback: Callable[[*Arguments], object], /, *args: *Arguments) -> Timer:
        """Call `callback(*args)` in `delay` seconds, unless cancelled or closed before."""
        timer = Timer(self._pending)

        def call() -> None:
            timer.drop()
            callback(*args)

        if not self._closed:
            timer.hold(self._scheduler.call_later(delay, call))
        return timer

    def close(self) -> None:
        """Cancel what is pending; what comes later is dropped."""
        self._closed = True
        for timer in list(self._pending):
            timer.cancel()

    def __len__(self) -> int:
        return len(self._pending)
