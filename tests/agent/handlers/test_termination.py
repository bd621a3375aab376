"""Time limits, stopping, and the killed agent: nothing that a handler started is left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path

import pytest

import agent
from agent.handlers import process_tree
from agent.handlers.runner import (
    Failed,
    Finished,
    NotStarted,
    ProcessRunner,
    ResourceExhausted,
    TimedOut,
)

IGNORE_SIGNALS = """
import signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
"""


async def test_an_executable_ends_at_its_limit(handler_directory, handler_env, fifo):
    """With its child, with one in another session, and with one that nobody is the parent of any more."""
    handler_directory.write_executable(
        "hang",
        f"""
        trap '' TERM
        sleep 1000 & echo $! >{fifo.quoted}
        setsid sleep 1000 & echo $! >{fifo.quoted}
        (setsid sh -c 'echo $$ >{fifo.path}; trap "" TERM; sleep 1000; :' &)
        echo $$ >{fifo.quoted}
        wait
        """,
    )
    handler_directory.write_executable("next", "echo ok")
    run = asyncio.create_task(handler_env.run("hang", timeout_s=0.3))
    begun = [await fifo.read_process() for _ in range(4)]
    assert await run == TimedOut()
    for process in begun:
        await process.ended()
    assert await handler_env.run("next") == Finished("ok")


@pytest.mark.parametrize(
    "body",
    [
        "time.sleep(1000)",
        "while True: pass",
        "os.read(os.pipe()[0], 1)",
        "os.kill(os.getpid(), 19)",
        "os.system('setsid sleep 1000')",
        "await_forever()",
    ],
)
async def test_a_python_handler_ends_at_its_limit(handler_directory, handler_env, fifo, body):
    """Whatever it does, signals ignored or not; the next Command of that file works."""
    handler_directory.write_python(
        "x.py",
        IGNORE_SIGNALS
        + f"""
def await_forever():
    import asyncio
    asyncio.run(asyncio.Event().wait())
@handler("f")
def f(c):
    open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n")
    {body}
@handler("g")
def g(c): return "ok"
""",
    )
    run = asyncio.create_task(handler_env.run("f", timeout_s=0.3))
    process = await fifo.read_process()
    assert await run == TimedOut()
    await process.ended()
    assert await handler_env.run("g") == Finished("ok")


async def test_a_python_handler_ends_with_what_it_forked(handler_directory, handler_env, fifo):
    """A child in its group, one in a session of its own, a grandchild whose parent is gone: all stubborn."""
    handler_directory.write_python(
        "x.py",
        IGNORE_SIGNALS
        + f"""
def tell_and_sleep():
    open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n")
    time.sleep(1000)
@handler("f")
def f(c):
    if os.fork() == 0:
        tell_and_sleep()
    if os.fork() == 0:
        os.setsid()
        tell_and_sleep()
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 100)
            tell_and_sleep()
        os._exit(0)
    tell_and_sleep()
""",
    )
    run = asyncio.create_task(handler_env.run("f", timeout_s=0.3))
    begun = [await fifo.read_process() for _ in range(4)]
    assert await run == TimedOut()
    for process in begun:
        await process.ended()


FORK_BOMB_SCRIPT = """#!{python}
import os, time
for _ in range(3000):
    time.sleep(0.001)
    if os.fork() == 0:
        os.setsid()
        break
time.sleep(1000)
"""


async def test_one_that_goes_on_forking_ends_at_its_limit(handler_directory, handler_env, wait_all_ended):
    """All are stopped before they are killed, so nobody slips away while the others die."""
    handler_directory.write("forking", FORK_BOMB_SCRIPT.format(python=sys.executable), 0o755)
    handler_directory.write_executable("next", "echo ok")
    assert await handler_env.run("forking", timeout_s=0.25) == TimedOut()
    await wait_all_ended(process_tree.descendants(handler_env.manager_pid))  # on their last breath
    assert process_tree.descendants(handler_env.manager_pid) == set()
    assert await handler_env.run("next") == Finished("ok")


async def test_time_counts_from_the_handlers_own_beginning(handler_directory, handler_env):
    """Waiting for the file's process, which is busy, takes nothing from the limit."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): time.sleep(0.1); return "ok"')
    await handler_env.registry()
    runs = [handler_env.run("f", timeout_s=0.3) for _ in range(4)]
    assert await asyncio.gather(*runs) == [Finished("ok")] * 4


async def test_a_cancelled_run_is_ended(handler_directory, handler_env, fifo):
    """And the next one of that file does not wait for it."""
    handler_directory.write_python(
        "x.py",
        f"""
        @handler("f")
        def f(c):
            open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n")
            time.sleep(1000)
        @handler("g")
        def g(c): return "ok"
        """,
    )
    run = asyncio.create_task(handler_env.run("f"))
    process = await fifo.read_process()
    run.cancel()
    after = asyncio.create_task(handler_env.run("g"))
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await after == Finished("ok")
    await process.ended()


async def test_stopping_tells_and_then_kills(handler_directory, handler_env, fifo):
    """A handler that listens to SIGTERM puts its things in order; one that does not is killed; within 3 s."""
    handler_directory.write_executable(
        "good",
        f"""
        trap 'echo in order >{fifo.quoted}; exit 1' TERM
        echo $$ >{fifo.quoted}
        while :; do sleep 0.01; done
        """,
    )
    handler_directory.write_executable(
        "bad", f"trap '' TERM; echo $$ >{fifo.quoted}; while :; do sleep 0.1; done"
    )
    runs = [asyncio.create_task(handler_env.run(name)) for name in ("good", "bad")]
    begun = [await fifo.read_process() for _ in range(2)]
    before = time.monotonic()
    await handler_env.runner.close()
    assert time.monotonic() - before < 3
    for process in begun:
        await process.ended()
    assert await fifo.read_line() == "in order"
    assert [type(outcome) for outcome in await asyncio.gather(*runs)] == [Failed, Failed]
    assert await handler_env.run("good") == NotStarted("the agent is stopping")
    await handler_env.runner.close()


async def test_stopping_is_quick_when_nothing_runs(handler_directory, handler_env):
    """Warm workers need no time, not even those that ignore signals."""
    handler_directory.write_python("x.py", IGNORE_SIGNALS + '@handler("f")\ndef f(c): return "ok"')
    await handler_env.run("f")
    before = time.monotonic()
    await handler_env.runner.close()
    assert time.monotonic() - before < 0.5


AGENT_SCRIPT = """
import asyncio, sys
from pathlib import Path
sys.path.append({root!r})
from agent.handlers.api import Command
from agent.handlers.registry import load
from agent.handlers import processes
from agent.handlers.runner import ProcessRunner

async def live():
    runner = ProcessRunner(lambda _: None)
    catalogue = await load(Path({folder!r}), runner)
    commands = [Command.of(text, sender="000") for text in sys.argv[1:]]
    await asyncio.gather(*(runner.run(catalogue.choose(command), command, 1000) for command in commands))
    await asyncio.Event().wait()

asyncio.run(live())
"""


async def test_nothing_survives_the_killed_agent(handler_directory, fifo):
    """SIGKILL of the agent ends the keeper, running handlers, and what earlier ones left behind."""
    handler_directory.write_executable(
        "left", f"(setsid sh -c 'trap \"\" TERM; echo $$ >{fifo.path}; sleep 1000; :' &)"
    )
    handler_directory.write_executable(
        "runs",
        f"trap '' TERM; setsid sleep 1000 & echo $! >{fifo.quoted}; echo $$ >{fifo.quoted}; wait",
    )
    handler_directory.write_python(
        "x.py",
        IGNORE_SIGNALS
        + f"""
def tell_and_sleep():
    open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n{{os.getppid()}}\\n")
    time.sleep(1000)
@handler("x")
def x(c):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        tell_and_sleep()
    tell_and_sleep()
""",
    )
    script = AGENT_SCRIPT.format(
        root=str(Path(agent.__file__).parents[1]), folder=str(handler_directory.path)
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, "left", "runs", "x")
    watched = [await fifo.read_process() for _ in range(7)]
    assert len({each.pid for each in watched}) == 6  # left; two of runs; x, its child, the keeper
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for each in watched:
        await each.ended()


async def test_a_killed_keeper_is_replaced(handler_directory, handler_env, fifo):
    """Its runs fail, what it had started dies with it, down to the last, the next Command gets another."""
    handler_directory.write_executable(
        "hang", f"setsid sleep 1000 & echo $! >{fifo.quoted}; echo $$ >{fifo.quoted}; wait"
    )
    handler_directory.write_executable("next", "echo ok")
    run = asyncio.create_task(handler_env.run("hang"))
    begun = [await fifo.read_process() for _ in range(2)]
    os.kill(handler_env.manager_pid, signal.SIGKILL)
    assert await run == Failed("the process for handlers has ended")
    for process in begun:
        await process.ended()
    assert await handler_env.run("next") == Finished("ok")


async def test_the_end_of_the_keeper_is_noticed_at_once(handler_directory, handler_env, fifo):
    """Also while something lives on that was forked from a worker, which holds none of our files."""
    handler_directory.write_python(
        "x.py",
        IGNORE_SIGNALS
        + f"""
@handler("f")
def f(c):
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n")
            time.sleep(1000)
    time.sleep(1000)
""",
    )
    run = asyncio.create_task(handler_env.run("f"))
    begun = [await fifo.read_process() for _ in range(2)]
    os.kill(handler_env.manager_pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert isinstance(await run, Failed)
    for process in begun:
        await process.ended()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/no/such/python", "the process for handlers cannot be started: No such file or directory"),
        ("/bin/false", "the process for handlers has ended before it began"),
    ],
)
async def test_a_keeper_that_cannot_be_started(handler_directory, handler_env, monkeypatch, program, reason):
    """Nothing has run, which is certain; when it can be started again, all goes on."""
    handler_directory.write_executable("do", "echo ok")
    handler_directory.write_python("x.py", '@handler("x")\ndef x(c): return "ok"')
    await handler_env.registry()
    os.kill(handler_env.manager_pid, signal.SIGKILL)
    await handler_env.runner._manager._exited
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", program)
        for text in ("do", "x"):
            assert await handler_env.run(text) == NotStarted(reason)
        with pytest.raises(ResourceExhausted, match=rf"x\.py: {reason}"):
            await handler_env.runner.load(handler_directory.write_python("x.py", ""))
    assert await handler_env.run("do") == Finished("ok")


async def test_a_keeper_that_is_stuck_is_replaced(handler_directory, handler_env, monkeypatch):
    """Nobody waits for it for ever."""
    monkeypatch.setattr("agent.handlers.runner.MANAGER_GRACE_S", 0.1)
    handler_directory.write_executable("do", "echo ok")
    assert await handler_env.run("do") == Finished("ok")
    os.kill(handler_env.manager_pid, signal.SIGSTOP)
    assert await handler_env.run("do", timeout_s=0.1) == TimedOut()
    assert await handler_env.run("do") == Finished("ok")


async def test_a_stuck_keeper_does_not_hold_up_stopping(handler_directory, handler_env, monkeypatch):
    """It is killed."""
    monkeypatch.setattr("agent.handlers.manager_client.STOP_TIMEOUT_S", 0.1)
    handler_directory.write_executable("do", "echo ok")
    await handler_env.run("do")
    os.kill(handler_env.manager_pid, signal.SIGSTOP)
    await handler_env.runner.close()


async def test_signals_to_the_terminal_do_not_reach_the_keeper(handler_directory, handler_env):
    """Ctrl-C is for the agent, which then stops in order; so is a SIGTERM to all of its group."""
    handler_directory.write_executable("do", "echo ok")
    await handler_env.run("do")
    assert os.getsid(handler_env.manager_pid) == handler_env.manager_pid != os.getsid(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(handler_env.manager_pid, number)
    keeper = handler_env.manager_pid
    assert await handler_env.run("do") == Finished("ok")
    assert handler_env.manager_pid == keeper


async def test_no_zombie_stays(handler_directory, handler_env, fifo):
    """Children of the background, whose parents are gone, are taken leave of too."""
    handler_directory.write_executable("do", f"(sh -c 'echo $$ >{fifo.path}' &)")
    for _ in range(3):
        await handler_env.run("do")
        with contextlib.suppress(ProcessLookupError):
            await (await fifo.read_process()).ended()
    await handler_env.run("do")
    await fifo.read_line()
    handler_directory.write_executable("last", "true")
    handler_env._registry = None
    await handler_env.run("last")
    assert [pid for pid in children(handler_env.manager_pid) if state(pid) == "Z"] == []


async def test_no_file_stays_open_in_the_keeper(handler_directory, handler_env):
    """Whatever was run, and however it ended."""
    handler_directory.write_executable("do", "echo ok; echo log >&2")
    handler_directory.write_executable("bad", "exit 1")
    handler_directory.write("none", "#!/no/such", 0o755)
    handler_directory.write_executable("hang", "sleep 1000")
    handler_directory.write_python(
        "x.py", '@handler("f")\ndef f(c): os._exit(1)\n@handler("g")\ndef g(c): time.sleep(1000)'
    )
    counts = []
    for _ in range(3):
        for text, limit in (("do", 5), ("bad", 5), ("none", 5), ("hang", 0.02), ("f", 5), ("g", 0.02)):
            await handler_env.run(text, timeout_s=limit)
        counts.append(open_files(handler_env.manager_pid))
    assert counts[0] == counts[1] == counts[2]


async def test_no_file_stays_open_in_the_agent(handler_directory):
    """Nor a process that nobody waited for: both would be a ResourceWarning, which is an error here."""
    file = handler_directory.write_python("x.py", "")
    counts = []
    for _ in range(3):
        runner = ProcessRunner(lambda _: None)
        await runner.load(file)
        await runner.close()
        del runner
        gc.collect()
        counts.append(open_files("self"))
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("room", range(7))
async def test_when_there_are_no_files_left(handler_directory, handler_env, room):
    """Nothing is started, whichever file it lacks, and that is said; later ones work, none was left open."""
    handler_directory.write_executable("do", "echo ok")
    handler_directory.write_python("x.py", '@handler("x")\ndef x(c): os._exit(0)')
    await handler_env.run("do")
    await handler_env.run("x")
    open_before = open_files(handler_env.manager_pid)
    limits = resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE, (open_before + room, limits[1]))
    for text in ("do", "x") if room < 6 else ("do",):
        assert await handler_env.run(text) == NotStarted("cannot be started: Too many open files")
    resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE, limits)
    assert open_files(handler_env.manager_pid) == open_before
    assert await handler_env.run("do") == Finished("ok")


async def test_the_time_limit_holds_without_files(handler_directory, handler_env, fifo):
    """The process itself is ended even when its descendants cannot be looked for."""
    handler_directory.write_executable("hang", f"echo $$ >{fifo.quoted}; exec sleep 1000")
    run = asyncio.create_task(handler_env.run("hang", timeout_s=0.2))
    process = await fifo.read_process()
    _, hard = resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(
        handler_env.manager_pid, resource.RLIMIT_NOFILE, (open_files(handler_env.manager_pid), hard)
    )
    assert await run == TimedOut()
    await process.ended()


async def test_background_children_do_not_use_up_files(handler_directory, handler_env):
    """Pipes that they hold stay open for them, up to a number."""
    handler_directory.write_executable("do", "sleep 1000 & echo ok")
    for _ in range(40):
        await handler_env.run("do")
    assert open_files(handler_env.manager_pid) < 64 + 20


def open_files(pid):
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def state(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def children(pid):
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with contextlib.suppress(OSError):
                if int((each / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(each.name))
    return found
