"""The alarm: called once for each change, also over restarts, and whatever the program does."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from agent.common.config import AlarmConfig
from agent.common.events import Severity
from agent.daemon.alarm import Alarm
from agent.handlers.results import Failed, Finished, NotStarted, TimedOut
from agent.journal.alarm import AlarmStore

NO_NETWORK = "Commands cannot be received or answered: no network"


@pytest.fixture
def alarm_env(pipeline):
    """An alarm after 10 minutes, whose problems the test sets."""
    return SimpleNamespace(pipeline=pipeline, problems=[], current=None)


@asynccontextmanager
async def running(env):
    """Run the alarm, as a new process does, with a check twice a minute."""

    async def find_problems():
        return env.problems

    pipeline = env.pipeline
    env.current = Alarm(
        config=AlarmConfig(command=("/bin/alarm", "gateway-7"), after_s=600.0, timeout_s=20.0),
        runtime=pipeline.runtime,
        store=AlarmStore(pipeline.journal),
        find_problems=find_problems,
        run_program=pipeline.runner.run_program,
    )

    async def check():
        while True:
            env.current.check_soon()
            await asyncio.sleep(30)

    tasks = [asyncio.create_task(env.current.run()), asyncio.create_task(check())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def calls(env):
    return [program.words[-1] for program in env.pipeline.runner.programs]


async def test_program_is_called_when_a_problem_lasts_and_when_it_is_over(alarm_env):
    """It gets state, beginning and reason; the times are those of problem and end."""
    pipeline = alarm_env.pipeline
    async with running(alarm_env):
        begun = pipeline.wall_clock()
        alarm_env.problems = [NO_NETWORK, "another"]
        await pipeline.advance(590)
        assert calls(alarm_env) == []
        await pipeline.advance(3600)
        assert calls(alarm_env) == ["problem"]
        alarm_env.problems = []
        ended = pipeline.wall_clock()
        await pipeline.advance(3600)
    first, second = pipeline.runner.programs
    assert first.words == ("/bin/alarm", "gateway-7", "problem")
    assert first.timeout_s == 20.0
    assert (first.environment["ALARM_STATE"], first.environment["ALARM_REASON"]) == ("problem", NO_NETWORK)
    assert (second.environment["ALARM_STATE"], second.environment["ALARM_REASON"]) == ("ok", NO_NETWORK)
    for program, at in ((first, begun), (second, ended)):
        since = datetime.fromisoformat(program.environment["ALARM_SINCE"])
        assert 0 <= (since - datetime.fromtimestamp(at, UTC)).total_seconds() <= 31
    log = [str(event) for event in pipeline.events_of_kind("alarm")]
    assert log == [f"alarm: /bin/alarm problem: {NO_NETWORK}", f"alarm: /bin/alarm ok: {NO_NETWORK}"]


async def test_short_problem_calls_nothing_and_writes_nothing(alarm_env):
    """Most problems end before the next check. Each new one begins to count at zero."""
    pipeline = alarm_env.pipeline
    async with running(alarm_env):
        for _ in range(10):
            alarm_env.problems = [NO_NETWORK]
            await pipeline.advance(29)
            alarm_env.problems = []
            await pipeline.advance(61)
        assert pipeline.calls_of("commit") == []
        for _ in range(5):
            alarm_env.problems = [NO_NETWORK]
            await pipeline.advance(500)
            alarm_env.problems = []
            await pipeline.advance(61)
    assert calls(alarm_env) == []


@pytest.mark.parametrize("restart_at", [60, 300, 900])
async def test_restart_neither_repeats_nor_forgets(alarm_env, restart_at):
    """The time of the problem goes on, and the call before the restart is not repeated after it."""
    pipeline = alarm_env.pipeline
    alarm_env.problems = [NO_NETWORK]
    called = []
    async with running(alarm_env):
        await pipeline.advance(restart_at)
        called += calls(alarm_env)
    pipeline.restart()
    async with running(alarm_env):
        await pipeline.advance(1000 - restart_at)
        called += calls(alarm_env)
    assert called == ["problem"]
    pipeline.restart()
    alarm_env.problems = []
    async with running(alarm_env):
        await pipeline.advance(60)
    assert calls(alarm_env) == ["ok"]


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (
            Failed("exit status 1"),
            "/bin/alarm problem failed: exit status 1; it is not called again for this",
        ),
        (TimedOut(), "/bin/alarm problem was killed after 20 s; it is not called again for this"),
    ],
)
async def test_failure_of_the_program_is_logged_and_not_repeated(alarm_env, result, reason):
    """`status` shows it until the next call succeeds, which is that for the end."""
    alarm_env.pipeline.runner.plan("alarm", result, Finished(None))
    async with running(alarm_env):
        alarm_env.problems = [NO_NETWORK]
        await alarm_env.pipeline.advance(3600)
        assert alarm_env.current.describe() == f"/bin/alarm was called for: {NO_NETWORK}; {reason}"
        alarm_env.problems = []
        await alarm_env.pipeline.advance(60)
        assert alarm_env.current.describe() == ""
    assert calls(alarm_env) == ["problem", "ok"]
    event = alarm_env.pipeline.events_of_kind("alarm")[0]
    assert (event.message, event.severity) == (reason, Severity.ERROR)


async def test_call_that_could_not_start_is_made_later(alarm_env):
    """The device was out of memory or processes: the program has certainly not run."""
    alarm_env.pipeline.runner.plan("alarm", NotStarted("out of memory"), NotStarted("out of memory"))
    async with running(alarm_env):
        alarm_env.problems = [NO_NETWORK]
        await alarm_env.pipeline.advance(3600)
    assert calls(alarm_env) == ["problem"] * 3


async def test_journal_that_cannot_commit_does_not_prevent_the_call(alarm_env):
    """It is most likely the problem. The program is called once; the state is stored when it can be."""
    pipeline = alarm_env.pipeline
    pipeline.commit_error = sqlite3.OperationalError("database or disk is full")
    async with running(alarm_env):
        alarm_env.problems = ["the journal cannot commit"]
        await pipeline.advance(3600)
        assert calls(alarm_env) == ["problem"]
        pipeline.commit_error = None
        await pipeline.advance(60)
    assert pipeline.query_column("SELECT state FROM alarm") == ["problem"]
    assert calls(alarm_env) == ["problem"]


async def test_internal_error_ends_one_check(alarm_env):
    """The agent goes on, and so does the alarm."""
    alarm_env.pipeline.runner.plan("alarm", RuntimeError("broken"), Finished(None))
    async with running(alarm_env):
        alarm_env.problems = [NO_NETWORK]
        await alarm_env.pipeline.advance(3600)
        alarm_env.problems = []
        await alarm_env.pipeline.advance(60)
    assert calls(alarm_env) == ["problem", "ok"]
    error = alarm_env.pipeline.events_of_kind("alarm")[0]
    assert (error.message, error.severity) == ("internal error: RuntimeError: broken", Severity.ERROR)


async def test_wall_clock_that_jumps_makes_no_alarm(alarm_env):
    """A device without a battery clock starts in the past and jumps by years."""
    async with running(alarm_env):
        alarm_env.problems = [NO_NETWORK]
        await alarm_env.pipeline.advance(60)
        alarm_env.pipeline.clock_error_s = 1e9
        await alarm_env.pipeline.advance(60)
        assert calls(alarm_env) == []


async def test_call_during_which_the_agent_ended_is_made_once_more(alarm_env):
    """It may have told nobody. A program that restarts the device each time is not called for ever."""
    pipeline = alarm_env.pipeline
    alarm_env.problems = [NO_NETWORK]

    async def hang(_program):
        await asyncio.Event().wait()

    called = []
    for _ in range(4):
        pipeline.runner.plan("alarm", hang)
        async with running(alarm_env):
            await pipeline.advance(1000)
            called += calls(alarm_env)
        pipeline.restart()
    assert called == ["problem", "problem"]
    alarm_env.problems = []
    async with running(alarm_env):
        await pipeline.advance(60)
    assert calls(alarm_env) == ["ok"]
