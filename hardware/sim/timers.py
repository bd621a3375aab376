"""Delayed calls that can all be cancelled at once: with a module's power, or when a network is closed."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hardware.sim.interfaces import Arguments, Scheduler, TimerHandle


class TimerGroup:
    """The pending calls of one module or network; each call runs inside `batch()`."""

    def __init__(
        self, scheduler: Scheduler, batch: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._scheduler = scheduler
        self._batch = batch
        self._pending: dict[int, TimerHandle] = {}
        """By identity, oldest first."""
        self._closed = False

    @property
    def is_idle(self) -> bool:
        """True while no call is pending."""
        return not self._pending

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        return self._scheduler.time()

    def call_later(
        self, delay_s: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> TimerHandle:
        """Call `callback(*args)` after `delay_s` seconds, unless it is cancelled before."""

        def call() -> None:
            del self._pending[id(handle)]
            with self._batch():
                callback(*args)

        handle = self._scheduler.call_later(delay_s, call)
        self._pending[id(handle)] = handle
        if self._closed:
            self.cancel(handle)
        return handle

    def call_after(self, delay_s: float, action: Callable[[], None]) -> TimerHandle | None:
        """Call `action` after `delay_s` seconds; without a delay call it at once and return None."""
        if delay_s > 0:
            return self.call_later(delay_s, action)
        action()
        return None

    def cancel(self, handle: TimerHandle | None) -> None:
        """Cancel a call; one that has run, or None, is ignored."""
        if handle is not None and self._pending.pop(id(handle), None) is handle:
            handle.cancel()

    def cancel_all(self) -> None:
        """Cancel all pending calls."""
        for handle in self._pending.values():
            handle.cancel()
        self._pending.clear()

    def close(self) -> None:
        """Cancel all pending calls and ignore new ones."""
        self._closed = True
        self.cancel_all()
