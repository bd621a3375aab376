"""Forwarding of Commands: how long they wait for their target, what they hold up, and their answers."""

import asyncio
import sqlite3
from contextlib import asynccontextmanager

import pytest

from agent.common.events import Condition
from agent.forwarding.delivery import Accepted, Postponed, Rejected
from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Finished
from agent.handlers.spec import HandlerSpec
from agent.service.compose import ReplyConfig

AWAY = Postponed("the broker is away")
SID = "DC" + "1" * 32


class FakeTarget:
    """A target whose deliveries have the outcomes that a test plans; the last one repeats."""

    def __init__(self):
        self.spec = HandlerSpec("[mqtt]", "forwarding", words=("on",), default=True, repeatable=True)
        self.gateway = "gw"
        self.condition = Condition.MQTT
        self.answer_timeout_s = 60.0
        self.delivery_timeout_s = 30.0
        self.outcomes = [Accepted()]
        self.messages = []
        self.listener = None

    async def run(self, listener):
        self.listener = listener
        await asyncio.Event().wait()

    async def deliver(self, message):
        self.messages.append(message)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        return await outcome() if callable(outcome) else outcome


@pytest.fixture
def target(pipeline):
    target = FakeTarget()
    pipeline.targets = (target,)
    pipeline.handler_specs.append(target.spec)
    return target


@asynccontextmanager
async def run_forwarding(pipeline, **options):
    async with pipeline.run_dispatcher(**options) as dispatcher:
        task = asyncio.create_task(dispatcher.forwarder.run())
        await pipeline.advance(1)
        yield dispatcher
        task.cancel()


async def test_command_is_done_only_when_the_target_has_it(pipeline, target):
    """One commit in all: an attempt needs none, because it may be made again."""
    pipeline.store_command(f"{SID} on 1")
    pipeline.call_log.clear()
    states = []

    async def look():
        states.extend(pipeline.command_states())
        return Accepted()

    target.outcomes = [look]
    async with run_forwarding(pipeline):
        assert states == ["received"]
        assert pipeline.call_log == [("commit",)]
    assert pipeline.command_states() == ["done"]
    assert pipeline.query_column("SELECT handler || ' ' || attempts FROM commands") == ["[mqtt] 1"]
    assert pipeline.reply_states() == []
    [message] = target.messages
    assert (message["id"], message["text"], message["gateway"]) == (SID, "on 1", "gw")


async def test_command_waits_as_long_as_the_target_is_away(pipeline, target):
    """Attempts are not limited, and grow rare; the journal says why it waits, with one commit."""
    pipeline.store_command("on 1")
    target.outcomes = [AWAY]
    async with run_forwarding(pipeline):
        await pipeline.advance(86_400)
        assert 280 < len(target.messages) < 400
        assert pipeline.command_states() == ["received"]
        assert pipeline.query_column("SELECT reason FROM commands") == [
            "waits for [mqtt]: the broker is away"
        ]
        assert len(pipeline.events_of_kind("retry later")) == 1
        target.outcomes = [Accepted()]
        await pipeline.advance(400)
    assert pipeline.command_states() == ["done"]
    assert len({message["id"] for message in target.messages}) == 1
    last = pipeline.events_of_kind("forwarding")[-1]
    assert (last.message, last.resolves) == ("[mqtt] takes Commands again", Condition.MQTT)


async def test_waiting_command_survives_restarts(pipeline, target):
    """It is neither failed nor counted as an attempt, however often the agent ends."""
    pipeline.store_command("on 1")
    target.outcomes = [AWAY]
    for _ in range(5):
        async with run_forwarding(pipeline):
            await pipeline.advance(5)
        pipeline.restart()
    target.outcomes = [Accepted()]
    async with run_forwarding(pipeline):
        pass
    assert pipeline.command_states() == ["done"]
    assert len({message["id"] for message in target.messages}) == 1


async def test_connection_ends_the_wait(pipeline, target):
    """Commands do not wait for the next attempt when the target says that it is there; the order stays."""
    for number in range(3):
        pipeline.store_command(f"on {number}")
    target.outcomes = [AWAY]
    async with run_forwarding(pipeline):
        await pipeline.advance(4000)
        target.outcomes, attempts = [Accepted()], len(target.messages)
        target.listener.on_connected("connected to mqtt://b")
        await pipeline.advance(1)
        assert [each["text"] for each in target.messages[attempts:]] == ["on 0", "on 1", "on 2"]


async def test_target_that_hangs_holds_up_no_handler(pipeline, target):
    """A delivery is none of the handlers that may run at the same time."""
    pipeline.store_command("on 1")
    pipeline.store_command("led on")

    async def hang():
        await asyncio.sleep(1000)
        return Accepted()

    target.outcomes = [hang]
    pipeline.runner.plan("led", Finished("led is on"))
    async with run_forwarding(pipeline, config={"max_concurrent": 1}):
        assert pipeline.command_states() == ["received", "done"]
        await pipeline.advance(1000)
    assert pipeline.command_states() == ["done", "done"]


async def test_handler_that_hangs_holds_up_no_delivery(pipeline, target):
    """Also if no further handler may run at the same time."""
    end = asyncio.Event()

    async def hang(_command):
        await end.wait()
        return Finished(None)

    pipeline.runner.plan("led", hang)
    pipeline.store_command("led on")
    pipeline.store_command("on 1")
    async with run_forwarding(pipeline, config={"max_concurrent": 1}):
        assert pipeline.command_states() == ["running", "done"]
        end.set()
        await pipeline.advance(1)


async def test_waiting_command_expires(pipeline, target):
    """What is too old is not delivered when the target is back. The next one is."""
    pipeline.store_command("on 1", minute=0)
    target.outcomes = [AWAY]
    async with run_forwarding(pipeline, config={"max_age_s": 3600.0}):
        answer = asyncio.create_task(target.listener.on_answer(target.messages[0]["id"], "1 is on"))
        await pipeline.advance(8000)
        assert pipeline.command_states() == ["expired"]
        assert answer.done()
        await target.listener.on_answer(target.messages[0]["id"], "1 is on")
    assert pipeline.reply_states() == []


async def test_delay_that_the_target_asks_for_is_kept(pipeline, target):
    """Retry-After, for example."""
    pipeline.store_command("on 1")
    target.outcomes = [Postponed("busy", 500.0), Accepted()]
    async with run_forwarding(pipeline):
        await pipeline.advance(490)
        assert len(target.messages) == 1
        await pipeline.advance(20)
        assert len(target.messages) == 2


async def test_rejected_command_fails_and_the_next_is_delivered(pipeline, target):
    """The sender learns it, as from a handler."""
    pipeline.store_command("on 1")
    pipeline.store_command("on 2")
    target.outcomes = [Rejected("the server answers 422"), Accepted("2 is on")]
    async with run_forwarding(pipeline):
        pass
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.reply_texts() == ["ERR failed", "2 is on"]


@pytest.mark.parametrize(
    ("outcome", "runs"), [(Accepted(), []), (AWAY, [("on", "on 1", 1)])], ids=["accepted", "postponed"]
)
async def test_reload_during_a_delivery_runs_nothing_twice(pipeline, target, factories, outcome, runs):
    """A handler that takes the word since the reload gets the Command only if the target does not have it."""
    pipeline.store_command("on 1")
    end = asyncio.Event()

    async def deliver():
        await end.wait()
        return outcome

    target.outcomes = [deliver]
    async with run_forwarding(pipeline) as dispatcher:
        registry = HandlerRegistry([factories.executable("on"), target.spec.replace(words=())])
        dispatcher._handlers.replace(registry, dispatcher._handlers.config)
        dispatcher.wake()
        await pipeline.advance(1)
        assert pipeline.runner.runs == []
        end.set()
        await pipeline.advance(10)
    assert pipeline.runner.runs == runs
    assert (pipeline.command_states(), len(target.messages)) == (["done"], 1)


async def test_journal_that_cannot_commit_the_end_is_no_task_that_hangs(pipeline, target):
    """Else systemd would restart the agent, which would deliver the Command again, and so on."""
    pipeline.store_command("on 1")

    async def accept():
        pipeline.commit_error = sqlite3.OperationalError("database or disk is full")
        return Accepted()

    target.outcomes = [accept]
    async with run_forwarding(pipeline):
        await pipeline.advance(3600)
        assert pipeline.runtime.deadlines.overdue() == []
        pipeline.commit_error = None
        await pipeline.advance(60)
    assert pipeline.command_states() == ["done"]
    assert len(target.messages) == 1


# Answers after the delivery


async def test_answer_is_sent_once_and_in_time(pipeline, target):
    """It may come twice (QoS 1). After reply_timeout_s it is not sent."""
    pipeline.store_command("on 1")
    pipeline.store_command("on 2")
    async with run_forwarding(pipeline):
        first, second = (message["id"] for message in target.messages)
        await target.listener.on_answer(first, "1 is on")
        await target.listener.on_answer(first, "1 is on")
        assert pipeline.reply_texts() == ["1 is on"]
        await pipeline.advance(100)
        await target.listener.on_answer(second, "too late")
    assert pipeline.reply_texts() == ["1 is on"]
    assert "after reply_timeout_s" in pipeline.events_of_kind("forwarding")[-1].message
    assert pipeline.events_of_kind("expired") == []


async def test_answer_after_a_restart_is_sent(pipeline, target):
    """The broker keeps it while the agent is away; the time for it begins anew."""
    pipeline.store_command(f"{SID} on 1")
    async with run_forwarding(pipeline):
        pass
    pipeline.restart()
    async with run_forwarding(pipeline):
        await target.listener.on_answer(SID, "1 is on")
    assert pipeline.reply_texts() == ["1 is on"]


async def test_answer_that_overtakes_the_acknowledgement_waits_for_it(pipeline, target):
    """A Command that is not done cannot have a reply; the answer is taken when it is done."""
    pipeline.store_command("on 1")
    target.outcomes = [AWAY]
    async with run_forwarding(pipeline):
        task = asyncio.create_task(target.listener.on_answer(target.messages[0]["id"], "1 is on"))
        await pipeline.advance(10)
        assert not task.done()
        target.outcomes = [Accepted()]
        target.listener.on_connected("connected")
        await pipeline.advance(1)
        assert task.done()
    assert pipeline.reply_texts() == ["1 is on"]


@pytest.mark.parametrize("delivery_id", ["gw-1-00000000", "gw-9-00000000", SID, "DC" + "2" * 32, "", "x"])
async def test_answer_to_no_command_is_reported(pipeline, target, delivery_id):
    """Another gateway with the same name, or an old journal, or the Command of a handler."""
    pipeline.store_command("on 1")
    pipeline.store_command(f"{SID} led on")
    pipeline.runner.plan("led", Finished(None))
    async with run_forwarding(pipeline):
        await target.listener.on_answer(delivery_id, "what?")
    assert pipeline.reply_texts() == []
    assert "which was not forwarded by this gateway" in pipeline.events_of_kind("forwarding")[-1].message


async def test_wrong_answer_does_not_wait_for_a_delivery(pipeline, target):
    """The number alone is not the id: nothing that the broker sends may pile up here."""
    pipeline.store_command("on 1")
    target.outcomes = [AWAY]
    async with run_forwarding(pipeline):
        async with asyncio.timeout(1):
            await target.listener.on_answer("gw-1-00000000", "what?")


async def test_answer_that_no_sms_can_carry_stops_nothing(pipeline, target):
    """A JSON text may have half a surrogate pair. The answer is logged and not sent; the next one is."""
    pipeline.store_command("on 1")
    pipeline.store_command("on 2")
    async with run_forwarding(pipeline, reply_config=ReplyConfig(allow_ucs2=True)):
        first, second = (message["id"] for message in target.messages)
        await target.listener.on_answer(first, "1 is \ud800")
        await target.listener.on_answer(second, "2 is on")
    assert pipeline.reply_texts() == ["2 is on"]
    assert "no reply: user_data.text" in pipeline.events_of_kind("failed")[0].message
