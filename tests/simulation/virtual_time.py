"""An event loop in virtual time: its clock jumps to the next timer when there is nothing else to do.

Days pass in seconds, and the order of events is the same on every Python: the hash of a task or future is its
serial number, so that the order of a set does not depend on memory addresses.
"""

import asyncio
import contextvars
import itertools
import selectors

START_TIME_S = 1000.0
"""The time at which the clock of a loop starts."""
WAKE_THRESHOLD_S = 0.05
"""A jump longer than this counts as a wake-up; shorter ones are octets on a line and pauses between them."""
LOOP_ITERATION_S = 1e-9
"""Duration of an iteration. A timer may fire early by this much, and waiting again must not loop for ever."""


class _VirtualTimeSelector(selectors.DefaultSelector):
    """Advances the clock instead of waiting."""

    def __init__(self):
        super().__init__()
        self.now = START_TIME_S
        self.wake_times = []
        """Times after jumps of more than `WAKE_THRESHOLD_S`."""

    def select(self, timeout=None):
        if timeout is None:
            ready = super().select(5)
            if not ready:
                raise AssertionError("all tasks wait and there is no timer")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout or LOOP_ITERATION_S
            if timeout > WAKE_THRESHOLD_S:
                self.wake_times.append(self.now)
        return ready


class NumberedFuture(asyncio.Future):
    """Its hash is its serial number."""

    def __init__(self, *, loop):
        super().__init__(loop=loop)
        self.serial = next(loop.serials)

    def __hash__(self):
        return self.serial


class NumberedTask(asyncio.Task):
    """Its hash is its serial number."""

    def __init__(self, coroutine, *, loop, context=None, **arguments):
        self.serial = next(loop.serials)
        self.context = contextvars.copy_context() if context is None else context
        super().__init__(coroutine, loop=loop, context=self.context, **arguments)

    def __hash__(self):
        return self.serial


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual."""

    def __init__(self):
        self.serials = itertools.count()
        self._virtual_selector = _VirtualTimeSelector()
        self.wake_times = self._virtual_selector.wake_times
        super().__init__(self._virtual_selector)
        self.set_task_factory(
            lambda loop, coroutine, **arguments: NumberedTask(coroutine, loop=loop, **arguments)
        )

    def time(self):
        return self._virtual_selector.now

    def create_future(self):
        return NumberedFuture(loop=self)


def run_virtual(main):
    """Run a coroutine in virtual time to its end, and return its result."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
