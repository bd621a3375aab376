"""Virtual time: a loop whose clock jumps to the next timer when nothing else is to be done.

Days pass in seconds, and the same work gives the same order on every Python: tasks and futures are numbered,
so that a set of them is walked in the order of their numbers and not of their places in memory.
"""

import asyncio
import contextvars
import itertools
import selectors

START_TIME_S = 1000.0
"""What the clock of a loop shows at first."""
WAKE_THRESHOLD_S = 0.05
"""Octets on the line and waits of a driver between them; whoever has something to say or to hear is awake."""


LOOP_ITERATION_S = 1e-9
"""What a turn of the loop takes. A timer may be early by so much: who waits on must not turn for ever."""


class _VirtualTimeSelector(selectors.DefaultSelector):
    """Instead of waiting for a time to come, lets it be that time."""

    def __init__(self):
        super().__init__()
        self.now = START_TIME_S
        self.wake_times = []
        """When the clock went on by more than `MOMENT_S`: somebody woke who had slept."""

    def select(self, timeout=None):
        if timeout is None:
            ready = super().select(5)
            if not ready:
                raise AssertionError("everybody waits and nothing will ever happen")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout or LOOP_ITERATION_S
            if timeout > WAKE_THRESHOLD_S:
                self.wake_times.append(self.now)
        return ready


class NumberedFuture(asyncio.Future):
    """Its hash is its number."""

    def __init__(self, *, loop):
        super().__init__(loop=loop)
        self.serial = next(loop.serials)

    def __hash__(self):
        return self.serial


class NumberedTask(asyncio.Task):
    """Its hash is its number."""

    def __init__(self, coroutine, *, loop, context=None, **arguments):
        self.serial = next(loop.serials)
        self.context = contextvars.copy_context() if context is None else context
        super().__init__(coroutine, loop=loop, context=self.context, **arguments)

    def __hash__(self):
        return self.serial


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Hours pass in milliseconds."""

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
    """Run a coroutine in virtual time to its end."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
