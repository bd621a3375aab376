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
from agent.handlers.catalogue import CatalogueError
from agent.handlers.runner import Failed, Finished, Later, ProcessRunner


async def test_a_handler_gets_the_whole_command(folder, house):
    """Every field, as the agent knows it."""
    folder.python(
        "x.py",
        """
        @handler(default=True)
        def show(c):
            when = c.timestamp and c.timestamp.isoformat()
            return repr((c.sid, c.sender, when, c.mode, c.attempt, c.text, c.data, c.words))
        """,
    )
    when = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    outcome = await house.command("a  \0b\ud800\n", sid="HC1", timestamp=when, attempt=2)
    stamp = "2026-05-04T03:02:01+00:00"
    expected = ("HC1", "2936", stamp, "text", 2, "a  \0b\ud800\n", None, ("a", "\0b\ud800"))
    assert outcome == Finished(repr(expected))
    octets = b"\0\xff\n"
    expected = (None, "2936", None, "binary", 1, None, octets, ())
    assert await house.command(octets) == Finished(repr(expected))


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
async def test_how_it_ends(folder, house, body, outcome):
    """What is returned is the reply, what is raised a failure with a reason; the next Command works."""
    folder.python(
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
    assert await house.command("f") == outcome
    assert await house.command("g") == Finished("g")


@pytest.mark.parametrize("first", [0, 3])
async def test_a_handler_that_closes_all_files(folder, house, first):
    """Nobody can talk with its process any more: it fails, the next Command gets another."""
    folder.python(
        "x.py",
        f"""
        @handler("f")
        def f(c): os.closerange({first}, 100)
        @handler("g")
        def g(c): return "g"
        """,
    )
    outcome = await house.command("f")
    assert isinstance(outcome, Failed)
    assert outcome.reason.startswith("its process ended")
    assert await house.command("g") == Finished("g")


async def test_a_repeatable_handler_may_ask_for_later(folder, house):
    """With its reason."""
    folder.python("x.py", '@handler("f", repeatable=True)\ndef f(c): raise TryLater(f"attempt {c.attempt}")')
    assert await house.command("f", attempt=2) == Later("attempt 2")


async def test_what_it_prints_is_for_the_log(folder, house, said):
    """Also what a child of it writes, and on both outputs; the talk of worker and keeper is not disturbed."""
    folder.python(
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
    assert await house.command("f") == Finished("ok")
    assert said[0] == "x.py: loaded"
    assert set(said[1:]) == {"x.py: printed\\x07", "x.py: \\udcff", "x.py: raw", "x.py: child"}


async def test_a_handler_that_closes_its_output(folder, house, said):
    """Has done its work all the same; the file descriptor stays what it is, for the children it starts."""
    folder.python("x.py", '@handler("f")\ndef f(c): sys.stdout.close(); os.write(1, b"raw\\n"); return "ok"')
    for _ in range(2):
        assert await house.command("f") == Finished("ok")
    assert said == ["x.py: raw"] * 2


async def test_the_log_of_a_failure_has_the_traceback(folder, house, said):
    """The SMS gets a word, the log the place."""
    folder.python("x.py", '@handler("f")\ndef f(c): 1 / 0')
    await house.command("f")
    assert said[0] == "x.py: Traceback (most recent call last):"
    assert said[-1] == "x.py: ZeroDivisionError: division by zero"


async def test_each_run_may_write_to_the_log(folder, house, said):
    """The bound is one a run: a talkative Command does not silence the next."""
    folder.python("x.py", '@handler("f")\ndef f(c): print(c.words[1] * int(c.words[2]))')
    await house.command("f a 50000")
    await house.command("f b 3")
    assert said[-1] == "x.py: bbb"
    assert sum(map(len, said)) < 10_000


async def test_variables_stay(folder, house):
    """The process is kept warm."""
    folder.python("x.py", 'n = [0]\n@handler("f")\ndef f(c): n[0] += 1; return f"{n[0]} {os.getpid()}"')
    first, second = (await house.command("f")).reply, (await house.command("f")).reply
    assert (first.split()[0], second.split()[0]) == ("1", "2")
    assert first.split()[1] == second.split()[1]


async def test_files_have_processes_of_their_own(folder, house):
    """And different files run side by side: each waits for the other to have begun."""
    here, there = folder.path / ".here", folder.path / ".there"
    os.mkfifo(here)
    os.mkfifo(there)
    folder.python(
        "a.py", f'@handler("a")\ndef a(c): open("{here}", "w").close(); return open("{there}").read()'
    )
    folder.python(
        "b.py", f'@handler("b")\ndef b(c): open("{here}").read(); open("{there}", "w").write("b"); return "a"'
    )
    await house.catalogue()
    assert await asyncio.gather(house.command("a"), house.command("b")) == [Finished("b"), Finished("a")]


async def test_functions_of_a_file_run_one_at_a_time(folder, house):
    """In the order in which they were asked for."""
    folder.python(
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
    await house.catalogue()
    replies = await asyncio.gather(*(house.command(f"{'fg'[n % 2]} {n}") for n in range(6)))
    assert replies[-1] == Finished("012345")


async def test_async_handlers(folder, house):
    """Awaited to their end; what they raise is a failure like any other."""
    folder.python(
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
    assert await house.command("f") == Finished("ok", "after")
    assert await house.act("f", "after") == Failed("ValueError: late (x.py line 11)")


async def test_answer_then_act(folder, house, whisper):
    """A plain function of the same file, called with the Command; what it returns is no reply."""
    folder.python(
        "x.py",
        f"""
        @handler("f")
        def f(c): return Reply("ok", then="act")
        def act(c):
            open("{whisper.path}", "w").write(c.text + "\\n")
            return "nobody reads this"
        """,
    )
    assert await house.act("f now", "act") == Finished(None)
    assert await whisper.line() == "f now"
    assert isinstance(await house.act("f", "sys"), Failed)


async def test_a_child_that_returns_from_the_handler(folder, house):
    """Forked by the handler, it does not answer in its parent's place, nor take its next Command."""
    folder.python("x.py", '@handler("f")\ndef f(c): return "child" if os.fork() == 0 else "parent"')
    for _ in range(3):
        assert await house.command("f") == Finished("parent")


async def test_two_handlers_in_one_process_do_not_see_each_other(folder, house):
    """A file that is named like a module of Python takes nobody's place; `_name.py` can be imported."""
    folder.python("random.py", '@handler("f")\ndef f(c): import random; return random.__file__')
    folder.python("_shared.py", 'word = "shared"')
    folder.python("y.py", 'from _shared import word\n@handler("g")\ndef g(c): return word')
    assert "handlers" not in (await house.command("f")).reply
    assert await house.command("g") == Finished("shared")
    assert not (folder.path / "__pycache__" / "y.cpython-311.pyc").exists()


async def test_modules_find_themselves(folder, house):
    """Dataclasses and pickle look their module up; `__file__` tells where the file is."""
    folder.python(
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
    assert await house.command("f") == Finished("Point(x=5) x.py handlers_x")


async def test_handlers_do_not_see_systemds_words(folder, monkeypatch):
    """The environment of Python files is as clean as that of executables."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    runner = ProcessRunner(lambda _: None)
    file = folder.python("x.py", 'assert "NOTIFY_SOCKET" not in os.environ')
    assert await runner.declare(file) == []
    await runner.close()


async def test_a_worker_that_has_grown_is_replaced(folder, house):
    """After the Command that made it grow, which is answered."""
    folder.python(
        "x.py",
        """
        kept = []
        @handler("f")
        def f(c):
            kept.append(b"x" * (int(c.words[1]) * 1024 * 1024))
            return str(os.getpid())
        """,
    )
    pids = [(await house.command(f"f {size}")).reply for size in (1, 8, 40, 1)]
    assert pids[0] == pids[1] == pids[2] != pids[3]


@pytest.mark.skipif(
    not Path(f"/proc/self/task/{os.getpid()}/children").exists(), reason="this kernel does not list children"
)
async def test_a_worker_full_of_dead_children_is_replaced(folder, house):
    """Somebody must take leave of them."""
    folder.python(
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
    pids = [(await house.command(f"f {children}")).reply for children in (3, 40, 0)]
    assert pids[0] == pids[1] != pids[2]


async def test_memory_has_a_bound(folder, said):
    """A handler that wants too much gets a MemoryError; it may raise its own limit."""
    runner = ProcessRunner(lambda step: said.append(step.detail), memory=100 * 1024 * 1024)
    file = folder.python("x.py", 'print("start")\nx = bytes(200 * 1024 * 1024)')
    with pytest.raises(Exception, match=r"x.py line 4: MemoryError"):
        await runner.declare(file)
    raised = folder.python(
        "y.py",
        """
        import resource
        resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))
        x = bytes(200 * 1024 * 1024)
        """,
    )
    assert await runner.declare(raised) == []
    await runner.close()


def test_a_lower_bound_of_the_host_stays():
    """Where the agent itself may not have so much (LimitDATA= of systemd), handlers start all the same."""
    code = """
import resource
from agent.handlers.keeper import _spare_the_agent
resource.setrlimit(resource.RLIMIT_DATA, (100 << 20, 100 << 20))
_spare_the_agent(200 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (100 << 20, 100 << 20)
_spare_the_agent(50 << 20)
assert resource.getrlimit(resource.RLIMIT_DATA) == (50 << 20, 100 << 20)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(agent.__file__).parents[1])


async def test_the_kernel_takes_handlers_first(folder, house):
    """When memory runs out, the agent is the last to go."""
    folder.python("x.py", '@handler("f")\ndef f(c): return open("/proc/self/oom_score_adj").read()')
    assert await house.command("f") == Finished("500\n")


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
async def test_a_file_that_cannot_be_used(folder, house, source, sentence):
    """One sentence with file and line, no traceback."""
    folder.python("x.py", source)
    with pytest.raises(CatalogueError) as raised:
        await house.catalogue()
    (found,) = raised.value.sentences
    assert str(folder.path / "x.py") in found
    assert sentence in found
    assert "\n" not in found
    assert "Traceback" not in found


async def test_a_file_that_is_no_text(folder, house):
    """Said like any other mistake."""
    folder.file("x.py", "").write_bytes(b"\0\xff\xfe")
    with pytest.raises(CatalogueError, match=r"x\.py"):
        await house.catalogue()


async def test_a_file_that_never_ends_loading(folder):
    """Is ended at its limit."""
    runner = ProcessRunner(lambda _: None, load_limit_s=0.1)
    file = folder.python("x.py", "time.sleep(1000)")
    with pytest.raises(Exception, match=r"x\.py was still loading after 0\.1 s"):
        await runner.declare(file)
    await runner.close()


async def test_a_file_that_has_changed(folder, house):
    """What runs is what was loaded; loaded anew without the handler, the reason says so."""
    folder.python("x.py", '@handler("f")\ndef f(c): return "old"\n@handler("g")\ndef g(c): os._exit(1)')
    await house.catalogue()
    folder.python("x.py", "")
    assert await house.command("f") == Finished("old")
    assert isinstance(await house.command("g"), Failed)
    assert "restart modem-agent" in (await house.command("f")).reason
    folder.python("x.py", "syntax error")
    assert isinstance(await house.command("g"), Failed)
    await house.command("g")
    assert "x.py" in (await house.command("f")).reason


async def test_a_file_that_breaks_and_does_not_let_go(folder, house):
    """A process that could not load its file gets no Command any more, even where it will not end."""
    good = '@handler("f")\ndef f(c): return "ok"\n@handler("g")\ndef g(c): os._exit(1)'
    folder.python("x.py", good)
    await house.catalogue()
    folder.python("x.py", "os._exit = lambda status: time.sleep(1000)\nraise OSError")
    assert isinstance(await house.command("g"), Failed)
    assert "OSError" in (await house.command("f")).reason
    folder.python("x.py", good)
    async with asyncio.timeout(10):
        assert await house.command("f") == Finished("ok")


async def test_a_file_can_be_loaded_again(folder, runner):
    """Each time from the disk."""
    file = folder.python("x.py", '@handler("f")\ndef f(c): ...')
    assert [each.words for each in await runner.declare(file)] == [("f",)]
    folder.python("x.py", '@handler("g", "h")\ndef f(c): ...')
    assert [each.words for each in await runner.declare(file)] == [("g", "h")]
