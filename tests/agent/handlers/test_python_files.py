"""Python files, each loaded into a real worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

import agent
from agent.handlers.registry import HandlerConfigError
from agent.handlers.runner import Failed, Finished, ProcessRunner, RetryLater


async def test_a_handler_gets_the_whole_command(handler_directory, handler_env):
    """Every field, as the agent knows it."""
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
    outcome = await handler_env.run("a  \0b\ud800\n", sid="HC1", timestamp=when, attempt=2)
    stamp = "2026-05-04T03:02:01+00:00"
    expected = ("HC1", "2936", stamp, "text", 2, "a  \0b\ud800\n", None, ("a", "\0b\ud800"))
    assert outcome == Finished(repr(expected))
    octets = b"\0\xff\n"
    expected = (None, "2936", None, "binary", 1, None, octets, ())
    assert await handler_env.run(octets) == Finished(repr(expected))


@pytest.mark.parametrize(
    ("body", "outcome"),
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
            Failed("there is no function nowhere in this file to do after the answer (x.py)"),
        ),
        (
            'return Reply("ok", then="os")',
            Failed("there is no function os in this file to do after the answer (x.py)"),
        ),
        (
            'return Reply("ok", then="Reply")',
            Failed("there is no function Reply in this file to do after the answer (x.py)"),
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
async def test_how_it_ends(handler_directory, handler_env, body, outcome):
    """What is returned is the reply, what is raised a failure with a reason; the next Command works."""
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
    assert await handler_env.run("f") == outcome
    assert await handler_env.run("g") == Finished("g")


@pytest.mark.parametrize("first", [0, 3])
async def test_a_handler_that_closes_all_files(handler_directory, handler_env, first):
    """Nobody can talk with its process any more: it fails, the next Command gets another."""
    handler_directory.write_python(
        "x.py",
        f"""
        @handler("f")
        def f(c): os.closerange({first}, 100)
        @handler("g")
        def g(c): return "g"
        """,
    )
    outcome = await handler_env.run("f")
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("its process ended")
    assert await handler_env.run("g") == Finished("g")


async def test_a_repeatable_handler_may_ask_for_later(handler_directory, handler_env):
    """With its reason."""
    handler_directory.write_python(
        "x.py", '@handler("f", repeatable=True)\ndef f(c): raise TryLater(f"attempt {c.attempt}")'
    )
    assert await handler_env.run("f", attempt=2) == RetryLater("attempt 2")


async def test_what_it_prints_is_for_the_log(handler_directory, handler_env, log_lines):
    """Also what a child of it writes, and on both outputs; the talk of worker and keeper is not disturbed."""
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


async def test_a_handler_that_closes_its_output(handler_directory, handler_env, log_lines):
    """Has done its work all the same; the file descriptor stays what it is, for the children it starts."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): sys.stdout.close(); os.write(1, b"raw\\n"); return "ok"'
    )
    for _ in range(2):
        assert await handler_env.run("f") == Finished("ok")
    assert log_lines == ["x.py: raw"] * 2


async def test_the_log_of_a_failure_has_the_traceback(handler_directory, handler_env, log_lines):
    """The SMS gets a word, the log the place."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): 1 / 0')
    await handler_env.run("f")
    assert log_lines[0] == "x.py: Traceback (most recent call last):"
    assert log_lines[-1] == "x.py: ZeroDivisionError: division by zero"


async def test_each_run_may_write_to_the_log(handler_directory, handler_env, log_lines):
    """The bound is one a run: a talkative Command does not silence the next."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): print(c.words[1] * int(c.words[2]))')
    await handler_env.run("f a 50000")
    await handler_env.run("f b 3")
    assert log_lines[-1] == "x.py: bbb"
    assert sum(map(len, log_lines)) < 10_000


async def test_variables_stay(handler_directory, handler_env):
    """The process is kept warm."""
    handler_directory.write_python(
        "x.py", 'n = [0]\n@handler("f")\ndef f(c): n[0] += 1; return f"{n[0]} {os.getpid()}"'
    )
    first, second = (await handler_env.run("f")).reply, (await handler_env.run("f")).reply
    assert (first.split()[0], second.split()[0]) == ("1", "2")
    assert first.split()[1] == second.split()[1]


async def test_files_have_processes_of_their_own(handler_directory, handler_env):
    """And different files run side by side: each waits for the other to have begun."""
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
    """In the order in which they were asked for."""
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


async def test_async_handlers(handler_directory, handler_env):
    """Awaited to their end; what they raise is a failure like any other."""
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


async def test_answer_then_act(handler_directory, handler_env, fifo):
    """A plain function of the same file, called with the Command; what it returns is no reply."""
    handler_directory.write_python(
        "x.py",
        f"""
        @handler("f")
        def f(c): return Reply("ok", then="act")
        def act(c):
            open("{fifo.path}", "w").write(c.text + "\\n")
            return "nobody reads this"
        """,
    )
    assert await handler_env.run_action("f now", "act") == Finished(None)
    assert await fifo.read_line() == "f now"
    assert isinstance(await handler_env.run_action("f", "sys"), Failed)


async def test_a_child_that_returns_from_the_handler(handler_directory, handler_env):
    """Forked by the handler, it does not answer in its parent's place, nor take its next Command."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return "child" if os.fork() == 0 else "parent"'
    )
    for _ in range(3):
        assert await handler_env.run("f") == Finished("parent")


async def test_two_handlers_in_one_process_do_not_see_each_other(handler_directory, handler_env):
    """A file that is named like a module of Python takes nobody's place; `_name.py` can be imported."""
    handler_directory.write_python(
        "random.py", '@handler("f")\ndef f(c): import random; return random.__file__'
    )
    handler_directory.write_python("_shared.py", 'word = "shared"')
    handler_directory.write_python("y.py", 'from _shared import word\n@handler("g")\ndef g(c): return word')
    assert "handlers" not in (await handler_env.run("f")).reply
    assert await handler_env.run("g") == Finished("shared")
    assert not (handler_directory.path / "__pycache__" / "y.cpython-311.pyc").exists()


async def test_modules_find_themselves(handler_directory, handler_env):
    """Dataclasses and pickle look their module up; `__file__` tells where the file is."""
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


async def test_handlers_do_not_see_systemds_words(handler_directory, monkeypatch):
    """The environment of Python files is as clean as that of executables."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    runner = ProcessRunner(lambda _: None)
    file = handler_directory.write_python("x.py", 'assert "NOTIFY_SOCKET" not in os.environ')
    assert await runner.load(file) == []
    await runner.close()


async def test_a_worker_that_has_grown_is_replaced(handler_directory, handler_env):
    """After the Command that made it grow, which is answered."""
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
async def test_a_worker_full_of_dead_children_is_replaced(handler_directory, handler_env):
    """Somebody must take leave of them."""
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


async def test_memory_has_a_bound(handler_directory, log_lines):
    """A handler that wants too much gets a MemoryError; it may raise its own limit."""
    runner = ProcessRunner(lambda step: log_lines.append(step.message), memory_limit=100 * 1024 * 1024)
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


def test_a_lower_bound_of_the_host_stays():
    """Where the agent itself may not have so much (LimitDATA= of systemd), handlers start all the same."""
    code = """
import resource
from agent.handlers.manager import _spare_the_agent
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
_spare_the_agent(200 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (100 << 20, 100 << 20)
_spare_the_agent(50 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (50 << 20, 100 << 20)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(agent.__file__).parents[1])


async def test_the_kernel_takes_handlers_first(handler_directory, handler_env):
    """When memory runs out, the agent is the last to go."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return open("/proc/self/oom_score_adj").read()'
    )
    assert await handler_env.run("f") == Finished("500\n")


@pytest.mark.parametrize(
    ("source", "sentence"),
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
async def test_a_file_that_cannot_be_used(handler_directory, handler_env, source, sentence):
    """One sentence with file and line, no traceback."""
    handler_directory.write_python("x.py", source)
    with pytest.raises(HandlerConfigError) as raised:
        await handler_env.registry()
    (found,) = raised.value.errors
    assert str(handler_directory.path / "x.py") in found
    assert sentence in found
    assert "\n" not in found
    assert "Traceback" not in found


async def test_a_file_that_is_no_text(handler_directory, handler_env):
    """Said like any other mistake."""
    handler_directory.write("x.py", "").write_bytes(b"\0\xff\xfe")
    with pytest.raises(HandlerConfigError, match=r"x\.py"):
        await handler_env.registry()


async def test_a_file_that_never_ends_loading(handler_directory):
    """Is ended at its limit."""
    runner = ProcessRunner(lambda _: None, load_timeout_s=0.1)
    file = handler_directory.write_python("x.py", "time.sleep(1000)")
    with pytest.raises(Exception, match=r"x\.py was still loading after 0\.1 s"):
        await runner.load(file)
    await runner.close()


async def test_a_file_that_has_changed(handler_directory, handler_env):
    """What runs is what was loaded; loaded anew without the handler, the reason says so."""
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): return "old"\n@handler("g")\ndef g(c): os._exit(1)'
    )
    await handler_env.registry()
    handler_directory.write_python("x.py", "")
    assert await handler_env.run("f") == Finished("old")
    assert isinstance(await handler_env.run("g"), Failed)
    assert "restart modem-agent" in (await handler_env.run("f")).reason
    handler_directory.write_python("x.py", "syntax error")
    assert isinstance(await handler_env.run("g"), Failed)
    await handler_env.run("g")
    assert "x.py" in (await handler_env.run("f")).reason


async def test_a_file_that_breaks_and_does_not_let_go(handler_directory, handler_env):
    """A process that could not load its file gets no Command any more, even where it will not end."""
    good = '@handler("f")\ndef f(c): return "ok"\n@handler("g")\ndef g(c): os._exit(1)'
    handler_directory.write_python("x.py", good)
    await handler_env.registry()
    handler_directory.write_python("x.py", "os._exit = lambda status: time.sleep(1000)\nraise OSError")
    assert isinstance(await handler_env.run("g"), Failed)
    assert "OSError" in (await handler_env.run("f")).reason
    handler_directory.write_python("x.py", good)
    async with asyncio.timeout(10):
        assert await handler_env.run("f") == Finished("ok")


async def test_a_file_can_be_loaded_again(handler_directory, runner):
    """Each time from the disk."""
    file = handler_directory.write_python("x.py", '@handler("f")\ndef f(c): ...')
    assert [each.words for each in await runner.load(file)] == [("f",)]
    handler_directory.write_python("x.py", '@handler("g", "h")\ndef f(c): ...')
    assert [each.words for each in await runner.load(file)] == [("g", "h")]
