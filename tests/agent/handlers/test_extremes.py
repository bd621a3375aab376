"""Handlers that do too much of everything: bounded, told, and the next Command works."""

import shutil
import time

import pytest

from agent.handlers.results import Failed, Finished, TimedOut


async def test_a_hundred_megabytes_of_output(handler_directory, handler_env):
    """Read to the end and dropped beyond the bound."""
    handler_directory.write_executable(
        "do", f"head -c 100000000 /dev/zero; touch {handler_directory.path}/.done"
    )
    outcome = await handler_env.run("do")
    assert len(outcome.reply) <= 128 * 1024
    assert (handler_directory.path / ".done").exists()
    assert await handler_env.run("do") == outcome


async def test_nothing_but_nuls(handler_directory, handler_env):
    """They are handed on; what of it can be sent is decided where the answer is composed."""
    handler_directory.write_executable("do", "head -c 100 /dev/zero")
    assert await handler_env.run("do") == Finished("\0" * 100)


async def test_a_megabyte_of_complaint_in_one_line(handler_directory, handler_env, log_lines):
    """No line end ever comes: bounded all the same, and none of it in the answer."""
    handler_directory.write_executable("do", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert sum(map(len, log_lines)) < 20_000


async def test_input_that_nobody_reads(handler_directory, handler_env):
    """The longest body, into a handler that closes its input, or never looks at it."""
    handler_directory.write_executable("do", "exec 0<&-; echo ok")
    handler_directory.write_executable("never", "sleep 0.1; echo ok")
    for word in ("do", "never"):
        assert await handler_env.run(f"{word} {'x' * 100_000}") == Finished("ok")


@pytest.mark.parametrize(
    "body",
    [
        "threading.Thread(target=time.sleep, args=(60,)).start(); return 'ok'",
        "asyncio.run(left()); return 'ok'",
        "gc.freeze(); sys.setrecursionlimit(50); return 'ok'",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); return 'ok'",
    ],
)
async def test_what_it_leaves_behind_holds_nobody_up(handler_directory, handler_env, body):
    """Threads, tasks, settings of its process: its answer counts, the next Command is answered."""
    handler_directory.write_python(
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
    assert await handler_env.run("f") == Finished("ok")
    assert await handler_env.run("g") == Finished("g")
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "body", ["re.match('(a+)+$', 'a' * 64 + 'b')", "sum(iter(int, 1))", "int('9' * 4000) ** 10**7"]
)
async def test_work_in_c_that_hears_no_signal_ends_at_its_limit(handler_directory, handler_env, body):
    """No line of Python runs meanwhile, so nothing in its process could end it."""
    handler_directory.write_python(
        "x.py",
        f"""
        import re
        @handler("f", timeout_s=1)
        def f(c): {body}
        @handler("g")
        def g(c): return "g"
        """,
    )
    assert isinstance(await handler_env.run("f", timeout_s=1), TimedOut)
    assert await handler_env.run("g") == Finished("g")


async def test_the_folder_vanishes(handler_directory, handler_env):
    """A sentence for what cannot be started any more; what was loaded before runs on or fails alone."""
    handler_directory.write_executable("do", "echo ok")
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): return "f"')
    assert await handler_env.run("do") == Finished("ok")
    assert await handler_env.run("f") == Finished("f")
    shutil.rmtree(handler_directory.path)
    assert isinstance(await handler_env.run("do"), Failed)
    assert isinstance(await handler_env.run("f"), (Finished, Failed))
