"""The clock of a sandbox: wall clock and timers of everything in it, which can be stopped and moved forward.

A running clock follows the clock of the host. A frozen one stands still: nothing that takes time happens,
neither the 50 ms that a message needs nor the boot of a module. In both states `run` lets time pass at once:
it goes from timer to timer, in order, and after each one it lets clients react before it goes on.
"""

from __future__ import annotations

import heapq
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hardware.sim.interfaces import Arguments, Scheduler, TimerHandle

MIN_CANCELLED_TO_COMPACT = 100
"""So many cancelled timers may stay in the heap; most messages cancel one that lasts a day."""


class ClockIsMoving(Exception):  # noqa: N818 - the name of a condition
    """The clock is being moved already."""


class ClockTimer:
    """A call at a time of the clock; it implements `TimerHandle`."""

    __slots__ = ("_clock", "action", "due", "serial")

    def __init__(self, clock: SandboxClock, due: float, serial: int, action: Callable[[], object]) -> None:
        self.due = due
        self.serial = serial
        """Order of creation: timers of the same moment run in it."""
        self.action: Callable[[], object] | None = action
        """None after it has run or was cancelled."""
        self._clock = clock

    def __lt__(self, other: ClockTimer) -> bool:
        return (self.due, self.serial) < (other.due, other.serial)

    def cancel(self) -> None:
        """Cancel the call; one that has run is ignored."""
        if self.action is not None:
            self.action = None
            self._clock.forget_cancelled()


class SandboxClock:
    """A `Scheduler` with a wall clock. `start` connects it to the event loop.

    `start_time` is the time that it shows first, None for that of `wall_clock`.
    """

    def __init__(
        self,
        wall_clock: Callable[[], datetime],
        *,
        start_time: datetime | None = None,
        is_frozen: bool = False,
    ) -> None:
        self._wall_clock = wall_clock
        self._start_time = start_time
        self._starts_frozen = is_frozen
        self._wall_offset = timedelta() if start_time is None else start_time - wall_clock()
        self._scheduler: Scheduler | None = None
        self._offset_s = 0.0
        self._frozen_at: tuple[float, datetime] | None = None
        """Monotonic time and wall time when it was frozen; None while it runs."""
        self._moved_to = 0.0
        """Monotonic time to which `run` has moved it since it was frozen; a sum of steps would round."""
        self._heap: list[ClockTimer] = []
        self._count = 0
        self._cancelled = 0
        self._wake: tuple[float, TimerHandle] | None = None
        """The timer of the event loop, and the time of this clock for which it is set."""
        self._is_moving = self._stop_requested = False
        if is_frozen:
            self._frozen_at = (0.0, start_time or wall_clock())

    def start(self, scheduler: Scheduler) -> None:
        """Take the time from this scheduler, the event loop. A frozen clock goes on where it was."""
        self._cancel_wake()
        self._scheduler = scheduler
        self._schedule_wake()

    def reset(self) -> None:
        """Drop all timers, and show the time that it showed first; a `run` under way ends."""
        time = self.time()
        self._cancel_wake()
        for timer in self._heap:
            timer.action = None
        self._heap.clear()
        self._cancelled = 0
        self._stop_requested = True
        self._offset_s = time - self._host.time()
        self._wall_offset = timedelta() if self._start_time is None else self._start_time - self._wall_clock()
        self._moved_to = time
        self._frozen_at = (time, self._wall_clock() + self._wall_offset) if self._starts_frozen else None

    # Scheduler and wall clock

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        if self._frozen_at is not None:
            return self._moved_to
        return self._host.time() + self._offset_s

    def now(self) -> datetime:
        """Return the wall time, in UTC."""
        if self._frozen_at is not None:
            return self._frozen_at[1] + timedelta(seconds=self._moved_to - self._frozen_at[0])
        return self._wall_clock() + self._wall_offset

    def call_later(
        self, delay: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> ClockTimer:
        """Call `callback(*args)` after `delay` seconds of this clock."""
        self._count += 1
        timer = ClockTimer(self, self.time() + delay, self._count, lambda: callback(*args))
        heapq.heappush(self._heap, timer)
        self._schedule_wake()
        return timer

    # State

    @property
    def is_running(self) -> bool:
        """True while it follows the clock of the host, so neither frozen nor moved by `run`."""
        return self._frozen_at is None

    @property
    def is_moving(self) -> bool:
        """True while `run` moves it."""
        return self._is_moving

    @property
    def offset_s(self) -> float:
        """Seconds by which its wall time is ahead of that of the host."""
        return (self.now() - self._wall_clock()).total_seconds()

    @property
    def pending(self) -> int:
        """The number of timers."""
        return len(self._heap) - self._cancelled

    def next_due_s(self) -> float | None:
        """Return the seconds until the next timer, None without one."""
        self._drop_cancelled_front()
        return max(0.0, self._heap[0].due - self.time()) if self._heap else None

    def freeze(self) -> None:
        """Stop the clock; a `run` under way ends at its next step."""
        self._stop_requested = True
        if self._frozen_at is None:
            self._frozen_at = (self.time(), self.now())
            self._moved_to = self._frozen_at[0]
            self._cancel_wake()

    def resume(self) -> None:
        """Let the clock run on from where it is; raises ClockIsMoving while `run` moves it."""
        if self._is_moving:
            raise ClockIsMoving
        if self._frozen_at is not None:
            now = self.now()
            self._offset_s = self.time() - self._host.time()
            self._wall_offset = now - self._wall_clock()
            self._frozen_at = None
            self._schedule_wake()

    async def run(
        self, limit_s: float, settle: Callable[[], Awaitable[None]], *, until_idle: bool = False
    ) -> int:
        """Let `limit_s` seconds pass at once, or less with `until_idle`: until there is no timer.

        After each moment with timers `settle` is awaited, in which clients react. Returns the number of
        these moments. Raises ClockIsMoving if another `run` is under way.
        """
        if self._is_moving:
            raise ClockIsMoving
        was_running, self._is_moving = self.is_running, True
        try:
            self.freeze()
            self._stop_requested = False
            return await self._run_frozen(self.time() + limit_s, settle, until_idle=until_idle)
        finally:
            self._is_moving = False
            if was_running and not self._stop_requested:
                self.resume()

    async def _run_frozen(
        self, end: float, settle: Callable[[], Awaitable[None]], *, until_idle: bool
    ) -> int:
        moments = 0
        await settle()
        while not self._stop_requested:
            self._drop_cancelled_front()
            due = self._heap[0].due if self._heap else None
            if due is None or due > end:
                if not until_idle or due is not None:
                    self._move_to(end)
                break
            self._move_to(due)
            self._run_due()
            moments += 1
            await settle()
        return moments

    # Timers

    def forget_cancelled(self) -> None:
        """Count a cancelled timer, and drop all of them when they are many."""
        self._cancelled += 1
        if self._cancelled > max(MIN_CANCELLED_TO_COMPACT, len(self._heap) // 2):
            self._heap = [timer for timer in self._heap if timer.action is not None]
            heapq.heapify(self._heap)
            self._cancelled = 0

    @property
    def _host(self) -> Scheduler:
        if self._scheduler is None:
            raise RuntimeError("the clock is not started")
        return self._scheduler

    def _move_to(self, time: float) -> None:
        if self._frozen_at is not None:
            self._moved_to = max(self._moved_to, time)

    def _drop_cancelled_front(self) -> None:
        while self._heap and self._heap[0].action is None:
            heapq.heappop(self._heap)
            self._cancelled -= 1

    def _run_due(self) -> None:
        """Run the timers that are due, and those that they start without a delay."""
        now = self.time()
        while self._heap and self._heap[0].due <= now:
            timer = heapq.heappop(self._heap)
            action, timer.action = timer.action, None
            if action is None:
                self._cancelled -= 1
            else:
                action()

    def _schedule_wake(self) -> None:
        """Set the event loop's timer for the first of ours, unless it is set for it or an earlier one."""
        if self._scheduler is None or self._frozen_at is not None or not self._heap:
            return
        due = self._heap[0].due
        if self._wake is not None and self._wake[0] <= due:
            return
        self._cancel_wake()
        self._wake = (due, self._scheduler.call_later(max(0.0, due - self.time()), self._wake_up))

    def _cancel_wake(self) -> None:
        if self._wake is not None:
            self._wake[1].cancel()
            self._wake = None

    def _wake_up(self) -> None:
        self._wake = None
        try:
            self._run_due()
        finally:  # the failure of one call must not delay the others
            self._schedule_wake()
