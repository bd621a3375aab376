"""When an agent that ends by itself is idle: each kind of open work, and the times."""

import asyncio

import pytest

from agent.daemon.until_idle import IdleLimits, UntilIdle
from agent.journal.ignored import IgnoredMessages
from agent.journal.open_work import read_open_work
from agent.service.message import IgnoredMessage


class IdleEnv:
    """The journal of a pipeline, and what is otherwise in the way."""

    def __init__(self, pipeline):
        self.pipeline = pipeline
        self.obstacle = ""
        self.has_ignored_handler = False

    async def wait(self, **limits):
        """Return the result and the seconds until it."""
        waiter = UntilIdle(
            limits=IdleLimits(**({"quiet_s": 20.0, "max_s": 300.0, "wait_s": 60.0} | limits)),
            runtime=self.pipeline.runtime,
            read_open_work=lambda waiting_s: read_open_work(
                self.pipeline.journal, waiting_s, has_ignored_handler=self.has_ignored_handler
            ),
            find_obstacle=lambda: self.obstacle,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        return await waiter.wait(), round(loop.time() - began)

    def store_ignored(self):
        """Store an ignored message for a handler."""
        message = IgnoredMessage("not from 2936", None, "hello")
        ignored = IgnoredMessages(self.pipeline.journal, lambda: True)
        self.pipeline.journal.commit(None, lambda now: ignored.store(message, "00", now))


@pytest.fixture
def idle_env(pipeline):
    return IdleEnv(pipeline)


def later(seconds, change):
    asyncio.get_running_loop().call_later(seconds, change)


async def test_nothing_to_do_ends_after_the_quiet_time(idle_env):
    """The first look only learns what is there."""
    assert await idle_env.wait() == ("", 20)


async def test_obstacle_and_news_begin_the_quiet_time_again(idle_env):
    """Registration takes 50 s, and two messages follow that are done at once."""
    idle_env.obstacle = "not registered"
    later(50, lambda: setattr(idle_env, "obstacle", ""))

    def receive_and_finish():
        result = idle_env.pipeline.store_command()
        idle_env.pipeline.command_store.finish(result.command_id, "done")

    later(60, receive_and_finish)
    later(75, receive_and_finish)
    result, seconds = await idle_env.wait()
    assert result == ""
    assert 95 <= seconds <= 97


@pytest.mark.parametrize("what", ["received", "running", "queued", "sending", "action", "ignored"])
async def test_open_work_is_waited_for(idle_env, what):
    """The agent goes on until the longest time, and says what is left."""
    pipeline = idle_env.pipeline
    if what in {"received", "running", "action"}:
        number = pipeline.store_command().command_id
    if what == "running":
        pipeline.command_store.mark_running(number, "led", repeatable=False)
    if what == "action":
        pipeline.command_store.finish(number, "done", action=("led", "then"))
    if what in {"queued", "sending"}:
        reply = pipeline.queue_message()
    if what == "sending":
        pipeline.outbox_store.mark_sending(reply)
    if what == "ignored":
        idle_env.has_ignored_handler = True
        idle_env.store_ignored()
    result, seconds = await idle_env.wait(max_s=40.0)
    assert seconds == 40
    assert result.startswith("1 ")


@pytest.mark.parametrize("age_s", [0, 10_000])
async def test_reply_that_waits_for_longer_than_the_limit_is_left(idle_env, age_s):
    """A reply of an earlier start gets the same time as a new one: here 60 s, then the quiet time."""
    idle_env.pipeline.queue_message()
    await idle_env.pipeline.advance(age_s)
    result, seconds = await idle_env.wait()
    assert result == ""
    assert 79 <= seconds <= 82


async def test_message_being_sent_is_waited_for_without_a_limit(idle_env):
    """Its result may take minutes."""
    reply = idle_env.pipeline.queue_message()
    idle_env.pipeline.outbox_store.mark_sending(reply)
    later(200, lambda: idle_env.pipeline.outbox_store.mark_sent(reply, 7))
    result, seconds = await idle_env.wait()
    assert result == ""
    assert 219 <= seconds <= 222


async def test_ignored_messages_without_a_handler_are_no_work(idle_env):
    """They wait for a handler that there may never be."""
    idle_env.store_ignored()
    assert await idle_env.wait() == ("", 20)


async def test_journal_that_cannot_be_read_is_not_idle(idle_env):
    """What is left to do is not known."""
    idle_env.pipeline.fail_queries("count(*) FROM commands", 10)
    result, seconds = await idle_env.wait(max_s=5.0)
    assert result.startswith("the journal cannot be read: ")
    assert seconds == 5
