"""Virtual time: a loop whose clock jumps to the next timer when nothing else is to be done.

Days pass in seconds, and the same work gives the same order on every Python: tasks and futures are numbered,
so that a set of them is walked in the order of their numbers and not of their places in memory.
"""

import asyncio
import contextvars
import itertools
import selectors

BEGIN = 1000.0
"""What the clock of a loop shows at first."""
MOMENT_S = 0.05
"""Octets on the line and waits of a driver between them; whoever has something to say or to hear is awake."""


TURN_S = 1e-9
"""What a turn of the loop takes. A timer may be early by so much: who waits on must not turn for ever."""


class _Selector(selectors.DefaultSelector):
    """Instead of waiting for a time to come, lets it be that time."""

    def __init__(self):
        super().__init__()
        self.now = BEGIN
        self.wakes = []
        """When the clock went on by more than `MOMENT_S`: somebody woke who had slept."""

    def select(self, timeout=None):
        if timeout is None:
            ready = super().select(5)
            if not ready:
                raise AssertionError("everybody waits and nothing will ever happen")
            return ready
        ready = super().select(0)
        if not ready:
            self.now += timeout or TURN_S
            if timeout > MOMENT_S:
                self.wakes.append(self.now)
        return ready


class NumberedFuture(asyncio.Future):
    """Its hash is its number."""

    def __init__(self, *, loop):
        super().__init__(loop=loop)
        self.number = next(loop.numbers)

    def __hash__(self):
        return self.number


class NumberedTask(asyncio.Task):
    """Its hash is its number."""

    def __init__(self, coroutine, *, loop, context=None, **arguments):
        self.number = next(loop.numbers)
        self.context = contextvars.copy_context() if context is None else context
        super().__init__(coroutine, loop=loop, context=self.context, **arguments)

    def __hash__(self):
        return self.number


class VirtualLoop(asyncio.SelectorEventLoop):
    """Hours pass in milliseconds."""

    def __init__(self):
        self.numbers = itertools.count()
        self._virtual = _Selector()
        self.wakes = self._virtual.wakes
        super().__init__(self._virtual)
        self.set_task_factory(
            lambda loop, coroutine, **arguments: NumberedTask(coroutine, loop=loop, **arguments)
        )

    def time(self):
        return self._virtual.now

    def create_future(self):
        return NumberedFuture(loop=self)


def run(main):
    """Run a coroutine in virtual time to its end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
