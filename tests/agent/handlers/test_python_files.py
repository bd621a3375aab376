"""Python handler files, each loaded into a real worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import agent
from agent.handlers.runner import Failed, Finished, ProcessRunner, RetryLater


async def test_handler_gets_whole_command(handler_directory, handler_env):
    """Every field has the value that the agent has."""
    handler_directory.write_python(
        "x.py",
        """
        @handler(default=True)
        def show(c):
            when = c.timestamp and c.timestamp.isoformat()
            return repr((c.sid, c.sender, when, c.mode, c.attempt, c.text, c.data, c.words))
        """,
    )
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    result = await handler_env.run("a  \0b\ud800\n", sid="HC1", timestamp=when, attempt=2)
    stamp = "2026-05-04T03:02:01+00:00"
    expected = ("HC1", "2936", stamp, "text", 2, "a  \0b\ud800\n", None, ("a", "\0b\ud800"))
    assert result == Finished(repr(expected))
    octets = b"\0\xff\n"
    expected = (None, "2936", None, "binary", 1, None, octets, ())
    assert await handler_env.run(octets) == Finished(repr(expected))


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ('return "ok"', Finished("ok")),
        ('return "ok\\n\\ud83d"', Finished("ok\n\ud83d")),
        ('return b"\\x00\\xff"', Finished(b"\x00\xff")),
        ('return bytearray(b"x")', Finished(b"x")),
        ("return None", Finished(None)),
        ('return ""', Finished(None)),
        ('return b""', Finished(None)),
        ('return Reply("ok")', Finished("ok")),
        ('return Reply(b"ok")', Finished(b"ok")),
        ("return Reply(None)", Finished(None)),
        ('return Reply("ok", then="act")', Finished("ok", "act")),
        (
            'return Reply("ok", then="nowhere")',
            Failed("this file has no function nowhere to run after the reply (x.py)"),
        ),
        (
            'return Reply("ok", then="os")',
            Failed("this file has no function os to run after the reply (x.py)"),
        ),
        (
            'return Reply("ok", then="Reply")',
            Failed("this file has no function Reply to run after the reply (x.py)"),
        ),
        ("return 5", Failed("it returned int; a handler returns str, bytes, Reply or None (x.py)")),
        ("raise ValueError('no\\n such  thing')", Failed("ValueError: no such thing (x.py line 7)")),
        ("raise KeyError", Failed("KeyError (x.py line 7)")),
        ("raise Exception('x' * 500)", Failed("Exception: " + "x" * 158 + ".. (x.py line 7)")),
        ("raise Broken", Failed("Broken (x.py line 7)")),
        ("sys.exit(3)", Failed("it called sys.exit(3) (x.py line 7)")),
        ("raise KeyboardInterrupt", Failed("KeyboardInterrupt (x.py line 7)")),
        ("raise TryLater('busy')", Failed("busy (TryLater from a handler that is not repeatable)")),
        ("f(c)", Failed("RecursionError: maximum recursion depth exceeded (x.py line 7)")),
        ("os._exit(4)", Failed("its process ended: exit status 4")),
        ("os.kill(os.getpid(), 9)", Failed("its process ended: killed by SIGKILL")),
    ],
)
async def test_return_value_or_exception_decides_result(handler_directory, handler_env, body, result):
    """A returned value is the reply, an exception is a failure with a reason; the next Command works."""
    handler_directory.write_python(
        "x.py",
        f"""
        class Broken(BaseException):
            def __str__(self): raise OSError
        @handler("f")
        def f(c): {body}
        def act(c): pass
        @handler("g")
        def g(c): return "g"
        """,
    )
    assert await handler_env.run("f") == result
    assert await handler_env.run("g") == Finished("g")


@pytest.mark.parametrize("first", [0, 3])
async def test_handler_that_closes_all_files_is_replaced(handler_directory, handler_env, first):
    """Its process cannot answer any more: the run fails, and the next Command gets a new process."""
    handler_directory.write_python(
        "x.py",
        f"""
        @handler("f")
        def f(c): os.closerange({first}, 100)
        @handler("g")
        def g(c): return "g"
        """,
    )
    result = await handler_env.run("f")
    assert isinstance(result, Failed)
    assert result.reason.startswith("its process ended")
    assert await handler_env.run("g") == Finished("g")


async def test_try_later_asks_for_retry(handler_directory, handler_env):
    """The result has the reason that a repeatable handler gave."""
    handler_directory.write_python(
        "x.py", '@handler("f", repeatable=True)\ndef f(c): raise TryLater(f"attempt {c.attempt}")'
    )
    assert await handler_env.run("f", attempt=2) == RetryLater("attempt 2")


async def test_printed_output_goes_to_the_log(handler_directory, handler_env, log_lines):
    """The output of children goes there too, from both streams, and never between the frames."""
    handler_directory.write_python(
        "x.py",
        r"""
        print("loaded")
        @handler("f")
        def f(c):
            print("printed\x07", end="")
            print("\udcff", file=sys.stderr)
            os.write(1, b"raw\n")
            os.system("echo child; cat")
            return "ok"
        """,
    )
    assert await handler_env.run("f") == Finished("ok")
    assert log_lines[0] == "x.py: loaded"
    assert set(log_lines[1:]) == {"x.py: printed\\x07", "x.py: \\udcff", "x.py: raw", "x.py: child"}


async def test_handler_may_close_its_output(handler_directory, handler_env, log_lines):
    """Its run succeeds, and the file descriptor stays open for the children that it starts."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): sys.stdout.close(); os.write(1, b"raw\\n"); return "ok"'
    )
    for _ in range(2):
        assert await handler_env.run("f") == Finished("ok")
    assert log_lines == ["x.py: raw"] * 2


async def test_traceback_of_failure_is_logged(handler_directory, handler_env, log_lines):
    """The reply is short; the log has the whole traceback."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): 1 / 0')
    await handler_env.run("f")
    assert log_lines[0] == "x.py: Traceback (most recent call last):"
    assert log_lines[-1] == "x.py: ZeroDivisionError: division by zero"


async def test_log_limit_applies_to_each_run(handler_directory, handler_env, log_lines):
    """A Command with much output does not use up the limit of the next."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): print(c.words[1] * int(c.words[2]))')
    await handler_env.run("f a 50000")
    await handler_env.run("f b 3")
    assert log_lines[-1] == "x.py: bbb"
    assert sum(map(len, log_lines)) < 10_000


async def test_module_variables_stay(handler_directory, handler_env):
    """The process stays for further Commands."""
    handler_directory.write_python(
        "x.py", 'n = [0]\n@handler("f")\ndef f(c): n[0] += 1; return f"{n[0]} {os.getpid()}"'
    )
    first, second = (await handler_env.run("f")).reply, (await handler_env.run("f")).reply
    assert (first.split()[0], second.split()[0]) == ("1", "2")
    assert first.split()[1] == second.split()[1]


async def test_files_run_concurrently(handler_directory, handler_env):
    """Each file has a process of its own: two runs that wait for each other both finish."""
    here, there = handler_directory.path / ".here", handler_directory.path / ".there"
    os.mkfifo(here)
    os.mkfifo(there)
    handler_directory.write_python(
        "a.py", f'@handler("a")\ndef a(c): open("{here}", "w").close(); return open("{there}").read()'
    )
    handler_directory.write_python(
        "b.py", f'@handler("b")\ndef b(c): open("{here}").read(); open("{there}", "w").write("b"); return "a"'
    )
    await handler_env.registry()
    assert await asyncio.gather(handler_env.run("a"), handler_env.run("b")) == [Finished("b"), Finished("a")]


async def test_functions_of_a_file_run_one_at_a_time(handler_directory, handler_env):
    """They run in the order of the requests."""
    handler_directory.write_python(
        "x.py",
        """
        import threading
        busy, order = threading.Lock(), []
        @handler("f")
        @handler("g")
        def f(c):
            assert busy.acquire(blocking=False)
            order.append(c.words[1])
            os.sched_yield()
            busy.release()
            return "".join(order)
        """,
    )
    await handler_env.registry()
    replies = await asyncio.gather(*(handler_env.run(f"{'fg'[n % 2]} {n}") for n in range(6)))
    assert replies[-1] == Finished("012345")


async def test_async_handler_is_awaited(handler_directory, handler_env):
    """Async handlers and actions are awaited to their end; an exception is a failure."""
    handler_directory.write_python(
        "x.py",
        """
        import asyncio
        @handler("f")
        async def f(c):
            await asyncio.sleep(0)
            return Reply("ok", then="after")
        async def after(c):
            await asyncio.sleep(0)
            raise ValueError("late")
        """,
    )
    assert await handler_env.run("f") == Finished("ok", "after")
    assert await handler_env.run_action("f", "after") == Failed("ValueError: late (x.py line 11)")


async def test_action_gets_command(handler_directory, handler_env, fifo):
    """An action is a function of the same file, called with the Command; its return value is ignored."""
    handler_directory.write_python(
        "x.py",
        f"""
        @handler("f")
        def f(c): return Reply("ok", then="act")
        def act(c):
            open("{fifo.path}", "w").write(c.text + "\\n")
            return "ignored"
        """,
    )
    assert await handler_env.run_action("f now", "act") == Finished(None)
    assert await fifo.read_line() == "f now"
    assert isinstance(await handler_env.run_action("f", "sys"), Failed)


async def test_forked_child_does_not_answer(handler_directory, handler_env):
    """A child that returns from the handler neither answers for its parent nor takes the next Command."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return "child" if os.fork() == 0 else "parent"'
    )
    for _ in range(3):
        assert await handler_env.run("f") == Finished("parent")


async def test_handler_file_hides_no_python_module(handler_directory, handler_env):
    """A handler file may have the name of a Python module; `_name.py` can be imported."""
    handler_directory.write_python(
        "random.py", '@handler("f")\ndef f(c): import random; return random.__file__'
    )
    handler_directory.write_python("_shared.py", 'word = "shared"')
    handler_directory.write_python("y.py", 'from _shared import word\n@handler("g")\ndef g(c): return word')
    assert "handlers" not in (await handler_env.run("f")).reply
    assert await handler_env.run("g") == Finished("shared")
    assert not (handler_directory.path / "__pycache__" / "y.cpython-311.pyc").exists()


async def test_handler_module_can_be_looked_up(handler_directory, handler_env):
    """Dataclasses and pickle look the module up by name; `__file__` is the path of the file."""
    handler_directory.write_python(
        "x.py",
        """
        import pickle
        from dataclasses import dataclass
        @dataclass
        class Point:
            x: "int"
        @handler("f")
        def f(c): return f"{pickle.loads(pickle.dumps(Point(5)))} {os.path.basename(__file__)} {__name__}"
        """,
    )
    assert await handler_env.run("f") == Finished("Point(x=5) x.py handlers_x")


async def test_systemd_variables_are_removed(handler_directory, monkeypatch):
    """Python files have the same filtered environment as executables."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    runner = ProcessRunner(lambda _: None)
    file = handler_directory.write_python("x.py", 'assert "NOTIFY_SOCKET" not in os.environ')
    assert await runner.load(file) == []
    await runner.close()


async def test_grown_worker_is_replaced(handler_directory, handler_env):
    """It is replaced after the Command that made it grow, which is answered."""
    handler_directory.write_python(
        "x.py",
        """
        kept = []
        @handler("f")
        def f(c):
            kept.append(b"x" * (int(c.words[1]) * 1024 * 1024))
            return str(os.getpid())
        """,
    )
    pids = [(await handler_env.run(f"f {size}")).reply for size in (1, 8, 40, 1)]
    assert pids[0] == pids[1] == pids[2] != pids[3]


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="this kernel does not list children"
)
async def test_worker_with_many_zombies_is_replaced(handler_directory, handler_env):
    """The zombies go away with the worker that did not wait for them."""
    handler_directory.write_python(
        "x.py",
        """
        @handler("f")
        def f(c):
            for _ in range(int(c.words[1])):
                if os.fork() == 0:
                    os._exit(0)
            return str(os.getpid())
        """,
    )
    pids = [(await handler_env.run(f"f {children}")).reply for children in (3, 40, 0)]
    assert pids[0] == pids[1] != pids[2]


async def test_memory_is_limited(handler_directory, log_lines):
    """A handler that needs too much gets a MemoryError; it may raise its own limit."""
    runner = ProcessRunner(lambda event: log_lines.append(event.message), memory_limit=100 * 1024 * 1024)
    file = handler_directory.write_python("x.py", 'print("start")\nx = bytes(200 * 1024 * 1024)')
    with pytest.raises(Exception, match=r"x.py line 4: MemoryError"):
        await runner.load(file)
    raised = handler_directory.write_python(
        "y.py",
        """
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
        x = bytes(200 * 1024 * 1024)
        """,
    )
    assert await runner.load(raised) == []
    await runner.close()


def test_lower_hard_limit_is_respected():
    """Handlers start even if the agent's own hard limit (LimitDATA= of systemd) is lower."""
    code = """
import resource
from agent.handlers.manager import _limit_memory
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
_limit_memory(200 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (100 << 20, 100 << 20)
_limit_memory(50 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (50 << 20, 100 << 20)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(agent.__file__).parents[1])


async def test_oom_killer_prefers_handlers(handler_directory, handler_env):
    """When memory runs out, the kernel must kill handlers before the agent."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return open("/proc/self/oom_score_adj").read()'
    )
    assert await handler_env.run("f") == Finished("500\n")


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def f(:", "x.py line 3: invalid syntax"),
        ("x = 1\n  y = 2", "x.py line 4: unexpected indent"),
        ("import no_such_module", "x.py line 3: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def f(): return 1 / 0\nf()", "x.py line 3: ZeroDivisionError: division by zero"),
        ("sys.exit(5)", "x.py line 3: it called sys.exit(5)"),
        ("os._exit(5)", "x.py cannot be loaded: its process ended: exit status 5"),
        ("@handler\ndef f(c): pass", 'line 3: TypeError: @handler needs brackets: @handler("word")'),
        ('@handler("f", retries=3)\ndef f(c): pass', "unexpected keyword argument 'retries'"),
        ('@handler("f", timeout_s=0)\ndef f(c): pass', "x.py line 3, f: timeout_s must be"),
    ],
)
async def test_load_error_names_file_and_line(handler_directory, handler_env, source, error):
    """It is one sentence with file and line, without a traceback."""
    handler_directory.write_python("x.py", source)
    ((found,),) = (await handler_env.registry()).unusable.values()
    assert str(handler_directory.path / "x.py") in found
    assert error in found
    assert "\n" not in found
    assert "Traceback" not in found


async def test_file_that_is_not_text_is_an_error(handler_directory, handler_env):
    """The error names the file."""
    handler_directory.write("x.py", "").write_bytes(b"\0\xff\xfe")
    assert "x.py" in (await handler_env.registry()).unusable


async def test_loading_has_a_time_limit(handler_directory):
    """A file that does not finish loading is an error."""
    runner = ProcessRunner(lambda _: None, load_timeout_s=0.1)
    file = handler_directory.write_python("x.py", "time.sleep(1000)")
    with pytest.raises(Exception, match=r"x\.py was still loading after 0\.1 s"):
        await runner.load(file)
    await runner.close()


async def test_changed_file_is_used_after_worker_restart(handler_directory, handler_env):
    """The loaded code runs until the worker ends; if the new file lacks the handler, this is the reason."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return "old"\n@handler("g")\ndef g(c): os._exit(1)'
    )
    await handler_env.registry()
    handler_directory.write_python("x.py", "")
    assert await handler_env.run("f") == Finished("old")
    assert isinstance(await handler_env.run("g"), Failed)
    assert "reload modem-agent" in (await handler_env.run("f")).reason
    handler_directory.write_python("x.py", "syntax error")
    assert isinstance(await handler_env.run("g"), Failed)
    await handler_env.run("g")
    assert "x.py" in (await handler_env.run("f")).reason


async def test_worker_that_failed_to_load_gets_no_command(handler_directory, handler_env):
    """It is replaced even if its process does not end."""
    good = '@handler("f")\ndef f(c): return "ok"\n@handler("g")\ndef g(c): os._exit(1)'
    handler_directory.write_python("x.py", good)
    await handler_env.registry()
    handler_directory.write_python("x.py", "os._exit = lambda status: time.sleep(1000)\nraise OSError")
    assert isinstance(await handler_env.run("g"), Failed)
    assert "OSError" in (await handler_env.run("f")).reason
    handler_directory.write_python("x.py", good)
    async with asyncio.timeout(10):
        assert await handler_env.run("f") == Finished("ok")


async def test_file_can_be_loaded_again(handler_directory, runner):
    """Each load reads the file from the disk."""
    file = handler_directory.write_python("x.py", '@handler("f")\ndef f(c): ...')
    assert [declaration.words for declaration in await runner.load(file)] == [("f",)]
    handler_directory.write_python("x.py", '@handler("g", "h")\ndef f(c): ...')
    assert [declaration.words for declaration in await runner.load(file)] == [("g", "h")]
