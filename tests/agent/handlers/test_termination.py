"""Time limits, stopping, and the killed agent: no process of a handler is left."""

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
from agent.handlers.manager_client import STOP_TIMEOUT_S
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


async def test_executable_is_killed_at_time_limit(handler_directory, handler_env, fifo):
    """Its child, a child in another session, and an orphaned grandchild are killed with it."""
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
    started = [await fifo.read_process() for _ in range(4)]
    assert await run == TimedOut()
    for process in started:
        await process.wait_ended()
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
async def test_python_handler_is_killed_at_time_limit(handler_directory, handler_env, fifo, body):
    """Ignored signals do not protect it, and the next Command of its file works."""
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
    await process.wait_ended()
    assert await handler_env.run("g") == Finished("ok")


async def test_forked_processes_are_killed_at_time_limit(handler_directory, handler_env, fifo):
    """A child, a child in another session and an orphaned grandchild ignore signals, and are killed."""
    handler_directory.write_python(
        "x.py",
        IGNORE_SIGNALS
        + f"""
def report_and_sleep():
    open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n")
    time.sleep(1000)
@handler("f")
def f(c):
    if os.fork() == 0:
        report_and_sleep()
    if os.fork() == 0:
        os.setsid()
        report_and_sleep()
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            os.closerange(0, 100)
            report_and_sleep()
        os._exit(0)
    report_and_sleep()
""",
    )
    run = asyncio.create_task(handler_env.run("f", timeout_s=0.3))
    started = [await fifo.read_process() for _ in range(4)]
    assert await run == TimedOut()
    for process in started:
        await process.wait_ended()


FORK_BOMB_SCRIPT = """#!{python}
import os, time
for _ in range(3000):
    time.sleep(0.001)
    if os.fork() == 0:
        os.setsid()
        break
time.sleep(1000)
"""


async def test_fork_bomb_is_killed_at_time_limit(handler_directory, handler_env, wait_all_ended):
    """All processes are stopped before they are killed, so none escapes by forking."""
    handler_directory.write("forking", FORK_BOMB_SCRIPT.format(python=sys.executable), 0o755)
    handler_directory.write_executable("next", "echo ok")
    assert await handler_env.run("forking", timeout_s=0.25) == TimedOut()
    await wait_all_ended(process_tree.descendants(handler_env.manager_pid))  # killed, but not gone yet
    assert process_tree.descendants(handler_env.manager_pid) == set()
    assert await handler_env.run("next") == Finished("ok")


async def test_time_limit_starts_with_the_run(handler_directory, handler_env):
    """The wait for the busy process of the file does not count."""
    handler_directory.write_python("x.py", '@handler("f")\ndef f(c): time.sleep(0.1); return "ok"')
    await handler_env.registry()
    runs = [handler_env.run("f", timeout_s=0.3) for _ in range(4)]
    assert await asyncio.gather(*runs) == [Finished("ok")] * 4


async def test_cancelled_run_is_killed(handler_directory, handler_env, fifo):
    """The next run of that file does not wait for it."""
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
    await process.wait_ended()


async def test_stop_sends_sigterm_then_sigkill(handler_directory, handler_env, fifo):
    """A handler may clean up at SIGTERM; one that ignores it is killed; the stop takes less than 3 s."""
    handler_directory.write_executable(
        "good",
        f"""
        trap 'echo cleaned up >{fifo.quoted}; exit 1' TERM
        echo $$ >{fifo.quoted}
        while :; do sleep 0.01; done
        """,
    )
    handler_directory.write_executable(
        "bad", f"trap '' TERM; echo $$ >{fifo.quoted}; while :; do sleep 0.1; done"
    )
    runs = [asyncio.create_task(handler_env.run(name)) for name in ("good", "bad")]
    started = [await fifo.read_process() for _ in range(2)]
    before = time.monotonic()
    await handler_env.runner.close()
    assert time.monotonic() - before < 3
    for process in started:
        await process.wait_ended()
    assert await fifo.read_line() == "cleaned up"
    assert [type(result) for result in await asyncio.gather(*runs)] == [Failed, Failed]
    assert await handler_env.run("good") == NotStarted("the agent is stopping")
    await handler_env.runner.close()


async def test_stop_is_immediate_when_idle(handler_directory, handler_env):
    """Idle workers need no time to stop, even if they ignore signals."""
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
from agent.handlers.registry import load_registry
from agent.handlers.runner import ProcessRunner

async def live():
    runner = ProcessRunner(lambda _: None)
    registry = await load_registry(Path({folder!r}), runner)
    commands = [Command.of(text, sender="000") for text in sys.argv[1:]]
    await asyncio.gather(*(runner.run(registry.match(command), command, 1000) for command in commands))
    await asyncio.Event().wait()

asyncio.run(live())
"""


async def test_no_process_survives_killed_agent(handler_directory, fifo):
    """SIGKILL of the agent ends the manager, running handlers, and background children of earlier runs."""
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
def report_and_sleep():
    open("{fifo.path}", "w").write(f"{{os.getpid()}}\\n{{os.getppid()}}\\n")
    time.sleep(1000)
@handler("x")
def x(c):
    if os.fork() == 0:
        os.setsid()
        os.closerange(0, 100)
        report_and_sleep()
    report_and_sleep()
""",
    )
    script = AGENT_SCRIPT.format(
        root=str(Path(agent.__file__).parents[1]), folder=str(handler_directory.path)
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, "left", "runs", "x")
    watched_processes = [await fifo.read_process() for _ in range(7)]
    assert (
        len({watched.pid for watched in watched_processes}) == 6
    )  # left; two of runs; x, its child, manager
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for watched in watched_processes:
        await watched.wait_ended()


async def test_killed_manager_is_replaced(handler_directory, handler_env, fifo):
    """Its runs fail, all its descendants die with it, and the next Command starts a new manager."""
    handler_directory.write_executable(
        "hang", f"setsid sleep 1000 & echo $! >{fifo.quoted}; echo $$ >{fifo.quoted}; wait"
    )
    handler_directory.write_executable("next", "echo ok")
    run = asyncio.create_task(handler_env.run("hang"))
    started = [await fifo.read_process() for _ in range(2)]
    os.kill(handler_env.manager_pid, signal.SIGKILL)
    assert await run == Failed("the handler manager has ended")
    for process in started:
        await process.wait_ended()
    assert await handler_env.run("next") == Finished("ok")


async def test_end_of_manager_is_noticed_at_once(handler_directory, handler_env, fifo):
    """A process forked by a worker does not keep the manager's socket open."""
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
    started = [await fifo.read_process() for _ in range(2)]
    os.kill(handler_env.manager_pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        assert isinstance(await run, Failed)
    for process in started:
        await process.wait_ended()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("/no/such/python", "the handler manager cannot be started: No such file or directory"),
        ("/bin/false", "the handler manager ended before it was ready"),
    ],
)
async def test_manager_that_cannot_start_means_not_started(
    handler_directory, handler_env, monkeypatch, program, reason
):
    """The handler has certainly not run; once the manager can be started again, Commands run."""
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


async def test_hanging_manager_is_replaced(handler_directory, handler_env):
    """A run ends even if the manager does not answer."""
    handler_env.runner = ProcessRunner(lambda _: None, manager_grace_s=0.1)
    handler_directory.write_executable("do", "echo ok")
    assert await handler_env.run("do") == Finished("ok")
    os.kill(handler_env.manager_pid, signal.SIGSTOP)
    assert await handler_env.run("do", timeout_s=0.1) == TimedOut()
    assert await handler_env.run("do") == Finished("ok")
    await handler_env.runner.close()


async def test_hanging_manager_does_not_delay_stop(handler_directory, handler_env):
    """A manager that does not end in time is killed."""
    handler_directory.write_executable("do", "echo ok")
    await handler_env.run("do")
    os.kill(handler_env.manager_pid, signal.SIGSTOP)
    async with asyncio.timeout(2 * STOP_TIMEOUT_S):
        await handler_env.runner.close()


async def test_manager_ignores_termination_signals(handler_directory, handler_env):
    """Ctrl-C, or SIGTERM to the process group, is for the agent, which then stops the manager."""
    handler_directory.write_executable("do", "echo ok")
    await handler_env.run("do")
    assert os.getsid(handler_env.manager_pid) == handler_env.manager_pid != os.getsid(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(handler_env.manager_pid, number)
    manager_pid = handler_env.manager_pid
    assert await handler_env.run("do") == Finished("ok")
    assert handler_env.manager_pid == manager_pid


async def test_no_zombie_is_left(handler_directory, handler_env, fifo):
    """The manager also waits for orphaned background children."""
    handler_directory.write_executable("do", f"(sh -c 'echo $$ >{fifo.path}' &)")
    for _ in range(3):
        await handler_env.run("do")
        with contextlib.suppress(ProcessLookupError):
            await (await fifo.read_process()).wait_ended()
    await handler_env.run("do")
    await fifo.read_line()
    handler_directory.write_executable("last", "true")
    handler_env._registry = None
    await handler_env.run("last")
    assert [pid for pid in children(handler_env.manager_pid) if state(pid) == "Z"] == []


async def test_no_file_leaks_in_manager(handler_directory, handler_env):
    """Every kind of run and every kind of end leaves the number of open files as it was."""
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


async def test_no_file_leaks_in_agent(handler_directory):
    """A leaked file or an unreaped process would be a ResourceWarning, which is an error in tests."""
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


@pytest.mark.parametrize("free_files", range(7))
async def test_file_limit_means_not_started(handler_directory, handler_env, free_files):
    """Whichever file cannot be opened, no handler runs and no file leaks; later Commands work."""
    handler_directory.write_executable("do", "echo ok")
    handler_directory.write_python("x.py", '@handler("x")\ndef x(c): os._exit(0)')
    await handler_env.run("do")
    await handler_env.run("x")
    open_before = open_files(handler_env.manager_pid)
    limits = resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE, (open_before + free_files, limits[1]))
    for text in ("do", "x") if free_files < 6 else ("do",):
        assert await handler_env.run(text) == NotStarted("cannot be started: Too many open files")
    resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE, limits)
    assert open_files(handler_env.manager_pid) == open_before
    assert await handler_env.run("do") == Finished("ok")


async def test_time_limit_holds_at_file_limit(handler_directory, handler_env, fifo):
    """The process itself is killed even if its descendants cannot be found without a free file."""
    handler_directory.write_executable("hang", f"echo $$ >{fifo.quoted}; exec sleep 1000")
    run = asyncio.create_task(handler_env.run("hang", timeout_s=0.2))
    process = await fifo.read_process()
    _, hard = resource.prlimit(handler_env.manager_pid, resource.RLIMIT_NOFILE)
    resource.prlimit(
        handler_env.manager_pid, resource.RLIMIT_NOFILE, (open_files(handler_env.manager_pid), hard)
    )
    assert await run == TimedOut()
    await process.wait_ended()


async def test_pipes_of_background_children_are_limited(handler_directory, handler_env):
    """The manager keeps only a limited number of pipes open for background children."""
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
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with contextlib.suppress(OSError):
                if int((path / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                    found.append(int(path.name))
    return found
