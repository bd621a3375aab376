"""The environment of the agent's tasks: log, deadlines, randomness, wall clock, and the journal's thread.

`agent.daemon.agent` makes one `Runtime` and passes it down. Nothing else reads the wall clock or
randomness, so a simulation replaces all of them here. Monotonic time is the event loop's.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import ParamSpec, Protocol, TypeVar

from agent.common.events import EventSink
from agent.common.watchdog import DeadlineMonitor
from pdu.record import Record

P = ParamSpec("P")
R = TypeVar("R")


class DbExecutor(Protocol):
    """Runs functions that use the journal outside the event loop, one at a time, in call order."""

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the function returns; raise what it raises."""
        ...

    def close(self) -> None:
        """Wait for the call in progress, if there is one."""
        ...


class Runtime(Record):
    """The objects that every task uses."""

    emit: EventSink
    """Logs an event."""
    deadlines: DeadlineMonitor
    """Each task registers its own deadline here, for the watchdog."""
    random: Random
    """Jitter of backoffs, reference numbers, salts."""
    wall_clock: Callable[[], float]
    """Seconds since 1970, by a clock that may be wrong."""
    db: DbExecutor
    """Runs the journal's functions."""
