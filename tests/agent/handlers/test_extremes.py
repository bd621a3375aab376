"""Handlers that do too much of everything: bounded, told, and the next Command works."""

import shutil
import time

import pytest

from agent.handlers.outcome import Failed, Finished, TimedOut


async def test_a_hundred_megabytes_of_output(folder, house):
    """Read to the end and dropped beyond the bound."""
    folder.executable("do", f"head -c 100000000 /dev/zero; touch {folder.path}/.done")
    outcome = await house.command("do")
    assert len(outcome.reply) <= 128 * 1024
    assert (folder.path / ".done").exists()
    assert await house.command("do") == outcome


async def test_nothing_but_nuls(folder, house):
    """They are handed on; what of it can be sent is decided where the answer is composed."""
    folder.executable("do", "head -c 100 /dev/zero")
    assert await house.command("do") == Finished("\0" * 100)


async def test_a_megabyte_of_complaint_in_one_line(folder, house, said):
    """No line end ever comes: bounded all the same, and none of it in the answer."""
    folder.executable("do", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo ok")
    assert await house.command("do") == Finished("ok")
    assert sum(map(len, said)) < 20_000


async def test_input_that_nobody_reads(folder, house):
    """The longest body, into a handler that closes its input, or never looks at it."""
    folder.executable("do", "exec 0<&-; echo ok")
    folder.executable("never", "sleep 0.1; echo ok")
    for word in ("do", "never"):
        assert await house.command(f"{word} {'x' * 100_000}") == Finished("ok")


@pytest.mark.parametrize(
    "body",
    [
        "threading.Thread(target=time.sleep, args=(60,)).start(); return 'ok'",
        "asyncio.run(left()); return 'ok'",
        "gc.freeze(); sys.setrecursionlimit(50); return 'ok'",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); return 'ok'",
    ],
)
async def test_what_it_leaves_behind_holds_nobody_up(folder, house, body):
    """Threads, tasks, settings of its process: its answer counts, the next Command is answered."""
    folder.python(
        "x.py",
        f"""
        import asyncio, gc, os, signal, sys, threading, time
        async def left():
            asyncio.get_running_loop().create_task(asyncio.sleep(60))
        @handler("f")
        def f(c): {body}
        @handler("g")
        def g(c): return "g"
        """,
    )
    began = time.monotonic()
    assert await house.command("f") == Finished("ok")
    assert await house.command("g") == Finished("g")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "body", ["re.match('(a+)+$', 'a' * 64 + 'b')", "sum(iter(int, 1))", "int('9' * 4000) ** 10**7"]
)
async def test_work_in_c_that_hears_no_signal_ends_at_its_limit(folder, house, body):
    """No line of Python runs meanwhile, so nothing in its process could end it."""
    folder.python(
        "x.py",
        f"""
        import re
        @handler("f", timeout_s=1)
        def f(c): {body}
        @handler("g")
        def g(c): return "g"
        """,
    )
    assert isinstance(await house.command("f", timeout_s=1), TimedOut)
    assert await house.command("g") == Finished("g")


async def test_the_folder_vanishes(folder, house):
    """A sentence for what cannot be started any more; what was loaded before runs on or fails alone."""
    folder.executable("do", "echo ok")
    folder.python("x.py", '@handler("f")\ndef f(c): return "f"')
    assert await house.command("do") == Finished("ok")
    assert await house.command("f") == Finished("f")
    shutil.rmtree(folder.path)
    assert isinstance(await house.command("do"), Failed)
    assert isinstance(await house.command("f"), (Finished, Failed))
