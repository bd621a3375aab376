"""Calls that may block happen beside the event loop."""

import asyncio
import threading

import pytest

from hardware.blocking import run_in_thread


async def test_result_and_exception_are_passed_on():
    """The call runs in its own daemon thread, which keeps no process alive."""

    def work():
        return threading.current_thread()

    def stumble():
        raise OSError(5, "Input/output error")

    thread = await run_in_thread(work, "port")
    assert (thread.name, thread.daemon) == ("port", True)
    assert thread is not threading.main_thread()
    with pytest.raises(OSError, match="Input/output error"):
        await run_in_thread(stumble, "port")


@pytest.mark.parametrize("fails", [False, True])
async def test_abandoned_result_is_handled_in_a_thread(fails):
    """A port that opens too late is closed again, which may block as well; an exception is dropped."""
    begun, go_on = asyncio.Event(), threading.Event()
    given, done, unheard = [], asyncio.Event(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: unheard.append(context))

    def work():
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        if fails:
            loop.call_soon_threadsafe(done.set)
            raise OSError
        return "opened"

    def abandoned(result):
        given.append((result, threading.current_thread() is threading.main_thread()))
        loop.call_soon_threadsafe(done.set)

    waiting = asyncio.ensure_future(run_in_thread(work, "port", abandoned))
    async with asyncio.timeout(10):
        await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go_on.set()
    async with asyncio.timeout(10):
        await done.wait()
    await asyncio.sleep(0)
    assert given == ([] if fails else [("opened", False)])
    assert not unheard


def test_result_after_the_end_of_the_loop_is_abandoned():
    """An exception is dropped."""
    go_on, gone, given, hooked = threading.Event(), threading.Event(), [], []
    threads = []

    def work():
        threads.append(threading.current_thread())
        go_on.wait(10)
        return "opened"

    def stumble():
        threads.append(threading.current_thread())
        go_on.wait(10)
        raise OSError

    def abandoned(result):
        given.append(result)
        gone.set()

    async def begin():
        # The end of `run` cancels them, and their loop is closed before their work is done.
        waiting = [
            asyncio.ensure_future(run_in_thread(work, "port", abandoned)),
            asyncio.ensure_future(run_in_thread(stumble, "port", abandoned)),
        ]
        await asyncio.wait(waiting, timeout=0)

    before, threading.excepthook = threading.excepthook, hooked.append
    try:
        asyncio.run(begin())
        go_on.set()
        assert gone.wait(10)
        assert len(threads) == 2
        for thread in threads:
            thread.join(10)
    finally:
        threading.excepthook = before
    assert given == ["opened"]
    assert not hooked
