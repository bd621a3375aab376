"""From the journal to the handlers: how often each runs, in which order, and what is answered."""

import asyncio
import sqlite3
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
    """A handler that works until it is told to end; returns that and the event."""
    end = asyncio.Event()

    async def work(_command):
        await end.wait()
        return Finished("late")

    return work, end


# The order of things


async def test_run_is_committed_before_it_starts_and_with_its_reply(pipeline):
    """A kill at any moment finds what had begun, and never a done Command without its answer."""
    pipeline.store_command("led on")
    seen = []

    async def look(_command):
        seen.extend(
            (
                pipeline.command_states(),
                pipeline.query_column("SELECT attempts FROM commands"),
                pipeline.reply_states(),
            )
        )
        return Finished("led is on")

    pipeline.runner.plan("led", look)
    pipeline.call_log.clear()
    async with pipeline.run_dispatcher():
        assert seen == [["running"], [1], []]
        assert pipeline.call_log == [("commit",), ("run", "led", 1), ("commit",)]
        assert pipeline.command_states() == ["done"]
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT command_id FROM replies") == [1]


@pytest.mark.parametrize(
    ("text", "outcome", "story"),
    [
        (
            "led on",
            Finished("led is on"),
            ["running command 1: handler led", "done command 1", "queued command 1: answer to 2936"],
        ),
        ("led on", Finished(None), ["running command 1: handler led", "done command 1: no answer"]),
        ("", None, ["done command 1: an empty Command, and no handler matches it"]),
        ("x", None, ["failed command 1: no handler", "queued command 1: answer to 2936"]),
        (
            "again on",
            RetryLater("busy"),
            [
                "running command 1: handler again",
                "retry later command 1: busy; next attempt in 10 s",
                "running command 1: handler again, attempt 2",
                "done command 1",
                "queued command 1: answer to 2936",
            ],
        ),
    ],
)
async def test_events_of_a_command(pipeline, text, outcome, story):
    """A line for each step, none for what was not done; what messages say is beside it."""
    if outcome is not None:
        pipeline.runner.plan(text.split()[0], outcome)
    pipeline.store_command(text)
    async with pipeline.run_dispatcher():
        await pipeline.advance(20)
    assert [str(step) for step in pipeline.events] == story
    assert [step.content for step in pipeline.events_of_kind("queued")] == pipeline.reply_texts()


async def test_handler_receives_the_command_unchanged(pipeline, factories):
    """SID, sender, time, attempt, text without the SID."""
    pipeline.store_command(f"{factories.SID} led on", minute=7)
    seen = []

    async def look(command):
        seen.append(command)
        return Finished(None)

    pipeline.runner.plan("led", look)
    async with pipeline.run_dispatcher():
        pass
    [command] = seen
    assert (command.sid, command.sender, command.text, command.attempt, command.mode) == (
        factories.SID, "2936", "led on", 1, "text",
    )  # fmt: skip
    assert command.timestamp.minute == 7


async def test_commands_of_one_handler_run_in_sequence(pipeline):
    """In order of arrival, also where the first takes its time; others run beside it."""
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
    """What came first begins first; each end makes room for the next."""
    pipeline.handler_specs = [factories.executable(f"h{number}") for number in range(5)]
    works = [hanging_handler() for _ in range(5)]
    async with pipeline.run_dispatcher(config={"max_concurrent": max_concurrent}) as dispatcher:
        for number, (work, _) in enumerate(works):
            pipeline.runner.plan(f"h{number}", work)
            pipeline.store_command(f"h{number}")
        await wake_dispatcher(pipeline)
        for begun in range(max_concurrent, 6):
            assert [name for name, *_ in pipeline.runner.runs] == [f"h{n}" for n in range(min(begun, 5))]
            assert len(dispatcher.active_queues) == min(max_concurrent, 5)
            works[begun - max_concurrent][1].set()
            await pipeline.advance(1)


async def wake_dispatcher(road):
    """Intake has received something."""
    road.active_dispatcher.wake()
    await road.advance(1)


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
        (RuntimeError("of ours"), "failed", "ERR failed", "RuntimeError: of ours"),
    ],
)
async def test_each_result_has_its_state_and_answer(pipeline, outcome, state, answer, reason):
    """In one short line, and the reason stands in the journal."""
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
    [step] = pipeline.events_of_kind(state)
    assert step.command_id == 1
    assert step.severity is (Severity.INFO if state == "done" else Severity.WARNING)


async def test_unknown_word_gets_one_short_answer(pipeline):
    """Named in the answer, at most 20 characters of it; others go on."""
    async with pipeline.run_dispatcher():
        pipeline.store_command("frobnicate_the_device_now please")
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
    assert sorted(pipeline.reply_texts()) == ["ERR unknown frobnicate_the_devic", "did led on"]
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.query_column("SELECT reason FROM commands WHERE id = 1") == ["no handler"]


@pytest.mark.parametrize("text", ["", " ", "\r\n", " " * 160])
async def test_empty_text_is_done_and_not_answered(pipeline, text):
    """Nothing to do; nobody pays for an answer."""
    async with pipeline.run_dispatcher():
        pipeline.store_command(text)
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_texts() == []


async def test_empty_text_goes_to_the_default_handler(pipeline):
    """Where there is one it gets everything that nobody else wants."""
    pipeline.handler_specs = [HandlerSpec("all.py:all", "python", function="all", default=True)]
    async with pipeline.run_dispatcher():
        pipeline.store_command("")
        pipeline.store_command(b"\x01")
        await wake_dispatcher(pipeline)
        assert pipeline.runner.runs == [("all.py:all", "", 1), ("all.py:all", b"\x01", 1)]


async def test_binary_command_without_a_handler_is_answered(pipeline):
    """As an unknown word is."""
    async with pipeline.run_dispatcher():
        pipeline.store_command(b"\x01\x02")
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == ["ERR unknown binary"]


async def test_binary_reply_stays_binary(pipeline):
    """On a service that carries them."""
    pipeline.handler_specs = [HandlerSpec("binary", "executable")]
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("binary", Finished(b"\x01\x02"))
        pipeline.store_command(b"\x01")
        await wake_dispatcher(pipeline)
    assert pipeline.query_column("SELECT user_data FROM replies") == [b"\x01\x02"]
    assert pipeline.query_column("SELECT alphabet FROM replies") == ["8bit"]


async def test_binary_reply_fails_on_a_text_only_service(tmp_path, factories):
    """The Command fails with a sentence, and its sender is told."""
    road = factories.harness(tmp_path, "super-sim")
    async with road.run_dispatcher():
        road.runner.plan("led", Finished(b"\x01"))
        road.store_command("led on", sender="000")
        await wake_dispatcher(road)
    assert road.command_states() == ["failed"]
    assert road.reply_texts() == ["ERR answer"]
    assert road.query_column("SELECT reason FROM commands") == ["super-sim cannot carry a binary reply"]
    assert road.query_column("SELECT destination FROM replies") == ["000"]
    road.journal.close()


async def test_long_reply_is_truncated_or_sent_in_parts(pipeline):
    """One message unless more are allowed; the parts share the number of the Command as reference."""
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
    """The SID of the Command that is answered."""
    async with pipeline.run_dispatcher(reply_config=ReplyConfig(reply_sid=rule)):
        pipeline.runner.plan("led", Finished("led is on"))
        pipeline.store_command(f"{factories.SID} led on")
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == [text.format(SID=factories.SID)]


async def test_reply_may_go_to_another_destination(pipeline, factories):
    """`reply_to` of the handler; what the agent itself has to say still goes to the service."""
    pipeline.handler_specs = [factories.executable("led", reply_to="+15557654321")]
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished("on"), Failed("no"))
        pipeline.store_command("led 1")
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
    assert pipeline.query_column("SELECT destination FROM replies ORDER BY id") == ["+15557654321", "2936"]


@pytest.mark.parametrize("fields", [{"content": "ERR unknown led"}, {"loop_prevention": True}])
async def test_command_that_could_loop_is_never_answered(pipeline, fields):
    """A text that is itself an error answer, a message that says it comes from an automaton."""
    content = fields.pop("content", "led on")
    async with pipeline.run_dispatcher():
        pipeline.store_command(content, **fields)
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == []
    assert pipeline.command_states() == ["failed" if content.startswith("ERR") else "done"]
    assert pipeline.queued_count == 0


async def test_error_answers_are_limited_to_ten_an_hour(pipeline):
    """The eleventh Command fails in silence; an hour later there is one again. Real answers do not count."""
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
    """Their runs are committed like those of others."""
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


# Poison


async def test_error_in_matching_fails_one_command(pipeline, monkeypatch):
    """Choosing its handler raises: it ends, others go on, also after a restart."""
    choose = HandlerRegistry.match

    def stumble(self, command):
        if command.text == "poison":
            raise ZeroDivisionError("of ours")
        return choose(self, command)

    monkeypatch.setattr(HandlerRegistry, "match", stumble)
    async with pipeline.run_dispatcher():
        for text in ("poison", "led on"):
            pipeline.store_command(text)
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.query_column("SELECT reason FROM commands WHERE id = 1") == ["ZeroDivisionError: of ours"]


async def test_reply_that_cannot_be_composed_fails_its_command_alone(pipeline):
    """The Command fails and is answered, its handler does not run again, and other Commands are done."""

    class FailingComposer(MessageComposer):
        def compose(self, content, **options):
            if content == "did led 1":
                raise OverflowError("of ours")
            return super().compose(content, **options)

    composer = FailingComposer(pipeline.service, ReplyConfig())
    async with pipeline.run_dispatcher(composer=composer):
        pipeline.store_command("led 1")
        pipeline.store_command("led 2")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.runs) == 2
    assert pipeline.command_states() == ["failed", "done"]
    assert pipeline.reply_texts() == ["ERR failed", "did led 2"]


# Old Commands


@pytest.mark.parametrize(
    ("age", "ahead", "state"),
    [(80000, 0, "done"), (91000, 0, "expired"), (91000, -91000 * 2, "done"), (10, 91000, "expired")],
)
async def test_old_command_expires_and_is_not_run(pipeline, age, ahead, state):
    """By the device's clock, unless that is behind what the network has shown: then nothing is judged."""
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
    """Shorter or longer than that of agent.toml; a Command without a date is never too old."""
    pipeline.handler_specs = [factories.executable("led", max_age_s=own)]
    pipeline.clock_error_s = 600
    pipeline.store_command("led on", minute=59)
    async with pipeline.run_dispatcher(config={"max_age_s": 90000}):
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == [state]


async def test_handler_may_have_a_longer_max_age(pipeline, factories):
    """It is instead of the general one, not beside it."""
    pipeline.handler_specs = [factories.executable("led", max_age_s=1e9)]
    pipeline.clock_error_s = 600
    pipeline.store_command("led on", minute=59)
    async with pipeline.run_dispatcher(config={"max_age_s": 60}):
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["done"]


async def test_clock_behind_the_network_expires_nothing(pipeline):
    """A message from tomorrow shows that the clock is wrong: then none is too old."""
    pipeline.store_command("led on", minute=0)
    tomorrow = datetime(2026, 11, 24, 12, tzinfo=UTC)
    pipeline.store_command("pump on", service_centre_timestamp=pdu.Timestamp.of(tomorrow))
    async with pipeline.run_dispatcher(config={"max_age_s": 60}):
        pass
    assert pipeline.command_states() == ["done", "done"]


async def test_clock_jump_ahead_expires_no_fresh_command(pipeline):
    """It agreed with the network a minute ago: it cannot be forty days later now."""
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


# Again


async def test_retry_later_is_limited_to_three_attempts(pipeline):
    """With waits that grow, each attempt committed and shown to it; then the Command has failed."""
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
    assert [step.message for step in pipeline.events_of_kind("retry later")] == [
        "exit status 75; next attempt in 10 s",
        "exit status 75; next attempt in 40 s",
    ]


async def test_retry_later_may_succeed(pipeline):
    """Then it is done, and answered once."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("again", RetryLater("busy"))
        pipeline.store_command("again now")
        await wake_dispatcher(pipeline)
        assert pipeline.command_states() == ["received"]
        await pipeline.advance(20)
    assert pipeline.command_states() == ["done"]
    assert pipeline.reply_texts() == ["did again now"]


async def test_waiting_for_a_retry_blocks_no_other_handler(pipeline, factories):
    """It keeps its place in the row of its own handler and takes no place of others."""
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
    """The attempts stand on disk: no restart gives more than three."""
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


# Interrupted


def make_interrupted(road, text, attempts=1, *, repeatable=False):
    """A Command that was running when the agent was killed."""
    road.store_command(text)
    number = road.query_column("SELECT max(id) FROM commands")[0]
    for attempt in range(attempts):
        if attempt:
            road.command_store.requeue(number, "interrupted")
        road.command_store.mark_running(number, text.split()[0], repeatable=repeatable)
    road.restart()


async def test_interrupted_run_is_answered_and_not_repeated(pipeline):
    """The handler may have rebooted the device: nobody knows how far it came, and that is what is said."""
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
    """They are settled before anything new begins; one that may run again keeps its place."""
    make_interrupted(pipeline, "again first", repeatable=True)
    pipeline.store_command("again second")
    async with pipeline.run_dispatcher():
        assert [text for _, text, _ in pipeline.runner.runs] == ["again first", "again second"]


async def test_interrupted_unanswerable_command_is_not_answered(pipeline):
    """The guards against loops hold here as well."""
    make_interrupted(pipeline, "ERR led")
    async with pipeline.run_dispatcher():
        pass
    assert pipeline.command_states() == ["failed"]
    assert pipeline.reply_texts() == []


# The journal cannot commit


@pytest.mark.parametrize("attempts", [1, 20])
async def test_handler_that_cannot_be_started_is_retried(pipeline, attempts):
    """It was no attempt, as nothing has run; the order of its handler stays; it is said once, and its end."""
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
    assert len([step for step in pipeline.events if step.severity >= Severity.WARNING]) <= 2
    assert [step.kind for step in pipeline.events if "start" in step.kind][-1] == "handlers start again"


async def test_handler_that_cannot_be_started_for_an_hour_fails(pipeline):
    """With waits that grow to a minute; whoever sent it is told."""
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
    [said] = [
        step for step in pipeline.events if step.severity >= Severity.WARNING and step.command_id is None
    ]
    assert "Cannot allocate memory" in said.message


async def test_run_prevented_by_stop_happens_at_the_next_start(pipeline):
    """It has not begun: it is no interrupted run."""
    async with pipeline.run_dispatcher() as dispatcher:

        async def stopped(_command):
            dispatcher.stop()
            return NotStarted("the agent is stopping")

        pipeline.runner.plan("led", stopped)
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
    assert pipeline.command_states() == ["received"]
    assert [step for step in pipeline.events if step.severity >= Severity.WARNING] == []
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await wake_dispatcher(pipeline)
    assert pipeline.reply_texts() == ["did led on"]


@pytest.mark.parametrize("attempts", [3, 1000])
async def test_action_that_cannot_be_started_is_retried(pipeline, attempts):
    """Nothing of it has run; after an hour it has failed."""
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
        "others wait no longer, either"
    )


async def test_nothing_starts_while_the_journal_cannot_commit(pipeline):
    """It is said once, and its end; nobody is late meanwhile."""
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
    """The handler does not run again for it, nobody is late, and it is committed when that can be."""
    async with pipeline.run_dispatcher():

        async def fill(_command):
            pipeline.fail_commits_disk_full()
            return outcome

        pipeline.runner.plan("led", fill)
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
    """What the last start left is settled as soon as that can be committed."""
    make_interrupted(pipeline, "led on")
    pipeline.fail_commits_disk_full()
    async with pipeline.run_dispatcher():
        await pipeline.advance(60)
        assert pipeline.command_states() == ["running"]
        pipeline.commit_error = None
        await pipeline.advance(40)
        assert pipeline.command_states() == ["failed"]


@pytest.mark.parametrize("what", ["list_interrupted", "list_pending"])
async def test_unreadable_journal_is_read_again(pipeline, monkeypatch, what):
    """Trouble of the disk ends no task."""
    failures = [sqlite3.OperationalError("disk I/O error")] * 3
    method = getattr(pipeline.command_store, what)

    def read(*which):
        if failures:
            raise failures.pop()
        return method(*which)

    monkeypatch.setattr(pipeline.command_store, what, read)
    pipeline.store_command("led on")
    async with pipeline.run_dispatcher():
        await pipeline.advance(20)
    assert pipeline.command_states() == ["done"]


# Answer, then act


async def run_with_action(road, **arguments):
    """A Command whose handler wants something done after its answer."""
    road.runner.plan("led", Finished("rebooting", then="reboot"))
    road.store_command("led on")
    await wake_dispatcher(road)


def settle_reply(road, state="sent"):
    """The answer meets its fate."""
    number = road.query_column("SELECT max(id) FROM replies")[0]
    if state == "sent":
        road.outbox_store.mark_sent(number, 1)
    else:
        road.outbox_store.finish(number, state, "why")
    road.active_dispatcher.wake()


@pytest.mark.parametrize("fate", ["sent", "failed", "unknown"])
async def test_action_starts_when_its_reply_is_settled(pipeline, fate):
    """Stored with the reply; `acting` is committed before it starts, its end after it."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        await pipeline.advance(30)
        assert pipeline.runner.run_actions == []
        assert pipeline.query_column("SELECT state FROM actions") == ["pending"]
        seen = []

        async def look(_command):
            seen.extend(pipeline.query_column("SELECT state FROM actions"))
            return Finished(None)

        pipeline.runner.plan("reboot", look)
        settle_reply(pipeline, fate)
        await pipeline.advance(1)
        assert pipeline.runner.run_actions == [("led", "reboot", 30.0)]
        assert seen == ["running"]
        await pipeline.advance(200)
        assert len(pipeline.runner.run_actions) == 1
    assert pipeline.query_column("SELECT state FROM actions") == ["done"]
    action_events = [event.kind for event in pipeline.events if event.kind.startswith("action")]
    assert action_events == ["action started", "action finished"]


async def test_shortest_of_several_delays_counts(pipeline):
    """A later attempt is not put off by an action that waits for its answer, nor the other way round."""
    began = []

    async def look(command):
        began.append(round(pipeline.monotonic() - start))
        return RetryLater("busy") if command.attempt < 3 else Finished("did it")

    async with pipeline.run_dispatcher():
        start = pipeline.monotonic()
        pipeline.runner.plan("again", look, look, look)
        pipeline.store_command("again now")
        await run_with_action(pipeline)
        await pipeline.advance(100)
    assert began == [0, 10, 50]
    assert len(pipeline.runner.run_actions) == 1


async def test_new_action_is_not_confused_with_a_finished_one(pipeline):
    """The journal may give the number of a forgotten action once more: the new one is carried out, too."""
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
    """An answer that cannot leave holds it up for 60 s."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
        await pipeline.advance(57)
        assert pipeline.runner.run_actions == []
        await pipeline.advance(3)
        assert len(pipeline.runner.run_actions) == 1
    assert pipeline.reply_states() == ["queued"]


async def test_action_without_a_reply_starts_at_once(pipeline):
    """There is nothing to wait for."""
    async with pipeline.run_dispatcher():
        pipeline.runner.plan("led", Finished(None, then="reboot"))
        pipeline.store_command("led on")
        await wake_dispatcher(pipeline)
        assert len(pipeline.runner.run_actions) == 1


async def test_interrupted_action_is_never_repeated(pipeline):
    """Most likely it is what ended the agent."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.action_store.mark_running(1)
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await pipeline.advance(200)
        assert pipeline.runner.run_actions == []
    assert pipeline.query_column("SELECT state FROM actions") == ["done"]
    assert [(step.command_id, step.message) for step in pipeline.events_of_kind("action finished")] == [
        (1, "reboot: the agent ended while it ran; it is not repeated")
    ]


async def test_pending_action_survives_a_restart(pipeline):
    """It starts at the next start, after its answer or its minute."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.restart()
    async with pipeline.run_dispatcher():
        await pipeline.advance(61)
        assert len(pipeline.runner.run_actions) == 1


async def test_action_has_the_timeout_of_its_handler(pipeline, factories):
    """As the Command itself had."""
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
    """Whatever it was."""
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
    """The directory was changed meanwhile."""
    async with pipeline.run_dispatcher():
        await run_with_action(pipeline)
    pipeline.restart()
    pipeline.handler_specs = [factories.executable("pump")]
    async with pipeline.run_dispatcher():
        await pipeline.advance(61)
    assert pipeline.query_column("SELECT reason FROM actions") == ["the handler led does not exist any more"]


async def test_action_starts_only_after_its_commit(pipeline):
    """While the journal cannot commit it waits."""
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
    """What runs may end and is committed; what waits stays `received`, an action stays `waiting`."""
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


@pytest.mark.parametrize("what", ["command_store", "action_store"])
async def test_nothing_starts_after_stop_when_the_journal_recovers(pipeline, monkeypatch, what):
    """Asking for work took longer than the agent had to live."""
    store = getattr(pipeline, what)
    waiting = store.list_pending
    trouble = []

    def read(*which):
        if trouble:
            raise trouble[0]
        return waiting(*which)

    monkeypatch.setattr(store, "list_pending", read)
    async with pipeline.run_dispatcher() as dispatcher:
        if what == "action_store":
            await run_with_action(pipeline)
            settle_reply(pipeline)
        else:
            pipeline.store_command("led on")
        trouble.append(sqlite3.OperationalError("disk I/O error"))
        dispatcher.wake()
        await pipeline.advance(1)
        dispatcher.stop()
        trouble.clear()
        await pipeline.advance(10)
    assert pipeline.command_states() == (["done"] if what == "action_store" else ["received"])
    assert pipeline.runner.run_actions == []


async def test_run_cut_off_by_stop_is_left_to_the_next_start(pipeline):
    """Its run had begun: it is not told as failed, the next start answers honestly."""
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
    """As where the loop is torn down: it counts as cancelled, and what ran as interrupted."""
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
    """It may be what stops the agent: not failed, not repeated."""
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
    """It returns at once, the Command stays `received`."""
    dispatcher = pipeline.make_dispatcher()
    pipeline.runner.plan("again", *[RetryLater("busy")] * 2)
    pipeline.store_command("again now")
    task = asyncio.create_task(dispatcher.run())
    await pipeline.advance(15)
    assert len(pipeline.runner.runs) == 2
    dispatcher.stop()
    await asyncio.wait_for(task, 0.5)
    assert pipeline.command_states() == ["received"]


# Health


async def test_action_past_its_timeout_is_overdue(pipeline):
    """As a run is."""
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
    """The runner ends it at its limit; if even the runner hangs, the watchdog is told."""
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
