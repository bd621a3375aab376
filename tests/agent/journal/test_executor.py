"""Executors between the event loop and the disk, and the retry of commits."""

import asyncio
import sqlite3
import threading
from itertools import pairwise

import pytest

from agent.journal.executor import InlineExecutor, ThreadExecutor, retry_until_committed
from hardware.sim.virtual_time import run_virtual


async def test_thread_executor_runs_calls_in_order(journal_env, factories):
    """One thread, not the loop's, reads, writes and closes the journal that was opened elsewhere."""
    thread = ThreadExecutor()
    seen = []

    def call(number):
        seen.append((number, threading.get_ident()))
        return journal_env.store(factories.command(sid=f"DC{number:032x}")).command_id

    try:
        assert await asyncio.gather(*(thread.run(call, number) for number in range(5))) == [1, 2, 3, 4, 5]
    finally:
        thread.close()
    assert [number for number, _ in seen] == list(range(5))
    [used] = {ident for _, ident in seen}
    assert used != threading.get_ident()
    journal_env.restart()
    assert len(journal_env.inbox.list_pending()) == 5


@pytest.mark.parametrize("kind", [ThreadExecutor, InlineExecutor])
async def test_executor_returns_results_and_raises_errors(kind):
    """Positional and keyword arguments are passed on."""
    made = kind()
    try:
        assert await made.run(lambda one, *, two: (one, two), 1, two=2) == (1, 2)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            await made.run(_full)
    finally:
        made.close()


async def test_close_waits_for_the_running_call():
    """Its rows are written before the journal is closed."""
    thread = ThreadExecutor()
    started, may_end, ended = threading.Event(), threading.Event(), []

    def call():
        started.set()
        may_end.wait(30)
        ended.append(1)

    call_under_way = asyncio.ensure_future(thread.run(call))
    await asyncio.to_thread(started.wait, 30)
    closing = asyncio.ensure_future(asyncio.to_thread(thread.close))
    may_end.set()
    await closing
    assert ended == [1]
    await call_under_way


def test_retry_until_committed_backs_off_and_logs_once(pipeline):
    """The pauses grow to the longest one; the first failure is logged, and the success after it."""
    times = []

    def write(what):
        times.append(asyncio.get_running_loop().time())
        if len(times) <= 8:
            raise sqlite3.OperationalError("disk full")
        return what

    assert run_virtual(retry_until_committed(pipeline.runtime, write, "noted")) == "noted"
    pauses = [after - before for before, after in pairwise(times)]
    assert pauses == pytest.approx([0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 30.0, 30.0])
    assert [event.kind for event in pipeline.events] == ["journal cannot commit", "journal commits again"]
    assert pipeline.events[0].message.startswith("disk full; ")


def _full():
    raise sqlite3.OperationalError("database or disk is full")


async def test_call_of_a_cancelled_caller_is_not_made():
    """It waited behind another one; that one's result still arrives."""
    thread = ThreadExecutor()
    may_end, calls = threading.Event(), []
    first = asyncio.ensure_future(thread.run(may_end.wait, 30))
    second = asyncio.ensure_future(thread.run(calls.append, 2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    may_end.set()
    assert await first
    await asyncio.to_thread(thread.close)
    assert calls == []
    with pytest.raises(RuntimeError, match="has ended"):
        await thread.run(calls.append, 3)
