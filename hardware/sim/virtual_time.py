"""An event loop in virtual time: its clock jumps to the next timer when there is nothing else to do.

Days pass in seconds, and the order of events is the same on every Python: the hash of a task or future is its
serial number, so that the order of a set does not depend on memory addresses.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import selectors
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")

START_TIME_S = 1000.0
"""The time at which the clock of a loop starts."""
WAKE_THRESHOLD_S = 0.05
"""A jump longer than this counts as a wake-up; shorter ones are octets on a line and pauses between them."""
MAX_WAKE_TIMES = 100_000
"""Number of the latest wake-ups that are kept."""
LOOP_ITERATION_S = 1e-9
"""Duration of an iteration. A timer may fire early by this much, and waiting again must not loop for ever."""
STALL_TIMEOUT_S = 5.0
"""Real seconds for which a loop without timers waits for a file descriptor before it reports a deadlock."""


class _VirtualTimeSelector(selectors.DefaultSelector):
    """Advances the clock instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START_TIME_S
        self.wake_times: deque[float] = deque(maxlen=MAX_WAKE_TIMES)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            ready = super().select(STALL_TIMEOUT_S)
            if not ready:
                raise AssertionError("all tasks wait and there is no timer")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout or LOOP_ITERATION_S
            if timeout > WAKE_THRESHOLD_S:
                self.wake_times.append(self.now)
        return ready


class NumberedFuture(asyncio.Future[Any]):
    """Its hash is its serial number."""

    def __init__(self, *, loop: VirtualTimeLoop) -> None:
        super().__init__(loop=loop)
        self.serial = next(loop.serials)

    def __hash__(self) -> int:
        return self.serial


class NumberedTask(asyncio.Task[Any]):
    """Its hash is its serial number."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        *,
        loop: VirtualTimeLoop,
        context: contextvars.Context | None = None,
        **arguments: Any,
    ) -> None:
        self.serial = next(loop.serials)
        self.context = contextvars.copy_context() if context is None else context
        super().__init__(coroutine, loop=loop, context=self.context, **arguments)

    def __hash__(self) -> int:
        return self.serial


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual."""

    def __init__(self) -> None:
        self.serials = itertools.count()
        self._virtual_selector = _VirtualTimeSelector()
        self.wake_times = self._virtual_selector.wake_times
        """Times after the latest jumps of more than `WAKE_THRESHOLD_S`."""
        super().__init__(self._virtual_selector)
        self.set_task_factory(
            lambda _, coroutine, **arguments: NumberedTask(coroutine, loop=self, **arguments)
        )

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._virtual_selector.now

    def create_future(self) -> NumberedFuture:
        """Return a future whose hash is its serial number."""
        return NumberedFuture(loop=self)


def run_virtual(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in virtual time to its end, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
