"""Dispatching of Commands: how often each handler runs, in which order, and what is answered."""

import asyncio
from datetime import UTC, datetime

import pytest

import pdu
from agent.common.events import Severity
from agent.handlers.registry import HandlerRegistry
from agent.handlers.results import Failed, Finished, NotStarted, RetryLater, TimedOut
from agent.handlers.spec import HandlerSpec
from agent.pipeline.composer import MessageComposer
from agent.service.compose import ReplyConfig


def hanging_handler():
    """Return a handler that runs until an event is set, and that event."""
    end = asyncio.Event()

    async def work(_command):
        await end.wait()
        return Finished("late")

    return work, end


# Order of commits, runs and replies


async def test_run_is_committed_before_it_starts_and_with_its_reply(pipeline):
    """After a kill at any moment the journal shows the run, and no Command is done without its reply."""
    pipeline.store_command("led on")
    seen = []

    async def record_and_finish(_command):
        seen.extend(
            (
                pipeline.command_states(),
                pipeline.query_column("SELECT attempts FROM commands"),
                pipeline.reply_states(),
            )
        )
        return Finished("led is on")

    pipeline.runner.plan("led", record_and_finish)
    pipeline.call_log.clear()
    async with pipeline.run_dispatcher():
        assert seen == [["running"], [1], []]
        assert pipeline.call_log == [("commit",), ("run", "led", 1), ("commit",)]
        assert pipeline.command_states() == ["done"]
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT command_id FROM replies") == [1]


@pytest.mark.parametrize(
    ("text", "outcome", "expected"),
    [
        (
            "led on",
            Finished("led is on"),
            ["running command 1: handler led", "done command 1", "queued command 1: reply to 2936"],
        ),
        ("led on", Finished(None), ["running command 1: handler led", "done command 1: no reply"]),
        ("", None, ["done command 1: an empty Command, and no handler matches it"]),
        ("x", None, ["failed command 1: no handler", "queued command 1: reply to 2936"]),
        (
            "again on",
            RetryLater("busy"),
            [
                "running command 1: handler again",
                "retry later command 1: busy; next attempt in 10 s",
                "running command 1: handler again, attempt 2",
                "done command 1",
                "queued command 1: reply to 2936",
            ],
        ),
    ],
)
async def test_events_of_a_command(pipeline, text, outcome, expected):
    """Each action has one event. The content of messages is separate from the text of the event."""
    if outcome is not None:
        pipeline.runner.plan(text.split()[0], outcome)
    pipeline.store_command(text)
    async with pipeline.run_dispatcher():
        await pipeline.advance(20)
    assert [str(event) for event in pipeline.events] == expected
    assert [event.content for event in pipeline.events_of_kind("queued")] == pipeline.reply_texts()


async def test_handler_receives_the_command_unchanged(pipeline, factories):
    """It gets the SID, sender, time, attempt, and the text without the SID."""
    pipeline.store_command(f"{factories.SID} led on", minute=7)
    seen = []

    async def record_and_finish(command):
        seen.append(command)
        return Finished(None)

    pipeline.runner.plan("led", record_and_finish)
    async with pipeline.run_dispatcher():
        pass
    [command] = seen
    assert (command.sid, command.sender, command.text, command.attempt, command.mode) == (
        factories.SID, "2936", "led on", 1, "text",
    )  # fmt: skip
    assert command.timestamp.minute == 7


async def test_commands_of_one_handler_run_in_sequence(pipeline):
    """They run in order of arrival, also if the first takes long. Other handlers run at the same time."""
    work, end = hanging_handler()
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", work)
        for text in ("led 1", "led 2", "pump 1", "led 3"):
            pipeline.store_command(text)
        await wake_dispatcher(pipeline)
        assert [text for _, text, _ in pipeline.runner.runs] == ["led 1", "pump 1"]
        end.set()
        await pipeline.advance(1)
        assert [text for _, text, _ in pipeline.runner.runs] == ["led 1", "pump 1", "led 2", "led 3"]
    assert set(pipeline.command_states()) == {"done"}


async def test_functions_of_one_file_run_in_sequence(pipeline):
    """They share a process."""
    file = pipeline.folder / "device.py"
    pipeline.handler_specs = [
        HandlerSpec(f"device.py:{name}", "python", file=file, function=name, words=(name,))
        for name in ("a", "b")
    ]
    work, end = hanging_handler()
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("device.py:a", work)
        pipeline.store_command("a")
        pipeline.store_command("b")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.runs) == 1
        end.set()
        await pipeline.advance(1)
        assert len(pipeline.runner.runs) == 2


@pytest.mark.parametrize("max_concurrent", [1, 2, 3])
async def test_concurrency_is_limited(pipeline, factories, max_concurrent):
    """Commands start in order of arrival. Each end of a run lets the next one start."""
    pipeline.handler_specs = [factories.executable(f"h{number}") for number in range(5)]
    works = [hanging_handler() for _ in range(5)]
    async with pipeline.run_dispatcher(config={"max_concurrent": max_concurrent}) as dispatcher:
        for number, (work, _) in enumerate(works):
            pipeline.runner.plan(f"h{number}", work)
            pipeline.store_command(f"h{number}")
        await wake_dispatcher(pipeline)
        for started in range(max_concurrent, 6):
            assert [name for name, *_ in pipeline.runner.runs] == [f"h{n}" for n in range(min(started, 5))]
            assert len(dispatcher.active_queues) == min(max_concurrent, 5)
            works[started - max_concurrent][1].set()
            await pipeline.advance(1)


async def wake_dispatcher(pipeline):
    """Wake the dispatcher, as the receiver does after a commit."""
    pipeline.active_dispatcher.wake()
    await pipeline.advance(1)


# Answers


@pytest.mark.parametrize(
    ("outcome", "state", "answer", "reason"),
    [
        (Finished("led is on"), "done", "led is on", None),
        (Finished(None), "done", None, None),
        (Finished(""), "done", None, None),
        (Failed("exit status 1: no such pump"), "failed", "ERR failed", "exit status 1: no such pump"),
        (TimedOut(), "failed", "ERR timed out", "ended after 30 s"),
        (RetryLater("busy"), "failed", "ERR failed", "busy; not tried again"),
        (RuntimeError("internal"), "failed", "ERR failed", "RuntimeError: internal"),
    ],
)
async def test_each_result_has_its_state_and_answer(pipeline, outcome, state, answer, reason):
    """The answer is one short line, and the journal has the reason."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", outcome)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        assert pipeline.command_states() == [state]
        assert pipeline.reply_texts() == ([] if answer is None else [answer])
        assert pipeline.query_column("SELECT reason FROM commands") == [reason]
        assert pipeline.query_column("SELECT destination FROM replies") == (
            [] if answer is None else ["2936"]
        )
        assert pipeline.queued_count == (0 if answer is None else 1)
        assert pipeline.deadline_monitor._deadlines == {}
    [event] = pipeline.events_of_kind(state)
    assert event.command_id == 1
    assert event.severity is (Severity.INFO if state == "done" else Severity.WARNING)


@pytest.mark.parametrize(
    ("result", "answer"),
    [
        (Failed("exit status 3", stderr="mounting\ndisk on fire"), "ERR exit 3: disk on fire"),
        (Failed("exit status 3"), "ERR exit 3"),
        (Failed("killed by SIGSEGV", stderr="x" * 1000), "ERR killed by SIGSEGV: " + "x" * 135 + ".."),
        (RetryLater("exit status 75", stderr="still busy"), "ERR exit 75: still busy"),
        (TimedOut(stderr="waiting"), "ERR timed out"),
    ],
)
async def test_error_answer_has_the_details_if_configured(pipeline, result, answer):
    """Exit status and last line of standard error, in one message even if replies may have several."""
    async with pipeline.run_dispatcher(config={"error_details": True}, reply_config=ReplyConfig(max_parts=3)):
        pipeline.runner.plan("led", result)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == [answer]


async def test_unknown_word_gets_one_short_answer(pipeline):
    """The answer contains at most 20 characters of the word. Other Commands are run."""
    async with pipeline.run_dispatcher():
        pipeline.store_command("frobnicate_the_device_now please")
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
    assert sorted(pipeline.reply_texts()) == ["ERR unknown frobnicate_the_devic", "did led on"]
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.query_column("SELECT reason FROM commands WHERE id = 1") == ["no handler"]


@pytest.mark.parametrize("text", ["", " ", "\r\n", " " * 160])
async def test_empty_text_is_done_and_not_answered(pipeline, text):
    """There is nothing to run, and an answer would cost money."""
    async with pipeline.run_dispatcher():
        pipeline.store_command(text)
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_texts() == []


async def test_empty_text_goes_to_the_default_handler(pipeline):
    """A default handler gets every Command that no other handler matches."""
    pipeline.handler_specs = [HandlerSpec("all.py:all", "python", function="all", default=True)]
    async with pipeline.run_dispatcher():
        pipeline.store_command("")
        pipeline.store_command(b"\x01")
        await wake_dispatcher(pipeline)
        assert pipeline.runner.runs == [("all.py:all", "", 1), ("all.py:all", b"\x01", 1)]


async def test_binary_command_without_a_handler_is_answered(pipeline):
    """The answer is that of an unknown word."""
    async with pipeline.run_dispatcher():
        pipeline.store_command(b"\x01\x02")
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == ["ERR unknown binary"]


async def test_binary_reply_stays_binary(pipeline):
    """This holds on a service that carries binary messages."""
    pipeline.handler_specs = [HandlerSpec("binary", "executable")]
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("binary", Finished(b"\x01\x02"))
        pipeline.store_command(b"\x01")
        await wake_dispatcher(pipeline)
    assert pipeline.query_column("SELECT user_data FROM replies") == [b"\x01\x02"]
    assert pipeline.query_column("SELECT alphabet FROM replies") == ["8bit"]


async def test_binary_reply_fails_on_a_text_only_service(tmp_path, factories):
    """The Command fails with a reason, and its sender gets an error answer."""
    pipeline = factories.harness(tmp_path, "super-sim")
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished(b"\x01"))
        pipeline.store_command("led on", sender="000")
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["failed"]
    assert pipeline.reply_texts() == ["ERR answer"]
    assert pipeline.query_column("SELECT reason FROM commands") == ["super-sim cannot carry a binary reply"]
    assert pipeline.query_column("SELECT destination FROM replies") == ["000"]
    pipeline.journal.close()


async def test_long_reply_is_truncated_or_sent_in_parts(pipeline):
    """A reply is one message unless `max_parts` allows more."""
    async with pipeline.run_dispatcher(reply_config=ReplyConfig(max_parts=2)):
        pipeline.runner.plan("led", Finished("x" * 200), Finished("y" * 400))
        pipeline.store_command("led 1")
        await wake_dispatcher(pipeline)
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
    texts = pipeline.reply_texts()
    assert [len(text) for text in texts] == [153, 47, 153, 153]
    assert texts[3].endswith("y..")
    assert pipeline.query_column("SELECT part || '/' || parts FROM replies") == ["1/2", "2/2", "1/2", "2/2"]


@pytest.mark.parametrize(("rule", "text"), [("none", "led is on"), ("start", "{SID} led is on")])
async def test_reply_starts_with_the_sid_if_configured(pipeline, factories, rule, text):
    """It is the SID of the Command that is answered."""
    async with pipeline.run_dispatcher(reply_config=ReplyConfig(reply_sid=rule)):
        pipeline.runner.plan("led", Finished("led is on"))
        pipeline.store_command(f"{factories.SID} led on")
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == [text.format(SID=factories.SID)]


async def test_reply_may_go_to_another_destination(pipeline, factories):
    """`reply_to` applies to replies of the handler. Error answers of the agent go to the service."""
    pipeline.handler_specs = [factories.executable("led", reply_to="+15557654321")]
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished("on"), Failed("no"))
        pipeline.store_command("led 1")
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
    assert pipeline.query_column("SELECT destination FROM replies ORDER BY id") == ["+15557654321", "2936"]


@pytest.mark.parametrize("fields", [{"content": "ERR unknown led"}, {"loop_prevention": True}])
async def test_command_that_could_loop_is_never_answered(pipeline, fields):
    """The text is itself an error answer, or the message has the loop prevention bit."""
    content = fields.pop("content", "led on")
    async with pipeline.run_dispatcher():
        pipeline.store_command(content, **fields)
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == []
    assert pipeline.command_states() == ["failed" if content.startswith("ERR") else "done"]
    assert pipeline.queued_count == 0


async def test_error_answers_are_limited_to_ten_an_hour(pipeline):
    """The eleventh failure has no answer, and an hour later one is answered again. Replies of handlers do not
    count."""
    async with pipeline.run_dispatcher():
        for number in range(14):
            pipeline.store_command(f"nothing{number}")
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        assert len(pipeline.reply_texts()) == 11
        assert "did led on" in pipeline.reply_texts()
        assert pipeline.command_states().count("failed") == 14
        await pipeline.advance(3590)
        pipeline.store_command("nothing", minute=1)
        await wake_dispatcher(pipeline)
        assert len(pipeline.reply_texts()) == 11
        await pipeline.advance(20)
        pipeline.store_command("nothing", minute=2)
        await wake_dispatcher(pipeline)
        assert len(pipeline.reply_texts()) == 12


async def test_builtin_handlers_run_without_a_process(pipeline):
    """Their runs are committed like those of other handlers."""
    async with pipeline.run_dispatcher(format_status=lambda: "modem-agent 1, registered"):
        for text in ("ping one two", "status", "help"):
            pipeline.store_command(text)
        await wake_dispatcher(pipeline)
        assert pipeline.runner.runs == []
    assert sorted(pipeline.reply_texts()) == [
        "again, help, led, ping, pump, status",
        "modem-agent 1, registered",
        "pong one two",
    ]
    assert len(pipeline.events_of_kind("running")) == 3


# Internal errors


async def test_error_in_matching_fails_one_command(pipeline):
    """An exception while its handler is chosen fails this Command, and other Commands are run."""

    class FailingRegistry(HandlerRegistry):
        def match(self, command):
            if command.text == "poison":
                raise ZeroDivisionError("internal")
            return super().match(command)

    async with pipeline.run_dispatcher(registry=FailingRegistry(pipeline.handler_specs)):
        for text in ("poison", "led on"):
            pipeline.store_command(text)
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.query_column("SELECT reason FROM commands WHERE id = 1") == [
        "ZeroDivisionError: internal"
    ]


async def test_reply_that_cannot_be_composed_fails_its_command_alone(pipeline):
    """The Command fails and is answered, its handler does not run again, and other Commands are done."""

    class FailingComposer(MessageComposer):
        def compose(self, content, **options):
            if content == "did led 1":
                raise OverflowError("internal")
            return super().compose(content, **options)

    composer = FailingComposer(pipeline.service, ReplyConfig())
    async with pipeline.run_dispatcher(composer=composer):
        pipeline.store_command("led 1")
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.runs) == 2
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.reply_texts() == ["ERR failed", "did led 2"]


@pytest.mark.parametrize("interrupted", [False, True])
async def test_error_reply_that_cannot_be_composed_fails_its_command_alone(pipeline, interrupted):
    """The Command fails without a reply and with one log line, other Commands are done, the task goes on."""

    class FailingComposer(MessageComposer):
        def compose(self, content, **options):
            if content == "did led 1" or content.startswith("ERR "):
                raise OverflowError("of ours")
            return super().compose(content, **options)

    composer = FailingComposer(pipeline.service, ReplyConfig())
    pipeline.store_command("led 1")
    if interrupted:
        pipeline.command_store.mark_running(1, "led", repeatable=False)
    async with pipeline.run_dispatcher(composer=composer):
        pipeline.store_command("unknown")
        await wake_dispatcher(pipeline)
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["failed", "failed", "done"]
    assert pipeline.reply_texts() == ["did led 2"]
    cause = "interrupted" if interrupted else "OverflowError: of ours"
    assert [(event.command_id, event.message) for event in pipeline.events_of_kind("failed")] == [
        (1, f"{cause}; no error reply: OverflowError: of ours"),
        (2, "no handler; no error reply: OverflowError: of ours"),
    ]


# Expiry


@pytest.mark.parametrize(
    ("age", "ahead", "state"),
    [(80000, 0, "done"), (91000, 0, "expired"), (91000, -91000 * 2, "done"), (10, 91000, "expired")],
)
async def test_old_command_expires_and_is_not_run(pipeline, age, ahead, state):
    """The clock of the device decides. If it is behind the timestamps of the network, no Command expires."""
    pipeline.clock_error_s = age
    pipeline.store_command("led on", minute=59, second=59)
    pipeline.clock_error_s += ahead
    async with pipeline.run_dispatcher(config={"max_age_s": 90000}):
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == [state]
    assert pipeline.reply_texts() == (["did led on"] if state == "done" else [])
    if state == "expired":
        assert pipeline.query_column("SELECT reason FROM commands") == ["older than max_age_s allows"]
        assert pipeline.events_of_kind("expired")[0].severity is Severity.WARNING


@pytest.mark.parametrize(("own", "state"), [(None, "done"), (60, "expired")])
async def test_handler_may_have_a_shorter_max_age(pipeline, factories, own, state):
    """Without a value of its own the handler has that of agent.toml."""
    pipeline.handler_specs = [factories.executable("led", max_age_s=own)]
    pipeline.clock_error_s = 600
    pipeline.store_command("led on", minute=59)
    async with pipeline.run_dispatcher(config={"max_age_s": 90000}):
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == [state]


async def test_handler_may_have_a_longer_max_age(pipeline, factories):
    """It replaces the value of agent.toml."""
    pipeline.handler_specs = [factories.executable("led", max_age_s=1e9)]
    pipeline.clock_error_s = 600
    pipeline.store_command("led on", minute=59)
    async with pipeline.run_dispatcher(config={"max_age_s": 60}):
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["done"]


async def test_clock_behind_the_network_expires_nothing(pipeline):
    """A message from tomorrow shows that the clock is wrong."""
    pipeline.store_command("led on", minute=0)
    tomorrow = datetime(2026, 11, 24, 12, tzinfo=UTC)
    pipeline.store_command("pump on", service_centre_timestamp=pdu.Timestamp.of(tomorrow))
    async with pipeline.run_dispatcher(config={"max_age_s": 60}):
        pass
    assert pipeline.command_states() == ["done", "done"]


async def test_clock_jump_ahead_expires_no_fresh_command(pipeline):
    """The clock agreed with the network a minute ago, so forty days cannot have passed."""
    async with pipeline.run_dispatcher(config={"max_age_s": 90000}):
        pipeline.store_command(
            "led on",
            service_centre_timestamp=pdu.Timestamp.of(datetime.fromtimestamp(pipeline.wall_clock(), UTC)),
        )
        await wake_dispatcher(pipeline)
        stamp = pdu.Timestamp.of(datetime.fromtimestamp(pipeline.wall_clock() + 60, UTC))
        await pipeline.advance(60)
        pipeline.clock_error_s += 40 * 86400
        pipeline.store_command("pump on", service_centre_timestamp=stamp)
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["done", "done"]


@pytest.mark.parametrize("outcome", [Finished, Failed, TimedOut, RetryLater], ids=lambda each: each.__name__)
async def test_standard_error_and_start_are_in_the_journal(pipeline, outcome):
    """Whatever the result is. A run that wrote nothing has none."""
    arguments = () if outcome is TimedOut else ("busy",)
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", outcome(*arguments, stderr="no\nspace"), Finished("on"))
        pipeline.store_command("led on")
        pipeline.store_command("led off")
        await wake_dispatcher(pipeline)
    assert pipeline.query_column("SELECT stderr FROM commands") == ["no\nspace", None]
    assert None not in pipeline.query_column("SELECT started_wall FROM commands")


# Retries


async def test_retry_later_is_limited_to_three_attempts(pipeline):
    """The waits grow, and each attempt is committed before its run. Then the Command fails."""
    began = []

    async def later(command):
        began.append((round(pipeline.monotonic()), command.attempt))
        return RetryLater("exit status 75")

    async with pipeline.run_dispatcher():
        pipeline.runner.plan("again", *[later] * 5)
        pipeline.store_command("again now")
        start = pipeline.monotonic()
        await wake_dispatcher(pipeline)
        await pipeline.advance(3600)
    assert [attempt for _, attempt in began] == [1, 2, 3]
    assert [at - round(start) for at, _ in began] == [0, 10, 50]
    assert pipeline.command_states() == ["failed"]
    assert pipeline.reply_texts() == ["ERR failed"]
    assert pipeline.query_column("SELECT attempts FROM commands") == [3]
    assert [event.message for event in pipeline.events_of_kind("retry later")] == [
        "exit status 75; next attempt in 10 s",
        "exit status 75; next attempt in 40 s",
    ]


async def test_retry_later_may_succeed(pipeline):
    """The Command is done then, and answered once."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("again", RetryLater("busy"))
        pipeline.store_command("again now")
        await wake_dispatcher(pipeline)
        assert pipeline.command_states() == ["received"]
        await pipeline.advance(20)
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_texts() == ["did again now"]


async def test_waiting_for_a_retry_blocks_no_other_handler(pipeline, factories):
    """The Command stays first in the queue of its handler and does not count as a concurrent run."""
    pipeline.handler_specs.append(factories.executable("other", repeatable=True))
    async with pipeline.run_dispatcher(config={"max_concurrent": 1}):
        pipeline.runner.plan("again", RetryLater("busy"))
        for text in ("again 1", "again 2", "led on", "other 1"):
            pipeline.store_command(text)
        await wake_dispatcher(pipeline)
        assert [text for _, text, _ in pipeline.runner.runs] == ["again 1", "led on", "other 1"]
        await pipeline.advance(20)
        assert [text for _, text, _ in pipeline.runner.runs][3:] == ["again 1", "again 2"]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_waiting_for_a_retry_survives_a_restart(pipeline, attempts):
    """Attempts are counted in the journal: a restart does not allow more than three."""
    pipeline.runner.plan("again", *[RetryLater("busy")] * 5)
    pipeline.store_command("again now")
    async with pipeline.run_dispatcher():
        await pipeline.advance(15 if attempts == 2 else 1)
        assert len(pipeline.runner.runs) == attempts
    pipeline.restart()
    pipeline.runner.plan("again", *[RetryLater("busy")] * 5)
    async with pipeline.run_dispatcher():
        await pipeline.advance(4000)
        assert [attempt for *_, attempt in pipeline.runner.runs] == list(range(attempts + 1, 4))
    assert pipeline.command_states() == ["failed"]


# Interrupted Commands


def make_interrupted(pipeline, text, attempts=1, *, repeatable=False):
    """Store a Command that was running when the agent was killed, and restart."""
    pipeline.store_command(text)
    number = pipeline.query_column("SELECT max(id) FROM commands")[0]
    for attempt in range(attempts):
        if attempt:
            pipeline.command_store.requeue(number, "interrupted")
        pipeline.command_store.mark_running(number, text.split()[0], repeatable=repeatable)
    pipeline.restart()


async def test_interrupted_run_is_answered_and_not_repeated(pipeline):
    """The handler may have rebooted the device. Its result is not known, and the answer reports this."""
    make_interrupted(pipeline, "led on")
    async with pipeline.run_dispatcher():
        assert pipeline.runner.runs == []
    assert pipeline.command_states() == ["failed"]
    assert pipeline.reply_texts() == ["ERR interrupted"]


@pytest.mark.parametrize(("attempts", "runs"), [(1, [2]), (2, [3]), (3, [])])
async def test_interrupted_repeatable_run_is_limited_to_three_attempts(pipeline, attempts, runs):
    """A handler that kills the agent each time ends with an answer, not in a loop."""
    make_interrupted(pipeline, "again now", attempts, repeatable=True)
    async with pipeline.run_dispatcher():
        assert [attempt for *_, attempt in pipeline.runner.runs] == runs
    assert pipeline.command_states() == ["done" if runs else "failed"]
    assert pipeline.reply_texts() == ["did again now" if runs else "ERR interrupted"]
    assert len(pipeline.events_of_kind("interrupted")) == len(runs)


async def test_interrupted_runs_come_first(pipeline):
    """They are finished before a new run starts. A repeatable one keeps its position."""
    make_interrupted(pipeline, "again first", repeatable=True)
    pipeline.store_command("again second")
    async with pipeline.run_dispatcher():
        assert [text for _, text, _ in pipeline.runner.runs] == ["again first", "again second"]


async def test_interrupted_unanswerable_command_is_not_answered(pipeline):
    """Loop prevention applies to interrupted Commands as well."""
    make_interrupted(pipeline, "ERR led")
    async with pipeline.run_dispatcher():
        pass
    assert pipeline.command_states() == ["failed"]
    assert pipeline.reply_texts() == []


# Resources and a journal that cannot commit


@pytest.mark.parametrize("attempts", [1, 20])
async def test_handler_that_cannot_be_started_is_retried(pipeline, attempts):
    """It does not count as an attempt, and the order of its queue is kept. It is logged once, and so is its
    end."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", *[NotStarted("Too many open files")] * attempts)
        pipeline.store_command("led 1")
        pipeline.store_command("led 2")
        pipeline.store_command("pump 1")
        await wake_dispatcher(pipeline)
        await pipeline.advance(1800)
        assert [(text, attempt) for name, text, attempt in pipeline.runner.runs if name == "led"] == [
            *[("led 1", 1)] * (attempts + 1),
            ("led 2", 1),
        ]
        assert ("pump", "pump 1", 1) in pipeline.runner.runs
    assert pipeline.command_states() == ["done"] * 3
    assert "ERR" not in "".join(pipeline.reply_texts())
    assert pipeline.query_column("SELECT attempts FROM commands") == [1, 1, 1]
    assert len([event for event in pipeline.events if event.severity >= Severity.WARNING]) <= 2
    assert [event.kind for event in pipeline.events if "start" in event.kind][-1] == "handlers start again"


async def test_handler_that_cannot_be_started_for_an_hour_fails(pipeline):
    """The waits grow to a minute. The sender gets an error answer."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", *[NotStarted("Cannot allocate memory")] * 100)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        await pipeline.advance(3500)
        assert pipeline.command_states() == ["received"]
        await pipeline.advance(300)
        assert 50 < len(pipeline.runner.runs) < 75
        assert pipeline.deadline_monitor.overdue() == []
    assert pipeline.command_states() == ["failed"]
    assert pipeline.query_column("SELECT reason FROM commands") == ["Cannot allocate memory; given up"]
    assert pipeline.reply_texts() == ["ERR failed"]
    [event] = [
        event for event in pipeline.events if event.severity >= Severity.WARNING and event.command_id is None
    ]
    assert "Cannot allocate memory" in event.message


async def test_run_prevented_by_stop_happens_at_the_next_start(pipeline):
    """It has not started, so it does not count as interrupted."""
    async with pipeline.run_dispatcher() as dispatcher:

        async def stopped(_command):
            dispatcher.stop()
            return NotStarted("the agent is stopping")

        pipeline.runner.plan("led", stopped)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["received"]
    assert [event for event in pipeline.events if event.severity >= Severity.WARNING] == []
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == ["did led on"]


@pytest.mark.parametrize("attempts", [3, 1000])
async def test_action_that_cannot_be_started_is_retried(pipeline, attempts):
    """No part of it has run. After an hour it has failed."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished(None, then="then"))
        pipeline.runner.plan("then", *[NotStarted("Too many open files")] * attempts)
        pipeline.store_command("led off")
        await wake_dispatcher(pipeline)
        await pipeline.advance(4000)
    assert (
        len(pipeline.runner.run_actions) == 4 if attempts == 3 else 50 < len(pipeline.runner.run_actions) < 75
    )
    assert pipeline.query_column("SELECT state FROM actions") == ["done" if attempts == 3 else "failed"]
    assert len(pipeline.events_of_kind("handlers start again")) == (attempts == 3), (
        "other starts do not wait any more either"
    )


async def test_nothing_starts_while_the_journal_cannot_commit(pipeline):
    """Beginning and end of the condition are logged once, and no task is overdue."""
    async with pipeline.run_dispatcher():
        pipeline.store_command("led on")
        pipeline.fail_commits_disk_full()
        await wake_dispatcher(pipeline)
        for _ in range(30):
            await pipeline.advance(60)
            assert pipeline.deadline_monitor.overdue() == []
        assert pipeline.runner.runs == []
        assert pipeline.command_states() == ["received"]
        pipeline.commit_error = None
        await pipeline.advance(40)
        assert len(pipeline.runner.runs) == 1
    assert pipeline.command_states() == ["done"]
    assert len(pipeline.events_of_kind("journal cannot commit")) == 1
    assert len(pipeline.events_of_kind("journal commits again")) == 1


@pytest.mark.parametrize("outcome", [Finished("led is on"), Failed("no"), TimedOut()])
async def test_result_waits_in_memory_for_the_journal(pipeline, outcome):
    """The handler does not run again, no task is overdue, and the result is committed when possible."""
    async with pipeline.run_dispatcher():

        async def finish_on_full_disk(_command):
            pipeline.fail_commits_disk_full()
            return outcome

        pipeline.runner.plan("led", finish_on_full_disk)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        for _ in range(30):
            await pipeline.advance(60)
            assert pipeline.deadline_monitor.overdue() == []
        assert pipeline.command_states() == ["running"]
        assert pipeline.reply_texts() == []
        pipeline.commit_error = None
        await pipeline.advance(40)
        assert len(pipeline.runner.runs) == 1
    assert pipeline.command_states() == ["done" if isinstance(outcome, Finished) else "failed"]
    assert len(pipeline.reply_texts()) == 1


async def test_start_on_a_full_disk_waits(pipeline):
    """Interrupted Commands are finished as soon as the journal can commit."""
    make_interrupted(pipeline, "led on")
    pipeline.fail_commits_disk_full()
    async with pipeline.run_dispatcher():
        await pipeline.advance(60)
        assert pipeline.command_states() == ["running"]
        pipeline.commit_error = None
        await pipeline.advance(40)
        assert pipeline.command_states() == ["failed"]


@pytest.mark.parametrize("query", ["WHERE state = 'running'", "WHERE state = 'received' AND id >"])
async def test_unreadable_journal_is_read_again(pipeline, query):
    """An I/O error does not end the task."""
    pipeline.store_command("led on")
    pipeline.fail_queries(query, 3)
    async with pipeline.run_dispatcher():
        await pipeline.advance(20)
    assert pipeline.query_failures == []
    assert pipeline.command_states() == ["done"]


# Actions after the reply


async def run_with_action(pipeline, **arguments):
    """Run a Command whose handler requests an action after its reply."""
    pipeline.runner.plan("led", Finished("rebooting", then="reboot"))
    pipeline.store_command("led on")
    await wake_dispatcher(pipeline)


def settle_reply(pipeline, state="sent"):
    """Give the newest reply its final state."""
    number = pipeline.query_column("SELECT max(id) FROM replies")[0]
    if state == "sent":
        pipeline.outbox_store.mark_sent(number, 1)
    else:
        pipeline.outbox_store.finish(number, state, "why")
    pipeline.active_dispatcher.wake()


@pytest.mark.parametrize("state", ["sent", "failed", "unknown"])
async def test_action_starts_when_its_reply_is_settled(pipeline, state):
    """It is stored with the reply. Its state is committed before it starts and after it ends."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        await pipeline.advance(30)
        assert pipeline.runner.run_actions == []
        assert pipeline.query_column("SELECT state FROM actions") == ["pending"]
        seen = []

        async def record_and_finish(_command):
            seen.extend(pipeline.query_column("SELECT state FROM actions"))
            return Finished(None)

        pipeline.runner.plan("reboot", record_and_finish)
        settle_reply(pipeline, state)
        await pipeline.advance(1)
        assert pipeline.runner.run_actions == [("led", "reboot", 30.0)]
        assert seen == ["running"]
        await pipeline.advance(200)
        assert len(pipeline.runner.run_actions) == 1
    assert pipeline.query_column("SELECT state FROM actions") == ["done"]
    action_events = [event.kind for event in pipeline.events if event.kind.startswith("action")]
    assert action_events == ["action started", "action finished"]


async def test_shortest_of_several_delays_counts(pipeline):
    """A retry is not delayed by an action that waits for its reply, nor the other way round."""
    began = []

    async def record_and_finish(command):
        began.append(round(pipeline.monotonic() - start))
        return RetryLater("busy") if command.attempt < 3 else Finished("did it")

    async with pipeline.run_dispatcher():
        start = pipeline.monotonic()
        pipeline.runner.plan("again", record_and_finish, record_and_finish, record_and_finish)
        pipeline.store_command("again now")
        await run_with_action(pipeline)
        await pipeline.advance(100)
    assert began == [0, 10, 50]
    assert len(pipeline.runner.run_actions) == 1


async def test_new_action_is_not_confused_with_a_finished_one(pipeline):
    """The journal may use the number of a deleted action again. The new action is run as well."""
    async with pipeline.run_dispatcher():
        for _ in range(2):
            pipeline.runner.plan("led", Finished(None, then="reboot"))
            pipeline.store_command("led on")
            await wake_dispatcher(pipeline)
            await pipeline.advance(1)
            assert pipeline.query_column("SELECT id FROM actions") == [1]
            assert pipeline.query_column("SELECT state FROM actions") == ["done"]
            pipeline.journal.execute("DELETE FROM actions")
    assert len(pipeline.runner.run_actions) == 2


async def test_action_waits_at_most_a_minute_for_its_reply(pipeline):
    """A reply that cannot be sent delays it by 60 s."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        await pipeline.advance(57)
        assert pipeline.runner.run_actions == []
        await pipeline.advance(3)
        assert len(pipeline.runner.run_actions) == 1
    assert pipeline.reply_states() == ["queued"]


async def test_action_without_a_reply_starts_at_once(pipeline):
    """There is no reply to wait for."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished(None, then="reboot"))
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.run_actions) == 1


async def test_interrupted_action_is_never_repeated(pipeline):
    """The action itself is the most likely reason why the agent ended."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.action_store.mark_running(1)
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await pipeline.advance(200)
        assert pipeline.runner.run_actions == []
    assert pipeline.query_column("SELECT state FROM actions") == ["done"]
    assert [(event.command_id, event.message) for event in pipeline.events_of_kind("action finished")] == [
        (1, "reboot: the agent ended while it ran; it is not repeated")
    ]


async def test_pending_action_survives_a_restart(pipeline):
    """It starts after its reply or after a minute."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await pipeline.advance(61)
        assert len(pipeline.runner.run_actions) == 1


async def test_action_has_the_timeout_of_its_handler(pipeline, factories):
    """It is the timeout that the Command had."""
    pipeline.handler_specs = [factories.executable("led", timeout_s=300.0)]
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        settle_reply(pipeline)
        await pipeline.advance(1)
        assert pipeline.runner.run_actions == [("led", "reboot", 300.0)]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Failed("exit status 1"), "exit status 1"),
        (RetryLater("busy"), "busy"),
        (TimedOut(), "timed out"),
        (OSError("too many open files"), "OSError: too many open files"),
    ],
)
async def test_failed_action_is_recorded_and_stops_no_other(pipeline, outcome, reason):
    """This holds for every kind of failure."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("reboot", outcome)
        await run_with_action(pipeline)
        settle_reply(pipeline)
        await pipeline.advance(1)
        pipeline.store_command("led again")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.runs) == 2
    assert pipeline.query_column("SELECT state FROM actions") == ["failed"]
    assert pipeline.query_column("SELECT reason FROM actions") == [reason]


async def test_action_without_its_handler_fails(pipeline, factories):
    """The handler was removed between the two starts."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.restart()
    pipeline.handler_specs = [factories.executable("pump")]
    async with pipeline.run_dispatcher():
        await pipeline.advance(61)
    assert pipeline.query_column("SELECT reason FROM actions") == ["the handler led does not exist any more"]


async def test_action_starts_only_after_its_commit(pipeline):
    """It waits while the journal cannot commit."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        settle_reply(pipeline)
        pipeline.fail_commits_disk_full()
        for _ in range(5):
            await pipeline.advance(60)
            pipeline.active_dispatcher.wake()
        assert pipeline.runner.run_actions == []
        assert pipeline.deadline_monitor.overdue() == []
        pipeline.commit_error = None
        await pipeline.advance(40)
        assert len(pipeline.runner.run_actions) == 1


# Stopping


async def test_nothing_starts_after_stop(pipeline):
    """A run in progress may end. Waiting Commands stay `received`, and actions stay `pending`."""
    work, end = hanging_handler()
    async with pipeline.run_dispatcher() as dispatcher:
        await run_with_action(pipeline)
        pipeline.runner.plan("led", work)
        pipeline.store_command("led slow")
        pipeline.store_command("led next")
        await wake_dispatcher(pipeline)
        dispatcher.stop()
        settle_reply(pipeline)
        await pipeline.advance(1)
        end.set()
        await pipeline.advance(1)
        assert pipeline.command_states() == ["done", "done", "received"]
    assert pipeline.query_column("SELECT state FROM actions") == ["pending"]
    assert len(pipeline.runner.runs) == 2


@pytest.mark.parametrize(
    ("what", "query"),
    [("action", "WHERE actions.state IN"), ("Command", "WHERE state = 'received' AND id >")],
)
async def test_nothing_starts_after_stop_when_the_journal_recovers(pipeline, what, query):
    """The read of the journal succeeds only after the stop."""
    async with pipeline.run_dispatcher() as dispatcher:
        if what == "action":
            await run_with_action(pipeline)
            settle_reply(pipeline)
        else:
            pipeline.store_command("led on")
        pipeline.fail_queries(query, 100)
        dispatcher.wake()
        await pipeline.advance(1)
        dispatcher.stop()
        assert 0 < len(pipeline.query_failures) < 100
        pipeline.query_failures.clear()
        await pipeline.advance(10)
    assert pipeline.command_states() == (["done"] if what == "action" else ["received"])
    assert pipeline.runner.run_actions == []


async def test_run_cut_off_by_stop_is_left_to_the_next_start(pipeline):
    """It is not recorded as failed. The next start answers that it was interrupted."""
    work, _ = hanging_handler()
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", work)
        pipeline.store_command("led slow")
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["running"]
    assert pipeline.reply_texts() == []
    pipeline.restart()
    async with pipeline.run_dispatcher():
        pass
    assert pipeline.reply_texts() == ["ERR interrupted"]


async def test_cancellation_ends_tasks_in_order_of_their_start(pipeline):
    """A cancelled dispatcher raises CancelledError, and its runs count as interrupted."""
    ended = []

    async def run(entry, _command, _timeout_s):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(entry.name)

    pipeline.runner.run = run
    names = ["pump", "led", "again"]
    task = asyncio.create_task(pipeline.make_dispatcher().run())
    for name in names:
        pipeline.store_command(f"{name} on")
    await pipeline.advance(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == names
    assert pipeline.command_states() == ["running"] * 3


async def test_action_cut_off_by_stop_counts_as_done(pipeline):
    """The action may be what stops the agent, so it is neither failed nor repeated."""
    work, _ = hanging_handler()
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("reboot", work)
        await run_with_action(pipeline)
        settle_reply(pipeline)
        await pipeline.advance(1)
    assert pipeline.query_column("SELECT state FROM actions") == ["running"]
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await pipeline.advance(100)
        assert pipeline.runner.run_actions == []
    assert pipeline.query_column("SELECT state FROM actions") == ["done"]


async def test_waiting_for_a_retry_does_not_delay_stop(pipeline):
    """The dispatcher returns at once, and the Command stays `received`."""
    dispatcher = pipeline.make_dispatcher()
    pipeline.runner.plan("again", *[RetryLater("busy")] * 2)
    pipeline.store_command("again now")
    task = asyncio.create_task(dispatcher.run())
    await pipeline.advance(15)
    assert len(pipeline.runner.runs) == 2
    dispatcher.stop()
    await asyncio.wait_for(task, 0.5)
    assert pipeline.command_states() == ["received"]


# Deadlines


async def test_action_past_its_timeout_is_overdue(pipeline):
    """Actions have a deadline, as runs have."""
    work, end = hanging_handler()
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("reboot", work)
        await run_with_action(pipeline)
        settle_reply(pipeline)
        await pipeline.advance(140)
        assert pipeline.deadline_monitor.overdue() == []
        await pipeline.advance(20)
        assert pipeline.deadline_monitor.overdue() == ["action 1"]
        end.set()
        await pipeline.advance(1)
        assert pipeline.deadline_monitor.overdue() == []


@pytest.mark.parametrize("own", [None, 600.0])
async def test_run_past_its_timeout_is_overdue(pipeline, factories, own):
    """The runner ends a run at its timeout. If the runner hangs, the watchdog sees the deadline."""
    pipeline.handler_specs = [factories.executable("led", timeout_s=own)]
    work, end = hanging_handler()
    limit = own or 30.0
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", work)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        await pipeline.advance(limit + 100)
        assert pipeline.deadline_monitor.overdue() == []
        await pipeline.advance(30)
        assert pipeline.deadline_monitor.overdue() == ["command 1"]
        end.set()
        await pipeline.advance(1)
        assert pipeline.deadline_monitor.overdue() == []
