"""One commit for two steps: a Command is stored and started, or ends and its reply is being sent."""

import asyncio
import sqlite3
from pathlib import Path
from random import Random

import pytest

from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Finished
from agent.handlers.spec import HandlerSpec
from agent.journal.reply_spread import ReplySpread
from agent.modem.sending import NotSent, Sent


@pytest.fixture
def deliver(pipeline, factories):
    """Deliver a message to a module while dispatcher and receiver run."""
    modem = factories.modem(pipeline)
    numbers = iter(range(1, 60))

    async def deliver(text, **fields):
        number = next(numbers)
        modem.store_message(number, text, second=number, announce=True, **fields)
        await pipeline.advance(1)

    return deliver


async def test_command_is_stored_as_running_if_its_handler_is_free(pipeline, deliver):
    """There is one commit before the handler starts, and the delete of its slot comes after the start."""
    async with pipeline.run_dispatcher() as dispatcher, pipeline.run_receiver(dispatcher=dispatcher):
        pipeline.call_log.clear()
        await deliver("led on")
        kinds = [what for what, *_ in pipeline.call_log]
    assert kinds == ["read", "commit", "run", "commit", "delete"]
    assert pipeline.runner.runs == [("led", "led on", 1)]
    assert pipeline.query_column("SELECT attempts FROM commands") == [1]
    events = [event.kind for event in pipeline.events]
    assert events.index("received") < events.index("running") < events.index("done")


@pytest.mark.parametrize("earlier", ["led slow", "pump slow"])
async def test_handler_of_another_running_command_is_no_obstacle(pipeline, deliver, earlier):
    """A Command waits for its own handler only, and then starts in the order of arrival."""
    release = asyncio.Event()

    async def wait(_command):
        await release.wait()
        return Finished("late")

    pipeline.runner.plan(earlier.split()[0], wait)
    async with pipeline.run_dispatcher() as dispatcher, pipeline.run_receiver(dispatcher=dispatcher):
        await deliver(earlier)
        await deliver("led on")
        expected = "running" if earlier == "pump slow" else "received"
        assert pipeline.query_column("SELECT state FROM commands WHERE id = 2")[0] in {expected, "done"}
        assert (("led", "led on", 1) in pipeline.runner.runs) is (earlier == "pump slow")
        release.set()
        await pipeline.advance(1)
    assert [text for _, text, _ in pipeline.runner.runs] == [earlier, "led on"]


@pytest.mark.parametrize(
    ("config", "text"),
    [({"max_age_s": 60.0}, "led on"), ({}, "unknown word"), ({}, "")],
    ids=["expired", "no handler", "empty"],
)
async def test_command_that_no_handler_runs_is_never_running(pipeline, deliver, config, text):
    """It goes through the state `received`, so an interruption finds nothing that ran."""
    pipeline.clock_error_s = 0.0
    states = []
    async with (
        pipeline.run_dispatcher(config=config) as dispatcher,
        pipeline.run_receiver(dispatcher=dispatcher),
    ):
        pipeline.runner.plan("led", lambda _command: states.append("ran"))
        await deliver(text, **({"minute": 1} if config else {}))
    assert pipeline.query_column("SELECT attempts FROM commands") == [0]
    assert pipeline.events_of_kind("running") == []


async def test_stopping_agent_stores_a_command_for_the_next_start(pipeline, deliver):
    """After `stop` no Command is stored as running."""
    async with pipeline.run_dispatcher() as dispatcher, pipeline.run_receiver(dispatcher=dispatcher):
        dispatcher.stop()
        await deliver("led on")
        assert pipeline.command_states() == ["received"]
    assert pipeline.runner.runs == []


async def test_stop_between_commit_and_start_requeues_the_command(pipeline, deliver):
    """A Command whose handler was never entered is not interrupted: it does not count as an attempt."""
    async with pipeline.run_dispatcher() as dispatcher:
        choose_start = dispatcher.choose_start

        def choose_and_stop(*args, **options):
            start = choose_start(*args, **options)
            dispatcher.stop()
            return start

        dispatcher.choose_start = choose_and_stop
        async with pipeline.run_receiver(dispatcher=dispatcher):
            await deliver("led on")
    assert pipeline.command_states() == ["received"]
    assert pipeline.query_column("SELECT attempts FROM commands") == [0]


async def test_reload_between_commit_and_start_gives_the_command_to_the_new_handler(pipeline, deliver):
    """It waits for the handler's process, which has another Command: two at a time would share it."""
    end = asyncio.Event()

    async def hang(_command):
        await end.wait()
        return Finished(None)

    shared = [
        HandlerSpec(f"io.py:{word}", "python", file=Path("io.py"), words=(word,)) for word in ("led", "pump")
    ]
    pipeline.handler_specs = [pipeline.handler_specs[0], shared[1]]
    pipeline.runner.plan("io.py:pump", hang)
    async with pipeline.run_dispatcher() as dispatcher:
        choose_start = dispatcher.choose_start

        def choose_and_reload(row, *args, **options):
            start = choose_start(row, *args, **options)
            if start is not None and start.handler == "led":
                dispatcher._handlers.replace(HandlerRegistry(shared), dispatcher._handlers.config)
            return start

        dispatcher.choose_start = choose_and_reload
        async with pipeline.run_receiver(dispatcher=dispatcher):
            await deliver("pump on")
            await deliver("led on")
            assert pipeline.command_states() == ["running", "received"]
            end.set()
            await pipeline.advance(1)
    assert pipeline.runner.runs == [("io.py:pump", "pump on", 1), ("io.py:led", "led on", 1)]
    assert pipeline.command_states() == ["done", "done"]


async def test_commit_that_failed_and_is_on_the_disk_starts_the_handler_once(pipeline, deliver):
    """The Command is running in the journal and nothing has started it: it runs, as its first attempt."""
    async with pipeline.run_dispatcher() as dispatcher, pipeline.run_receiver(dispatcher=dispatcher):
        execute = pipeline.journal.execute
        open_file = pipeline.journal._open_file
        failures = iter(["COMMIT", "open"])

        def fail_to_open(path):
            if next(failures, None):
                raise sqlite3.OperationalError("unable to open database file")
            return open_file(path)

        pipeline.journal._open_file = fail_to_open

        def fail_after_commit(query, values=()):
            result = execute(query, values)
            if query == "COMMIT" and next(failures, None):
                pipeline.fail_queries("BEGIN", 1)
                execute("BEGIN IMMEDIATE")
            return result

        pipeline.journal.execute = fail_after_commit
        await deliver("led on")
        await pipeline.advance(30)
    assert pipeline.runner.runs == [("led", "led on", 1)]
    assert pipeline.command_states() == ["done"]
    assert pipeline.query_column("SELECT attempts FROM commands") == [1]


async def test_burst_runs_in_the_order_of_arrival(pipeline, factories):
    """The first Command starts with its commit, the others follow one by one."""
    modem = factories.modem(pipeline)
    async with pipeline.run_dispatcher() as dispatcher, pipeline.run_receiver(dispatcher=dispatcher):
        for number in range(1, 6):
            modem.store_message(number, f"led {number}", second=number, announce=True)
        await pipeline.advance(2)
    assert [text for _, text, _ in pipeline.runner.runs] == [f"led {number}" for number in range(1, 6)]
    assert pipeline.command_states() == ["done"] * 5


async def test_burst_is_stored_in_one_commit(pipeline, factories):
    """Messages that were announced together take one commit, and none is deleted before it."""
    modem = factories.modem(pipeline)
    async with pipeline.run_receiver():
        await pipeline.advance(1)
        pipeline.call_log.clear()
        for number in range(1, 4):
            modem.store_message(number, f"led {number}", second=number, announce=True)
        await pipeline.advance(2)
    kinds = [what for what, *_ in pipeline.call_log if what in {"commit", "delete"}]
    assert kinds[:4] == ["commit", "delete", "delete", "delete"]
    assert pipeline.query_column("SELECT body FROM commands ORDER BY id") == ["led 1", "led 2", "led 3"]


# done and sending


async def test_reply_is_sending_in_the_commit_that_ends_its_command(pipeline):
    """An idle sender asks for the prompt while the Command ends: three commits in all with `sent`."""
    async with pipeline.run_dispatcher(), pipeline.run_sender():
        pipeline.store_command("led on")
        pipeline.call_log.clear()
        pipeline.active_dispatcher.wake()
        await pipeline.advance(1)
    kinds = [what for what, *_ in pipeline.call_log]
    assert kinds == ["commit", "run", "send", "commit", "body", "commit"]
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.query_column("SELECT attempts FROM replies") == [1]
    events = [event.kind for event in pipeline.events]
    assert [kind for kind in events if kind in {"done", "queued", "sending", "sent"}] == [
        *("done", "queued", "sending", "sent")
    ]


async def run_one(pipeline, factories, plan=None, **options):
    """Run a Command while the sender is idle, and return the modem."""
    modem = factories.modem(pipeline)
    if plan is not None:
        modem.plan("send", plan)
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem, **options):
        pipeline.store_command("led on")
        pipeline.active_dispatcher.wake()
        await pipeline.advance(1)
        states = pipeline.reply_states()
        await pipeline.advance(400)
    return modem, states


async def test_failed_prompt_queues_the_reply_again(pipeline, factories):
    """Nothing has left, so it is tried again, and that attempt is counted once."""
    modem, states = await run_one(pipeline, factories, NotSent("no prompt"))
    assert states == ["queued"]
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.query_column("SELECT attempts FROM replies") == [2]
    assert modem.sent_contents == ["did led on"]


async def test_late_prompt_leaves_the_reply_queued(pipeline, factories):
    """An agent that ends while it waits for the prompt has sent nothing, so the next one sends the reply."""
    modem = factories.modem(pipeline)
    modem.latency_s = 2.0
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem):
        pipeline.store_command("led on")
        pipeline.active_dispatcher.wake()
        await pipeline.advance(1)
        assert pipeline.command_states() == ["done"]
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT attempts FROM replies") == [0]
        await pipeline.advance(10)
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.query_column("SELECT attempts FROM replies") == [1]
    assert modem.sent_contents == ["did led on"]


async def test_failure_after_a_late_prompt_counts_one_attempt(pipeline, factories):
    """It is recorded as that of a queued reply, so a module that never prompts is not tried for ever."""
    modem = factories.modem(pipeline)
    modem.latency_s = 2.0
    modem.plan("send", NotSent("no prompt"))
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem):
        pipeline.store_command("led on")
        pipeline.active_dispatcher.wake()
        await pipeline.advance(3)
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT attempts FROM replies") == [1]


async def test_module_with_late_prompts_gets_no_reply_before_its_commit(pipeline, factories):
    """After one late prompt, the Commands of the session end without waiting for the next one."""
    modem = factories.modem(pipeline)
    modem.latency_s = 2.0
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem):
        for number in (1, 2):
            pipeline.store_command(f"led {number}")
            pipeline.active_dispatcher.wake()
            await pipeline.advance(30)
    assert modem.sent_contents == ["did led 1", "did led 2"]
    assert len(pipeline.calls_of("send")) == 2


async def test_error_before_the_body_is_no_unknown_outcome(pipeline, factories):
    """Nothing has left: the reply is sent from the outbox."""
    modem, states = await run_one(pipeline, factories, ValueError("a mistake"))
    assert states == ["sent"]
    assert modem.sent_contents == ["did led on"]


async def test_rate_limit_keeps_a_reply_queued(pipeline, factories):
    """The limit is checked in the commit; text entry is closed without a body."""
    for _ in range(2):
        pipeline.queue_message()
    modem, states = await run_one(pipeline, factories, max_per_day=2)
    assert states == ["sent", "sent", "queued"]
    assert modem.sent_contents == ["hello", "hello"]


async def test_busy_sender_takes_replies_from_the_outbox(pipeline, factories):
    """While a message is being sent, the next reply waits in the outbox, and leaves once."""
    release = asyncio.Event()

    async def wait(_submit):
        await release.wait()
        return Sent(7)

    modem = factories.modem(pipeline)
    modem.plan("send", wait)
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem):
        for text in ("led 1", "led 2"):
            pipeline.store_command(text)
            pipeline.active_dispatcher.wake()
            await pipeline.advance(1)
        assert pipeline.reply_states() == ["sending", "queued"]
        release.set()
        await pipeline.advance(1)
    assert pipeline.reply_states() == ["sent", "sent"]
    assert modem.sent_contents == ["did led 1", "did led 2"]


async def test_commit_that_fails_closes_text_entry_and_is_repeated(pipeline, factories):
    """No body leaves before the commit; the reply is sent when the journal can commit again."""
    modem = factories.modem(pipeline)
    async with pipeline.run_dispatcher(), pipeline.run_sender(modem):
        pipeline.store_command("led on")

        async def fill_disk(_command):
            pipeline.fail_commits_disk_full()
            return Finished("well")

        pipeline.runner.plan("led", fill_disk)
        pipeline.active_dispatcher.wake()
        await pipeline.advance(1)
        assert modem.sent_contents == []
        assert pipeline.command_states() == ["running"]
        pipeline.commit_error = None
        await pipeline.advance(120)
    assert modem.sent_contents == ["well"]
    assert pipeline.reply_states() == ["sent"]


@pytest.mark.parametrize("delay_s", [0.0, 0.01])
async def test_lost_connection_queues_a_reply_that_was_handed_over(pipeline, factories, delay_s):
    """It has not left, and the next session sends it."""
    modem = factories.modem(pipeline)
    async with pipeline.run_dispatcher():
        async with pipeline.run_sender(modem):
            pipeline.store_command("led on")

            async def lose(_command):
                asyncio.get_running_loop().call_later(delay_s, modem.lose_line)
                return Finished("well")

            pipeline.runner.plan("led", lose)
            modem.plan("send", NotSent("lost"))
            pipeline.active_dispatcher.wake()
            await pipeline.advance(1)
        assert pipeline.reply_states() == ["queued"]
        async with pipeline.run_sender() as second:
            await pipeline.advance(120)
    assert second.sent_contents == ["well"]
    assert pipeline.reply_states() == ["sent"]


async def test_reply_that_waits_for_its_spread_is_not_handed_over(pipeline, factories):
    """Its commit shows that it may not leave yet."""
    pipeline.outbox_store._reply_spread = ReplySpread(60.0, Random(1))
    _, states = await run_one(pipeline, factories)
    assert states == ["queued"]
    assert pipeline.reply_states() == ["sent"]
