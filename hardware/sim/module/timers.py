"""Timers that end with the module's power."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from hardware.sim.interfaces import Scheduler, TimerHandle


class ModuleTimers:
    """The pending timers of one module; each action runs inside an output batch."""

    def __init__(self, scheduler: Scheduler, batch: Callable[[], AbstractContextManager[None]]) -> None:
        self._scheduler = scheduler
        self._batch = batch
        self._handles: list[TimerHandle] = []

    @property
    def is_idle(self) -> bool:
        """True while no timer is pending."""
        return not self._handles

    def call_later(self, delay_s: float, action: Callable[[], None]) -> TimerHandle | None:
        """Call `action` after `delay_s` seconds, unless the power goes off before.

        Without a delay the action runs at once, and the result is None.
        """
        if delay_s <= 0:
            action()
            return None

        def run() -> None:
            self._handles.remove(handle)
            with self._batch():
                action()

        handle = self._scheduler.call_later(delay_s, run)
        self._handles.append(handle)
        return handle

    def cancel(self, handle: TimerHandle | None) -> None:
        """Cancel a timer; one that has run, or None, is ignored."""
        if handle in self._handles and handle is not None:
            self._handles.remove(handle)
            handle.cancel()

    def cancel_all(self) -> None:
        """Cancel all pending timers."""
        for handle in self._handles:
            handle.cancel()
        self._handles.clear()
