"""The clock of a sandbox: follows the host, stands still, or runs from timer to timer."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from manual_scheduler import ManualScheduler

from hardware.sim.sandbox_clock import ClockIsMoving, SandboxClock

START = datetime(2026, 11, 1, tzinfo=UTC)


class ClockBench:
    """A clock on a host whose time passes only in `host.advance`."""

    def __init__(self, **how):
        self.host = ManualScheduler(now=500.0)
        self.clock = SandboxClock(lambda: START + timedelta(seconds=self.host.now - 500), **how)
        self.clock.start(self.host)
        self.calls = []

    def call_later(self, delay_s, name):
        return self.clock.call_later(delay_s, self.record, name)

    def record(self, name):
        self.calls.append((name, (self.clock.now() - START).total_seconds()))

    async def settle(self):
        """No client needs time."""

    async def run(self, limit_s, **how):
        return await self.clock.run(limit_s, self.settle, **how)


@pytest.fixture
def bench():
    return ClockBench()


def test_running_clock_follows_the_host(bench):
    """Timers run in the order of their times, those of the same moment in the order of creation."""
    for delay_s, name in ((5, "c"), (2, "a"), (5, "d"), (4, "b")):
        bench.call_later(delay_s, name)
    cancelled = bench.call_later(3, "never")
    cancelled.cancel()
    bench.host.advance(10)
    assert bench.calls == [("a", 2), ("b", 4), ("c", 5), ("d", 5)]
    assert bench.clock.pending == 0


def test_frozen_clock_stands_still_and_goes_on(bench):
    """What was due during the stop runs as much later; wall time and monotonic time stop together."""
    bench.call_later(10, "call")
    bench.host.advance(4)
    bench.clock.freeze()
    time = bench.clock.time()
    bench.host.advance(1000)
    assert bench.calls == []
    assert bench.clock.time() == time
    assert bench.clock.now() == START + timedelta(seconds=4)
    bench.clock.resume()
    assert bench.clock.offset_s == -1000
    bench.host.advance(6)
    assert bench.calls == [("call", 10)]


async def test_time_passes_from_timer_to_timer(bench):
    """Timers that are started on the way run in their turn; the clock then runs on from the end."""
    bench.call_later(7200, "second")
    bench.clock.call_later(3600, bench.call_later, 60, "first")
    bench.call_later(90000, "later")
    assert await bench.run(86400) == 3
    assert bench.calls == [("first", 3660), ("second", 7200)]
    assert bench.clock.now() == START + timedelta(days=1)
    assert bench.clock.is_running
    bench.host.advance(3600)
    assert bench.calls[-1] == ("later", 90000)


async def test_clients_get_time_after_each_moment(bench):
    """What a client does after a timer happens at the time of that timer."""
    bench.call_later(10, "question")
    bench.call_later(20, "too late")

    async def settle():
        if len(bench.calls) == 1:
            bench.record("answer")

    await bench.clock.run(60, settle)
    assert bench.calls == [("question", 10), ("answer", 10), ("too late", 20)]


async def test_timer_runs_when_differences_of_times_round(bench):
    """The clock reaches each timer exactly: with these times a sum of differences stays 1.5e-11 s short."""
    bench.host.advance(35021.37 - 500)
    bench.clock.call_later(12255.465, lambda: bench.call_later(60096.008, "second"))
    moments = 0

    async def settle():
        nonlocal moments
        moments += 1
        assert moments < 10, "the clock does not reach the timer"

    await bench.clock.run(1e6, settle)
    assert [name for name, _ in bench.calls] == ["second"]


async def test_idle_ends_earlier(bench):
    """The clock stops at the last timer, or at the limit if timers remain."""
    bench.call_later(10, "last")
    await bench.run(1000, until_idle=True)
    assert bench.clock.now() == START + timedelta(seconds=10)
    bench.call_later(5000, "beyond")
    await bench.run(1000, until_idle=True)
    assert bench.clock.now() == START + timedelta(seconds=1010)


async def test_freeze_ends_a_run(bench):
    """It stays where it is then; a second run, or a resume, is refused meanwhile."""
    bench.call_later(10, "first")
    bench.call_later(20, "second")

    async def settle():
        if bench.calls:
            with pytest.raises(ClockIsMoving):
                await bench.run(1)
            with pytest.raises(ClockIsMoving):
                bench.clock.resume()
            bench.clock.freeze()

    await bench.clock.run(60, settle)
    assert bench.calls == [("first", 10)]
    assert not bench.clock.is_running


async def test_start_time_and_frozen_start():
    """A clock can start at any time, and stand still before it is connected to the event loop."""
    bench = ClockBench(start_time=START + timedelta(days=9), is_frozen=True)
    bench.host.advance(50)
    assert bench.clock.now() == START + timedelta(days=9)
    await bench.run(30)
    bench.clock.resume()
    bench.host.advance(5)
    assert bench.clock.now() == START + timedelta(days=9, seconds=35)


def test_failure_of_a_call_delays_no_other(bench):
    """The event loop reports it; the other calls of the moment run."""

    def fail():
        raise OSError

    bench.clock.call_later(1, fail)
    bench.call_later(1, "other")
    with pytest.raises(OSError):
        bench.host.advance(1)
    bench.host.advance(0)
    assert bench.calls == [("other", 1)]


def test_cancelled_timers_take_no_memory(bench):
    """A message that is delivered cancels a timer of a day."""
    for _ in range(10_000):
        bench.call_later(86400, "expiry").cancel()
    assert len(bench.clock._heap) < 300
    assert bench.clock.pending == 0


async def test_event_loop_runs_the_timers():
    """The clock works on the event loop, also when the first timer is replaced by an earlier one."""
    clock = SandboxClock(lambda: START)
    clock.start(asyncio.get_running_loop())
    late, early = asyncio.Event(), asyncio.Event()
    clock.call_later(0.02, late.set)
    clock.call_later(0.001, early.set)
    async with asyncio.timeout(5):
        await early.wait()
        await late.wait()
