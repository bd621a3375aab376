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
from agent.handlers import processes
from agent.handlers.runner import (
    Failed,
    Finished,
    HostExhausted,
    NotStarted,
    ProcessRunner,
    TimedOut,
)

STUBBORN = """
import signal
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
"""


async def test_an_executable_ends_at_its_limit(folder, house, whisper):
    """With its child, with one in another session, and with one that nobody is the parent of any more."""
    folder.executable(
        "hang",
        f"""
        trap '' TERM
        sleep 1000 & echo $! >{whisper.quoted}
        setsid sleep 1000 & echo $! >{whisper.quoted}
        (setsid sh -c 'echo $$ >{whisper.path}; trap "" TERM; sleep 1000; :' &)
        echo $$ >{whisper.quoted}
        wait
        """,
    )
    folder.executable("next", "echo ok")
    run = asyncio.create_task(house.command("hang", timeout_s=0.3))
    begun = [await whisper.pid() for _ in range(4)]
    assert await run == TimedOut()
    for process in begun:
        await process.ended()
    assert await house.command("next") == Finished("ok")


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
async def test_a_python_handler_ends_at_its_limit(folder, house, whisper, body):
    """Whatever it does, signals ignored or not; the next Command of that file works."""
    folder.python(
        "x.py",
        STUBBORN
        + f"""
def await_forever():
    import asyncio
    asyncio.run(asyncio.Event().wait())
@handler("f")
def f(c):
    open("{whisper.path}", "w").write(f"{{os.getpid()}}\\n")
    {body}
@handler("g")
def g(c): return "ok"
""",
    )
    run = asyncio.create_task(house.command("f", timeout_s=0.3))
    process = await whisper.pid()
    assert await run == TimedOut()
    await process.ended()
    assert await house.command("g") == Finished("ok")


async def test_a_python_handler_ends_with_what_it_forked(folder, house, whisper):
    """A child in its group, one in a session of its own, a grandchild whose parent is gone: all stubborn."""
    folder.python(
        "x.py",
        STUBBORN
        + f"""
def tell_and_sleep():
    open("{whisper.path}", "w").write(f"{{os.getpid()}}\\n")
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
    run = asyncio.create_task(house.command("f", timeout_s=0.3))
    begun = [await whisper.pid() for _ in range(4)]
    assert await run == TimedOut()
    for process in begun:
        await process.ended()


FORKING = """#!{python}
import os, time
for _ in range(3000):
    time.sleep(0.001)
    if os.fork() == 0:
        os.setsid()
        break
time.sleep(1000)
"""


async def test_one_that_goes_on_forking_ends_at_its_limit(folder, house, ends):
    """All are stopped before they are killed, so nobody slips away while the others die."""
    folder.file("forking", FORKING.format(python=sys.executable), 0o755)
    folder.executable("next", "echo ok")
    assert await house.command("forking", timeout_s=0.25) == TimedOut()
    await ends(processes.descendants(house.keeper))  # on their last breath
    assert processes.descendants(house.keeper) == set()
    assert await house.command("next") == Finished("ok")


async def test_time_counts_from_the_handlers_own_beginning(folder, house):
    """Waiting for the file's process, which is busy, takes nothing from the limit."""
    folder.python("x.py", '@handler("f")\ndef f(c): time.sleep(0.1); return "ok"')
    await house.catalogue()
    runs = [house.command("f", timeout_s=0.3) for _ in range(4)]
    assert await asyncio.gather(*runs) == [Finished("ok")] * 4


async def test_a_cancelled_run_is_ended(folder, house, whisper):
    """And the next one of that file does not wait for it."""
    folder.python(
        "x.py",
        f"""
        @handler("f")
        def f(c):
            open("{whisper.path}", "w").write(f"{{os.getpid()}}\\n")
            time.sleep(1000)
        @handler("g")
        def g(c): return "ok"
        """,
    )
    run = asyncio.create_task(house.command("f"))
    process = await whisper.pid()
    run.cancel()
    after = asyncio.create_task(house.command("g"))
    with pytest.raises(asyncio.CancelledError):
        await run
    assert await after == Finished("ok")
    await process.ended()


async def test_stopping_tells_and_then_kills(folder, house, whisper):
    """A handler that listens to SIGTERM puts its things in order; one that does not is killed; within 3 s."""
    folder.executable(
        "good",
        f"""
        trap 'echo in order >{whisper.quoted}; exit 1' TERM
        echo $$ >{whisper.quoted}
        while :; do sleep 0.01; done
        """,
    )
    folder.executable("bad", f"trap '' TERM; echo $$ >{whisper.quoted}; while :; do sleep 0.1; done")
    runs = [asyncio.create_task(house.command(name)) for name in ("good", "bad")]
    begun = [await whisper.pid() for _ in range(2)]
    before = time.monotonic()
    await house.runner.close()
    assert time.monotonic() - before < 3
    for process in begun:
        await process.ended()
    assert await whisper.line() == "in order"
    assert [type(outcome) for outcome in await asyncio.gather(*runs)] == [Failed, Failed]
    assert await house.command("good") == NotStarted("the agent is stopping")
    await house.runner.close()


async def test_stopping_is_quick_when_nothing_runs(folder, house):
    """Warm workers need no time, not even those that ignore signals."""
    folder.python("x.py", STUBBORN + '@handler("f")\ndef f(c): return "ok"')
    await house.command("f")
    before = time.monotonic()
    await house.runner.close()
    assert time.monotonic() - before < 0.5


AGENT = """
import asyncio, sys
from pathlib import Path
sys.path.append({root!r})
from agent.handlers.api import Command
from agent.handlers.catalogue import load
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


async def test_nothing_survives_the_killed_agent(folder, whisper):
    """SIGKILL of the agent ends the keeper, running handlers, and what earlier ones left behind."""
    folder.executable("left", f"(setsid sh -c 'trap \"\" TERM; echo $$ >{whisper.path}; sleep 1000; :' &)")
    folder.executable(
        "runs",
        f"trap '' TERM; setsid sleep 1000 & echo $! >{whisper.quoted}; echo $$ >{whisper.quoted}; wait",
    )
    folder.python(
        "x.py",
        STUBBORN
        + f"""
def tell_and_sleep():
    open("{whisper.path}", "w").write(f"{{os.getpid()}}\\n{{os.getppid()}}\\n")
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
    script = AGENT.format(root=str(Path(agent.__file__).parents[1]), folder=str(folder.path))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, "left", "runs", "x")
    watched = [await whisper.pid() for _ in range(7)]
    assert len({each.pid for each in watched}) == 6  # left; two of runs; x, its child, the keeper
    process.send_signal(signal.SIGKILL)
    await process.wait()
    for each in watched:
        await each.ended()


async def test_a_killed_keeper_is_replaced(folder, house, whisper):
    """Its runs fail, what it had started dies with it, down to the last, the next Command gets another."""
    folder.executable(
        "hang", f"setsid sleep 1000 & echo $! >{whisper.quoted}; echo $$ >{whisper.quoted}; wait"
    )
    folder.executable("next", "echo ok")
    run = asyncio.create_task(house.command("hang"))
    begun = [await whisper.pid() for _ in range(2)]
    os.kill(house.keeper, signal.SIGKILL)
    assert await run == Failed("the process for handlers has ended")
    for process in begun:
        await process.ended()
    assert await house.command("next") == Finished("ok")


async def test_the_end_of_the_keeper_is_noticed_at_once(folder, house, whisper):
    """Also while something lives on that was forked from a worker, which holds none of our files."""
    folder.python(
        "x.py",
        STUBBORN
        + f"""
@handler("f")
def f(c):
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            open("{whisper.path}", "w").write(f"{{os.getpid()}}\\n")
            time.sleep(1000)
    time.sleep(1000)
""",
    )
    run = asyncio.create_task(house.command("f"))
    begun = [await whisper.pid() for _ in range(2)]
    os.kill(house.keeper, signal.SIGKILL)
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
async def test_a_keeper_that_cannot_be_started(folder, house, monkeypatch, program, reason):
    """Nothing has run, which is certain; when it can be started again, all goes on."""
    folder.executable("do", "echo ok")
    folder.python("x.py", '@handler("x")\ndef x(c): return "ok"')
    await house.catalogue()
    os.kill(house.keeper, signal.SIGKILL)
    await house.runner._link._ended
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", program)
        for text in ("do", "x"):
            assert await house.command(text) == NotStarted(reason)
        with pytest.raises(HostExhausted, match=rf"x\.py: {reason}"):
            await house.runner.declare(folder.python("x.py", ""))
    assert await house.command("do") == Finished("ok")


async def test_a_keeper_that_is_stuck_is_replaced(folder, house, monkeypatch):
    """Nobody waits for it for ever."""
    monkeypatch.setattr("agent.handlers.runner.LATE_S", 0.1)
    folder.executable("do", "echo ok")
    assert await house.command("do") == Finished("ok")
    os.kill(house.keeper, signal.SIGSTOP)
    assert await house.command("do", timeout_s=0.1) == TimedOut()
    assert await house.command("do") == Finished("ok")


async def test_a_stuck_keeper_does_not_hold_up_stopping(folder, house, monkeypatch):
    """It is killed."""
    monkeypatch.setattr("agent.handlers.link.STOP_S", 0.1)
    folder.executable("do", "echo ok")
    await house.command("do")
    os.kill(house.keeper, signal.SIGSTOP)
    await house.runner.close()


async def test_signals_to_the_terminal_do_not_reach_the_keeper(folder, house):
    """Ctrl-C is for the agent, which then stops in order; so is a SIGTERM to all of its group."""
    folder.executable("do", "echo ok")
    await house.command("do")
    assert os.getsid(house.keeper) == house.keeper != os.getsid(0)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(house.keeper, number)
    keeper = house.keeper
    assert await house.command("do") == Finished("ok")
    assert house.keeper == keeper


async def test_no_zombie_stays(folder, house, whisper):
    """Children of the background, whose parents are gone, are taken leave of too."""
    folder.executable("do", f"(sh -c 'echo $$ >{whisper.path}' &)")
    for _ in range(3):
        await house.command("do")
        with contextlib.suppress(ProcessLookupError):
            await (await whisper.pid()).ended()
    await house.command("do")
    await whisper.line()
    folder.executable("last", "true")
    house._catalogue = None
    await house.command("last")
    assert [pid for pid in children(house.keeper) if state(pid) == "Z"] == []


async def test_no_file_stays_open_in_the_keeper(folder, house):
    """Whatever was run, and however it ended."""
    folder.executable("do", "echo ok; echo log >&2")
    folder.executable("bad", "exit 1")
    folder.file("none", "#!/no/such", 0o755)
    folder.executable("hang", "sleep 1000")
    folder.python("x.py", '@handler("f")\ndef f(c): os._exit(1)\n@handler("g")\ndef g(c): time.sleep(1000)')
    counts = []
    for _ in range(3):
        for text, limit in (("do", 5), ("bad", 5), ("none", 5), ("hang", 0.02), ("f", 5), ("g", 0.02)):
            await house.command(text, timeout_s=limit)
        counts.append(open_files(house.keeper))
    assert counts[0] == counts[1] == counts[2]


async def test_no_file_stays_open_in_the_agent(folder):
    """Nor a process that nobody waited for: both would be a ResourceWarning, which is an error here."""
    file = folder.python("x.py", "")
    counts = []
    for _ in range(3):
        runner = ProcessRunner(lambda _: None)
        await runner.declare(file)
        await runner.close()
        del runner
        gc.collect()
        counts.append(open_files("self"))
    assert counts[0] == counts[1] == counts[2]


@pytest.mark.parametrize("room", range(7))
async def test_when_there_are_no_files_left(folder, house, room):
    """Nothing is started, whichever file it lacks, and that is said; later ones work, none was left open."""
    folder.executable("do", "echo ok")
    folder.python("x.py", '@handler("x")\ndef x(c): os._exit(0)')
    await house.command("do")
    await house.command("x")
    open_before = open_files(house.keeper)
    limits = resource.prlimit(house.keeper, resource.RLIMIT_NOFILE)
    resource.prlimit(house.keeper, resource.RLIMIT_NOFILE, (open_before + room, limits[1]))
    for text in ("do", "x") if room < 6 else ("do",):
        assert await house.command(text) == NotStarted("cannot be started: Too many open files")
    resource.prlimit(house.keeper, resource.RLIMIT_NOFILE, limits)
    assert open_files(house.keeper) == open_before
    assert await house.command("do") == Finished("ok")


async def test_the_time_limit_holds_without_files(folder, house, whisper):
    """The process itself is ended even when its descendants cannot be looked for."""
    folder.executable("hang", f"echo $$ >{whisper.quoted}; exec sleep 1000")
    run = asyncio.create_task(house.command("hang", timeout_s=0.2))
    process = await whisper.pid()
    _, hard = resource.prlimit(house.keeper, resource.RLIMIT_NOFILE)
    resource.prlimit(house.keeper, resource.RLIMIT_NOFILE, (open_files(house.keeper), hard))
    assert await run == TimedOut()
    await process.ended()


async def test_background_children_do_not_use_up_files(folder, house):
    """Pipes that they hold stay open for them, up to a number."""
    folder.executable("do", "sleep 1000 & echo ok")
    for _ in range(40):
        await house.command("do")
    assert open_files(house.keeper) < 64 + 20


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
