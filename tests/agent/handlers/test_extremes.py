"""Handlers that exceed every limit: the excess is dropped, and the next Command works."""

import shutil
import time

import pytest

from agent.handlers.results import Failed, Finished, TimedOut


async def test_hundred_megabytes_of_output_are_limited(handler_directory, handler_env):
    """The output is read to its end and dropped beyond the limit."""
    handler_directory.write_executable(
        "do", f"head -c 100000000 /dev/zero; touch {handler_directory.path}/.done"
    )
    result = await handler_env.run("do")
    assert len(result.reply) <= 128 * 1024
    assert (handler_directory.path / ".done").exists()
    assert await handler_env.run("do") == result


async def test_output_of_nuls_is_kept(handler_directory, handler_env):
    """It is returned unchanged; which characters can be sent is decided when the reply is composed."""
    handler_directory.write_executable("do", "head -c 100 /dev/zero")
    assert await handler_env.run("do") == Finished("\0" * 100)


async def test_megabyte_of_log_without_newline_is_limited(handler_directory, handler_env, log_lines):
    """The limit holds without a newline, and the reply has none of it."""
    handler_directory.write_executable("do", "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo ok")
    assert await handler_env.run("do") == Finished("ok")
    assert sum(map(len, log_lines)) < 20_000


async def test_unread_input_does_not_block(handler_directory, handler_env):
    """A handler may close its input or never read it, however long it is."""
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
async def test_leftovers_of_handler_do_not_block(handler_directory, handler_env, body):
    """Threads, tasks and process settings that remain affect neither its reply nor the next Command."""
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
async def test_busy_c_code_is_killed_at_time_limit(handler_directory, handler_env, body):
    """No Python code runs meanwhile, so only SIGKILL from outside can end it."""
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


async def test_deleted_directory_fails_runs(handler_directory, handler_env):
    """Executables fail; a loaded Python file still runs, or fails alone."""
    handler_directory.write_executable("do", "echo ok")
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): return "f"')
    assert await handler_env.run("do") == Finished("ok")
    assert await handler_env.run("f") == Finished("f")
    shutil.rmtree(handler_directory.path)
    assert isinstance(await handler_env.run("do"), Failed)
    assert isinstance(await handler_env.run("f"), (Finished, Failed))
