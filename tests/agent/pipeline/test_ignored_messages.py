"""The handler of ignored messages: it gets each message once, in order, and never answers."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from agent.common.config import HandlersConfig
from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Failed, Finished, NotStarted, TimedOut
from agent.handlers.spec import HandlerSpec
from agent.journal.ignored import IgnoredMessages
from agent.pipeline.ignored_messages import IgnoredMessageRunner
from agent.pipeline.post_reply_actions import Handlers
from agent.service.message import IgnoredMessage

STATES = "SELECT handler_state FROM ignored ORDER BY id"


@pytest.fixture
def ignored_env(pipeline, tmp_path):
    """A journal and a handler `alert` of ignored messages."""
    spec = HandlerSpec("alert", "executable", file=tmp_path / "alert", ignored=True, timeout_s=7.0)
    pipeline.handlers = Handlers(HandlerRegistry([spec]), pipeline.runner, HandlersConfig())
    return pipeline


def store(pipeline, *texts, sender="+447700900123"):
    ignored = IgnoredMessages(pipeline.journal, lambda: True)
    for text in texts:
        message = IgnoredMessage("not from 2936", sender, text)
        pipeline.journal.commit(None, lambda now, message=message: ignored.store(message, "00AB", now))


@asynccontextmanager
async def running(pipeline):
    handlers = pipeline.handlers
    handlers.runner = pipeline.runner
    runner = IgnoredMessageRunner(
        runtime=pipeline.runtime, ignored=IgnoredMessages(pipeline.journal), handlers=handlers
    )
    task = asyncio.create_task(runner.run())
    await pipeline.advance(1)
    try:
        yield runner
    finally:
        runner.stop()
        pipeline.runner.stopped.set()
        await asyncio.wait_for(task, 60)


async def test_handler_gets_text_and_description(ignored_env, tmp_path):
    """No part of the message is an argument. Each start is committed before it happens."""
    store(ignored_env, "hello; rm -rf /", None, sender="Bank\0")
    async with running(ignored_env):
        pass
    first, second = ignored_env.runner.programs
    assert first.words == (str(tmp_path / "alert"),)
    assert (first.stdin, second.stdin) == (b"hello; rm -rf /", b"")
    assert first.timeout_s == 7.0
    received = datetime.fromtimestamp(ignored_env.query_column("SELECT at_wall FROM ignored")[0], UTC)
    assert dict(first.environment) == {
        "MESSAGE_ID": "1",
        "MESSAGE_REASON": "not from 2936",
        "MESSAGE_RECEIVED": received.isoformat(timespec="seconds"),
        "MESSAGE_PDU": "00AB",
        "MESSAGE_SENDER": "Bank?",
    }
    assert ignored_env.query_column(STATES) == ["done", "done"]
    assert ignored_env.reply_texts() == []
    calls = [entry[0] for entry in ignored_env.call_log]
    assert calls.index("commit") < calls.index("program")


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (Failed("exit status 1"), "exit status 1; it is not repeated"),
        (TimedOut(), "ended after 7 s; it is not repeated"),
        (RuntimeError("broken"), "RuntimeError: broken; it is not repeated"),
    ],
)
async def test_failure_is_logged_and_not_repeated(ignored_env, result, text):
    """The next message follows. The log line has no text of the message."""
    ignored_env.runner.plan("alert", result)
    store(ignored_env, "secret", "secret")
    async with running(ignored_env):
        pass
    assert ignored_env.query_column(STATES) == ["failed", "done"]
    assert [event.message for event in ignored_env.events_of_kind("ignored")] == [
        f"message 1: handler alert: {text}",
        "message 2: handler alert has ended",
    ]


async def test_message_waits_while_the_device_cannot_start_a_process(ignored_env):
    """The handler has certainly not run, so it is tried again after a minute."""
    ignored_env.runner.plan("alert", NotStarted("out of memory"), Finished(None))
    store(ignored_env, "hello")
    async with running(ignored_env):
        assert ignored_env.query_column(STATES) == ["pending"]
        await ignored_env.advance(58)
        assert len(ignored_env.runner.programs) == 1
        await ignored_env.advance(3)
        assert ignored_env.query_column(STATES) == ["done"]


async def test_run_that_a_killed_agent_left_is_not_repeated(ignored_env):
    """It may have done what it should."""
    store(ignored_env, "hello", "again")
    IgnoredMessages(ignored_env.journal).start_next()
    ignored_env.restart()
    async with running(ignored_env):
        pass
    assert ignored_env.query_column(STATES) == ["failed", "done"]
    assert [program.stdin for program in ignored_env.runner.programs] == [b"again"]


async def test_new_handler_gets_what_waits(ignored_env):
    """Without a handler the message waits; a reload wakes the task."""
    registry, ignored_env.handlers.registry = ignored_env.handlers.registry, HandlerRegistry([])
    store(ignored_env, "hello")
    async with running(ignored_env) as runner:
        runner.wake()
        await ignored_env.advance(1)
        assert ignored_env.query_column(STATES) == ["pending"]
        ignored_env.handlers.registry = registry
        runner.wake()
        await ignored_env.advance(1)
        assert ignored_env.query_column(STATES) == ["done"]
