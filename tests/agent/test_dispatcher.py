"""From the journal to the handlers: how often each runs, in which order, and what is answered."""

import asyncio
import sqlite3
from datetime import UTC, datetime

import pytest

import pdu
from agent import dispatcher as dispatcher_room
from agent.handlers.catalogue import Catalogue
from agent.handlers.entry import Entry
from agent.handlers.outcome import Failed, Finished, Later, NotStarted, TimedOut
from agent.service.compose import ReplyRules
from agent.story import Weight


def hang():
    """A handler that works until it is told to end; returns that and the event."""
    end = asyncio.Event()

    async def work(_command):
        await end.wait()
        return Finished("late")

    return work, end


# The order of things


async def test_a_run_is_committed_before_it_begins_and_with_its_reply_when_it_ends(road):
    """A kill at any moment finds what had begun, and never a done Command without its answer."""
    road.command("led on")
    seen = []

    async def look(_command):
        seen.extend((road.states(), road.look("SELECT attempt FROM commands"), road.replies()))
        return Finished("led is on")

    road.runner.plan("led", look)
    road.log.clear()
    async with road.running():
        assert seen == [["running"], [1], []]
        assert road.log == [("commit",), ("run", "led", 1), ("commit",)]
        assert road.states() == ["done"]
        assert road.replies() == ["queued"]
        assert road.look("SELECT command FROM replies") == [1]


@pytest.mark.parametrize(
    ("text", "outcome", "story"),
    [
        (
            "led on",
            Finished("led is on"),
            ["running command 1: handler led", "done command 1", "queued command 1: answer to 2936"],
        ),
        ("led on", Finished(None), ["running command 1: handler led", "done command 1: no answer"]),
        ("", None, ["done command 1: an empty Command, no handler for it"]),
        ("x", None, ["failed command 1: no handler", "queued command 1: answer to 2936"]),
        (
            "again on",
            Later("busy"),
            [
                "running command 1: handler again",
                "later command 1: busy; again in 10 s",
                "running command 1: handler again, attempt 2",
                "done command 1",
                "queued command 1: answer to 2936",
            ],
        ),
    ],
)
async def test_the_story_of_a_command(road, text, outcome, story):
    """A line for each step, none for what was not done; what messages say is beside it."""
    if outcome is not None:
        road.runner.plan(text.split()[0], outcome)
    road.command(text)
    async with road.running():
        await road.passes(20)
    assert [str(step) for step in road.steps] == story
    assert [step.content for step in road.told("queued")] == road.texts()


async def test_the_handler_sees_the_command_as_it_came(road, make):
    """SID, sender, time, attempt, text without the SID."""
    road.command(f"{make.SID} led on", minute=7)
    seen = []

    async def look(command):
        seen.append(command)
        return Finished(None)

    road.runner.plan("led", look)
    async with road.running():
        pass
    [command] = seen
    assert (command.sid, command.sender, command.text, command.attempt, command.mode) == (
        make.SID, "2936", "led on", 1, "text",
    )  # fmt: skip
    assert command.timestamp.minute == 7


async def test_commands_of_one_handler_run_one_after_the_other(road):
    """In order of arrival, also where the first takes its time; others run beside it."""
    work, end = hang()
    async with road.running():
        road.runner.plan("led", work)
        for text in ("led 1", "led 2", "pump 1", "led 3"):
            road.command(text)
        await wake(road)
        assert [text for _, text, _ in road.runner.runs] == ["led 1", "pump 1"]
        end.set()
        await road.passes(1)
        assert [text for _, text, _ in road.runner.runs] == ["led 1", "pump 1", "led 2", "led 3"]
    assert set(road.states()) == {"done"}


async def test_functions_of_one_file_run_one_after_the_other(road):
    """They share a process."""
    file = road.folder / "device.py"
    road.handlers = [
        Entry(f"device.py:{name}", "python", file=file, function=name, words=(name,)) for name in ("a", "b")
    ]
    work, end = hang()
    async with road.running():
        road.runner.plan("device.py:a", work)
        road.command("a")
        road.command("b")
        await wake(road)
        assert len(road.runner.runs) == 1
        end.set()
        await road.passes(1)
        assert len(road.runner.runs) == 2


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_no_more_run_side_by_side_than_allowed(road, make, at_once):
    """What came first begins first; each end makes room for the next."""
    road.handlers = [make.executable(f"h{number}") for number in range(5)]
    works = [hang() for _ in range(5)]
    async with road.running(rules={"at_once": at_once}) as dispatcher:
        for number, (work, _) in enumerate(works):
            road.runner.plan(f"h{number}", work)
            road.command(f"h{number}")
        await wake(road)
        for begun in range(at_once, 6):
            assert [name for name, *_ in road.runner.runs] == [f"h{n}" for n in range(min(begun, 5))]
            assert len(dispatcher.running) == min(at_once, 5)
            works[begun - at_once][1].set()
            await road.passes(1)


async def wake(road):
    """Intake has received something."""
    road.dispatched.wake()
    await road.passes(1)


# Answers


@pytest.mark.parametrize(
    ("outcome", "state", "answer", "reason"),
    [
        (Finished("led is on"), "done", "led is on", None),
        (Finished(None), "done", None, None),
        (Finished(""), "done", None, None),
        (Failed("exit status 1: no such pump"), "failed", "ERR failed", "exit status 1: no such pump"),
        (TimedOut(), "failed", "ERR timed out", "ended after 30 s"),
        (Later("busy"), "failed", "ERR failed", "busy; not tried again"),
        (RuntimeError("of ours"), "failed", "ERR failed", "RuntimeError: of ours"),
    ],
)
async def test_each_outcome_is_answered_honestly(road, outcome, state, answer, reason):
    """In one short line, and the reason stands in the journal."""
    async with road.running():
        road.runner.plan("led", outcome)
        road.command("led on")
        await wake(road)
        assert road.states() == [state]
        assert road.texts() == ([] if answer is None else [answer])
        assert road.look("SELECT reason FROM commands") == [reason]
        assert road.look("SELECT destination FROM replies") == ([] if answer is None else ["2936"])
        assert road.queued == (0 if answer is None else 1)
        assert road.health()._deadlines == {}
    [step] = road.told(state)
    assert step.command == 1
    assert step.weight is (Weight.NORMAL if state == "done" else Weight.WARNING)


async def test_an_unknown_word_gets_one_short_answer(road):
    """Named in the answer, at most 20 characters of it; others go on."""
    async with road.running():
        road.command("frobnicate_the_device_now please")
        road.command("led on")
        await wake(road)
    assert sorted(road.texts()) == ["ERR unknown frobnicate_the_devic", "did led on"]
    assert road.states() == ["failed", "done"]
    assert road.look("SELECT reason FROM commands WHERE id = 1") == ["no handler"]


@pytest.mark.parametrize("text", ["", " ", "\r\n", " " * 160])
async def test_an_empty_text_is_done_and_not_answered(road, text):
    """Nothing to do; nobody pays for an answer."""
    async with road.running():
        road.command(text)
        await wake(road)
    assert road.states() == ["done"]
    assert road.texts() == []


async def test_an_empty_text_goes_to_the_default_handler(road):
    """Where there is one it gets everything that nobody else wants."""
    road.handlers = [Entry("all.py:all", "python", function="all", default=True)]
    async with road.running():
        road.command("")
        road.command(b"\x01")
        await wake(road)
        assert road.runner.runs == [("all.py:all", "", 1), ("all.py:all", b"\x01", 1)]


async def test_octets_without_a_handler_are_answered(road):
    """As an unknown word is."""
    async with road.running():
        road.command(b"\x01\x02")
        await wake(road)
    assert road.texts() == ["ERR unknown binary"]


async def test_octets_come_back_as_octets(road):
    """On a service that carries them."""
    road.handlers = [Entry("binary", "executable")]
    async with road.running():
        road.runner.plan("binary", Finished(b"\x01\x02"))
        road.command(b"\x01")
        await wake(road)
    assert road.look("SELECT octets FROM replies") == [b"\x01\x02"]
    assert road.look("SELECT alphabet FROM replies") == ["8bit"]


async def test_octets_cannot_go_to_a_service_without_them(tmp_path, make):
    """The Command fails with a sentence, and its sender is told."""
    road = make.road(tmp_path, "super-sim")
    async with road.running():
        road.runner.plan("led", Finished(b"\x01"))
        road.command("led on", sender="000")
        await wake(road)
    assert road.states() == ["failed"]
    assert road.texts() == ["ERR answer"]
    assert road.look("SELECT reason FROM commands") == ["super-sim carries no binary answer"]
    assert road.look("SELECT destination FROM replies") == ["000"]
    road.journal.close()


async def test_a_long_answer_is_cut_or_sent_in_parts(road):
    """One message unless more are allowed; the parts share the number of the Command as reference."""
    async with road.running(reply_rules=ReplyRules(max_parts=2)):
        road.runner.plan("led", Finished("x" * 200), Finished("y" * 400))
        road.command("led 1")
        await wake(road)
        road.command("led 2")
        await wake(road)
    texts = road.texts()
    assert [len(text) for text in texts] == [153, 47, 153, 153]
    assert texts[3].endswith("y..")
    assert road.look("SELECT part || '/' || parts FROM replies") == ["1/2", "2/2", "1/2", "2/2"]


@pytest.mark.parametrize(("rule", "text"), [("none", "led is on"), ("start", "{SID} led is on")])
async def test_the_sid_stands_in_front_where_the_setting_says_so(road, make, rule, text):
    """The SID of the Command that is answered."""
    async with road.running(reply_rules=ReplyRules(reply_sid=rule)):
        road.runner.plan("led", Finished("led is on"))
        road.command(f"{make.SID} led on")
        await wake(road)
    assert road.texts() == [text.format(SID=make.SID)]


async def test_an_answer_may_go_elsewhere(road, make):
    """`reply_to` of the handler; what the agent itself has to say still goes to the service."""
    road.handlers = [make.executable("led", reply_to="+15557654321")]
    async with road.running():
        road.runner.plan("led", Finished("on"), Failed("no"))
        road.command("led 1")
        road.command("led 2")
        await wake(road)
    assert road.look("SELECT destination FROM replies ORDER BY id") == ["+15557654321", "2936"]


@pytest.mark.parametrize("fields", [{"content": "ERR unknown led"}, {"loop_prevention": True}])
async def test_what_could_loop_is_never_answered(road, fields):
    """A text that is itself an error answer, a message that says it comes from an automaton."""
    content = fields.pop("content", "led on")
    async with road.running():
        road.command(content, **fields)
        await wake(road)
    assert road.texts() == []
    assert road.states() == ["failed" if content.startswith("ERR") else "done"]
    assert road.queued == 0


async def test_error_answers_are_ten_an_hour(road):
    """The eleventh Command fails in silence; an hour later there is one again. Real answers do not count."""
    async with road.running():
        for number in range(14):
            road.command(f"nothing{number}")
        road.command("led on")
        await wake(road)
        assert len(road.texts()) == 11
        assert "did led on" in road.texts()
        assert road.states().count("failed") == 14
        await road.passes(3590)
        road.command("nothing", minute=1)
        await wake(road)
        assert len(road.texts()) == 11
        await road.passes(20)
        road.command("nothing", minute=2)
        await wake(road)
        assert len(road.texts()) == 12


async def test_the_built_in_handlers_run_without_a_process(road):
    """Their runs are committed like those of others."""
    async with road.running(status=lambda: "modem-agent 1, registered"):
        for text in ("ping one two", "status", "help"):
            road.command(text)
        await wake(road)
        assert road.runner.runs == []
    assert sorted(road.texts()) == [
        "again, help, led, ping, pump, status",
        "modem-agent 1, registered",
        "pong one two",
    ]
    assert len(road.told("running")) == 3


# Poison


async def test_a_command_that_pure_code_stumbles_over_fails_alone(road, monkeypatch):
    """Choosing its handler raises: it ends, others go on, also after a restart."""
    choose = Catalogue.choose

    def stumble(self, command):
        if command.text == "poison":
            raise ZeroDivisionError("of ours")
        return choose(self, command)

    monkeypatch.setattr(Catalogue, "choose", stumble)
    async with road.running():
        for text in ("poison", "led on"):
            road.command(text)
        await wake(road)
    assert road.states() == ["failed", "done"]
    assert road.look("SELECT reason FROM commands WHERE id = 1") == ["ZeroDivisionError: of ours"]


async def test_an_answer_that_cannot_be_made_fails_alone(road, monkeypatch):
    """Whatever composing it raises: the Command fails, is answered, and its handler does not run again."""
    from agent import dispatcher as room  # noqa: PLC0415  (only this test changes it)

    compose = room.compose

    def stumble(content, *arguments):
        if content == "did led 1":
            raise OverflowError("of ours")
        return compose(content, *arguments)

    monkeypatch.setattr(room, "compose", stumble)
    async with road.running():
        road.command("led 1")
        road.command("led 2")
        await wake(road)
        assert len(road.runner.runs) == 2
    assert road.states() == ["failed", "done"]
    assert road.texts() == ["ERR failed", "did led 2"]


# Old Commands


@pytest.mark.parametrize(
    ("age", "ahead", "state"),
    [(80000, 0, "done"), (91000, 0, "expired"), (91000, -91000 * 2, "done"), (10, 91000, "expired")],
)
async def test_an_old_command_is_kept_and_not_run(road, age, ahead, state):
    """By the device's clock, unless that is behind what the network has shown: then nothing is judged."""
    road.wall_ahead = age
    road.command("led on", minute=59, second=59)
    road.wall_ahead += ahead
    async with road.running(rules={"max_age_s": 90000}):
        await wake(road)
    assert road.states() == [state]
    assert road.texts() == (["did led on"] if state == "done" else [])
    if state == "expired":
        assert road.look("SELECT reason FROM commands") == ["older than max_age_s allows"]
        assert road.told("expired")[0].weight is Weight.WARNING


@pytest.mark.parametrize(("own", "state"), [(None, "done"), (60, "expired")])
async def test_a_handler_has_its_own_limit(road, make, own, state):
    """Shorter or longer than that of agent.toml; a Command without a date is never too old."""
    road.handlers = [make.executable("led", max_age_s=own)]
    road.wall_ahead = 600
    road.command("led on", minute=59)
    async with road.running(rules={"max_age_s": 90000}):
        await wake(road)
    assert road.states() == [state]


async def test_a_longer_limit_of_a_handler_counts(road, make):
    """It is instead of the general one, not beside it."""
    road.handlers = [make.executable("led", max_age_s=1e9)]
    road.wall_ahead = 600
    road.command("led on", minute=59)
    async with road.running(rules={"max_age_s": 60}):
        await wake(road)
    assert road.states() == ["done"]


async def test_a_clock_that_is_behind_the_network_judges_nothing(road):
    """A message from tomorrow shows that the clock is wrong: then none is too old."""
    road.command("led on", minute=0)
    tomorrow = datetime(2026, 11, 24, 12, tzinfo=UTC)
    road.command("pump on", service_centre_timestamp=pdu.Timestamp.of(tomorrow))
    async with road.running(rules={"max_age_s": 60}):
        pass
    assert road.states() == ["done", "done"]


async def test_a_clock_that_jumps_ahead_expires_nothing_fresh(road):
    """It agreed with the network a minute ago: it cannot be forty days later now."""
    async with road.running(rules={"max_age_s": 90000}):
        road.command(
            "led on", service_centre_timestamp=pdu.Timestamp.of(datetime.fromtimestamp(road.wall(), UTC))
        )
        await wake(road)
        stamp = pdu.Timestamp.of(datetime.fromtimestamp(road.wall() + 60, UTC))
        await road.passes(60)
        road.wall_ahead += 40 * 86400
        road.command("pump on", service_centre_timestamp=stamp)
        await wake(road)
    assert road.states() == ["done", "done"]


# Again


async def test_a_repeatable_handler_is_tried_three_times(road):
    """With waits that grow, each attempt committed and shown to it; then the Command has failed."""
    began = []

    async def later(command):
        began.append((round(road.now()), command.attempt))
        return Later("exit status 75")

    async with road.running():
        road.runner.plan("again", *[later] * 5)
        road.command("again now")
        start = road.now()
        await wake(road)
        await road.passes(3600)
    assert [attempt for _, attempt in began] == [1, 2, 3]
    assert [at - round(start) for at, _ in began] == [0, 10, 50]
    assert road.states() == ["failed"]
    assert road.texts() == ["ERR failed"]
    assert road.look("SELECT attempt FROM commands") == [3]
    assert [step.detail for step in road.told("later")] == [
        "exit status 75; again in 10 s",
        "exit status 75; again in 40 s",
    ]


async def test_a_later_attempt_may_succeed(road):
    """Then it is done, and answered once."""
    async with road.running():
        road.runner.plan("again", Later("busy"))
        road.command("again now")
        await wake(road)
        assert road.states() == ["received"]
        await road.passes(20)
    assert road.states() == ["done"]
    assert road.texts() == ["did again now"]


async def test_what_waits_for_a_later_attempt_is_in_nobodys_way(road, make):
    """It keeps its place in the row of its own handler and takes no place of others."""
    road.handlers.append(make.executable("other", repeatable=True))
    async with road.running(rules={"at_once": 1}):
        road.runner.plan("again", Later("busy"))
        for text in ("again 1", "again 2", "led on", "other 1"):
            road.command(text)
        await wake(road)
        assert [text for _, text, _ in road.runner.runs] == ["again 1", "led on", "other 1"]
        await road.passes(20)
        assert [text for _, text, _ in road.runner.runs][3:] == ["again 1", "again 2"]


@pytest.mark.parametrize("attempts", [1, 2])
async def test_waiting_for_a_later_attempt_survives_a_restart(road, attempts):
    """The attempts stand on disk: no restart gives more than three."""
    road.runner.plan("again", *[Later("busy")] * 5)
    road.command("again now")
    async with road.running():
        await road.passes(15 if attempts == 2 else 1)
        assert len(road.runner.runs) == attempts
    road.restart()
    road.runner.plan("again", *[Later("busy")] * 5)
    async with road.running():
        await road.passes(4000)
        assert [attempt for *_, attempt in road.runner.runs] == list(range(attempts + 1, 4))
    assert road.states() == ["failed"]


# Interrupted


def interrupted(road, text, attempts=1, *, repeatable=False):
    """A Command that was running when the agent was killed."""
    road.command(text)
    number = road.look("SELECT max(id) FROM commands")[0]
    for attempt in range(attempts):
        if attempt:
            road.inbox.again(number, "interrupted")
        road.inbox.begin(number, text.split()[0], repeatable=repeatable)
    road.restart()


async def test_an_interrupted_run_is_answered_and_not_repeated(road):
    """The handler may have rebooted the device: nobody knows how far it came, and that is what is said."""
    interrupted(road, "led on")
    async with road.running():
        assert road.runner.runs == []
    assert road.states() == ["failed"]
    assert road.texts() == ["ERR interrupted"]


@pytest.mark.parametrize(("attempts", "runs"), [(1, [2]), (2, [3]), (3, [])])
async def test_a_repeatable_one_runs_again_at_most_three_times(road, attempts, runs):
    """A handler that kills the agent each time ends with an answer, not in a loop."""
    interrupted(road, "again now", attempts, repeatable=True)
    async with road.running():
        assert [attempt for *_, attempt in road.runner.runs] == runs
    assert road.states() == ["done" if runs else "failed"]
    assert road.texts() == ["did again now" if runs else "ERR interrupted"]
    assert len(road.told("interrupted")) == len(runs)


async def test_interrupted_runs_come_first(road):
    """They are settled before anything new begins; one that may run again keeps its place."""
    interrupted(road, "again first", repeatable=True)
    road.command("again second")
    async with road.running():
        assert [text for _, text, _ in road.runner.runs] == ["again first", "again second"]


async def test_an_interrupted_run_that_may_not_be_answered_is_not(road):
    """The guards against loops hold here as well."""
    interrupted(road, "ERR led")
    async with road.running():
        pass
    assert road.states() == ["failed"]
    assert road.texts() == []


# The journal cannot commit


@pytest.mark.parametrize("attempts", [1, 20])
async def test_what_could_not_be_started_is_tried_again(road, attempts):
    """It was no attempt, as nothing has run; the order of its handler stays; it is said once, and its end."""
    async with road.running():
        road.runner.plan("led", *[NotStarted("Too many open files")] * attempts)
        road.command("led 1")
        road.command("led 2")
        road.command("pump 1")
        await wake(road)
        await road.passes(1800)
        assert [(text, attempt) for name, text, attempt in road.runner.runs if name == "led"] == [
            *[("led 1", 1)] * (attempts + 1),
            ("led 2", 1),
        ]
        assert ("pump", "pump 1", 1) in road.runner.runs
    assert road.states() == ["done"] * 3
    assert "ERR" not in "".join(road.texts())
    assert road.look("SELECT attempt FROM commands") == [1, 1, 1]
    assert len([step for step in road.steps if step.weight >= Weight.WARNING]) <= 2
    assert [step.what for step in road.steps if "started" in step.what][-1] == "handlers are started again"


async def test_what_cannot_be_started_for_an_hour_fails(road):
    """With waits that grow to a minute; whoever sent it is told."""
    async with road.running():
        road.runner.plan("led", *[NotStarted("Cannot allocate memory")] * 100)
        road.command("led on")
        await wake(road)
        await road.passes(3500)
        assert road.states() == ["received"]
        await road.passes(300)
        assert 50 < len(road.runner.runs) < 75
        assert road.health().late() == []
    assert road.states() == ["failed"]
    assert road.look("SELECT reason FROM commands") == ["Cannot allocate memory; given up"]
    assert road.texts() == ["ERR failed"]
    [said] = [step for step in road.steps if step.weight >= Weight.WARNING and step.command is None]
    assert "Cannot allocate memory" in said.detail


async def test_what_stopping_kept_from_starting_runs_at_the_next_start(road):
    """It has not begun: it is no interrupted run."""
    async with road.running() as dispatcher:

        async def stopped(_command):
            dispatcher.stop()
            return NotStarted("the agent is stopping")

        road.runner.plan("led", stopped)
        road.command("led on")
        await wake(road)
    assert road.states() == ["received"]
    assert [step for step in road.steps if step.weight >= Weight.WARNING] == []
    road.restart()
    async with road.running():
        await wake(road)
    assert road.texts() == ["did led on"]


@pytest.mark.parametrize("attempts", [3, 1000])
async def test_an_action_that_could_not_be_started_is_tried_again(road, attempts):
    """Nothing of it has run; after an hour it has failed."""
    async with road.running():
        road.runner.plan("led", Finished(None, then="then"))
        road.runner.plan("then", *[NotStarted("Too many open files")] * attempts)
        road.command("led off")
        await wake(road)
        await road.passes(4000)
    assert len(road.runner.acts) == 4 if attempts == 3 else 50 < len(road.runner.acts) < 75
    assert road.look("SELECT state FROM actions") == ["done" if attempts == 3 else "failed"]
    assert len(road.told("handlers are started again")) == (attempts == 3), "others wait no longer, either"


async def test_nothing_begins_while_the_journal_cannot_commit(road):
    """It is said once, and its end; nobody is late meanwhile."""
    async with road.running():
        road.command("led on")
        road.disk_full()
        await wake(road)
        for _ in range(30):
            await road.passes(60)
            assert road.health().late() == []
        assert road.runner.runs == []
        assert road.states() == ["received"]
        road.trouble = None
        await road.passes(40)
        assert len(road.runner.runs) == 1
    assert road.states() == ["done"]
    assert len(road.told("journal cannot commit")) == 1
    assert len(road.told("journal commits again")) == 1


@pytest.mark.parametrize("outcome", [Finished("led is on"), Failed("no"), TimedOut()])
async def test_a_result_waits_in_memory_for_the_journal(road, outcome):
    """The handler does not run again for it, nobody is late, and it is committed when that can be."""
    async with road.running():

        async def fill(_command):
            road.disk_full()
            return outcome

        road.runner.plan("led", fill)
        road.command("led on")
        await wake(road)
        for _ in range(30):
            await road.passes(60)
            assert road.health().late() == []
        assert road.states() == ["running"]
        assert road.texts() == []
        road.trouble = None
        await road.passes(40)
        assert len(road.runner.runs) == 1
    assert road.states() == ["done" if isinstance(outcome, Finished) else "failed"]
    assert len(road.texts()) == 1


async def test_a_start_on_a_full_disk_waits(road):
    """What the last start left is settled as soon as that can be committed."""
    interrupted(road, "led on")
    road.disk_full()
    async with road.running():
        await road.passes(60)
        assert road.states() == ["running"]
        road.trouble = None
        await road.passes(40)
        assert road.states() == ["failed"]


@pytest.mark.parametrize("what", ["interrupted", "waiting"])
async def test_a_journal_that_cannot_be_read_is_asked_again(road, monkeypatch, what):
    """Trouble of the disk ends no task."""
    failures = [sqlite3.OperationalError("disk I/O error")] * 3
    method = getattr(road.inbox, what)

    def read(*which):
        if failures:
            raise failures.pop()
        return method(*which)

    monkeypatch.setattr(road.inbox, what, read)
    road.command("led on")
    async with road.running():
        await road.passes(20)
    assert road.states() == ["done"]


# Answer, then act


async def acts(road, **arguments):
    """A Command whose handler wants something done after its answer."""
    road.runner.plan("led", Finished("rebooting", then="reboot"))
    road.command("led on")
    await wake(road)


def settle(road, fate="sent"):
    """The answer meets its fate."""
    number = road.look("SELECT max(id) FROM replies")[0]
    if fate == "sent":
        road.queue.sent(number, 1)
    else:
        road.queue.end(number, fate, "why")
    road.dispatched.wake()


@pytest.mark.parametrize("fate", ["sent", "failed", "unknown"])
async def test_an_action_follows_the_fate_of_its_answer(road, fate):
    """Stored with the reply; `acting` is committed before it starts, its end after it."""
    async with road.running():
        await acts(road)
        await road.passes(30)
        assert road.runner.acts == []
        assert road.look("SELECT state FROM actions") == ["waiting"]
        seen = []

        async def look(_command):
            seen.extend(road.look("SELECT state FROM actions"))
            return Finished(None)

        road.runner.plan("reboot", look)
        settle(road, fate)
        await road.passes(1)
        assert road.runner.acts == [("led", "reboot", 30.0)]
        assert seen == ["acting"]
        await road.passes(200)
        assert len(road.runner.acts) == 1
    assert road.look("SELECT state FROM actions") == ["done"]
    assert [step.what for step in road.steps if step.what in ("acting", "acted")] == ["acting", "acted"]


async def test_of_several_waits_the_shortest_counts(road):
    """A later attempt is not put off by an action that waits for its answer, nor the other way round."""
    began = []

    async def look(command):
        began.append(round(road.now() - start))
        return Later("busy") if command.attempt < 3 else Finished("did it")

    async with road.running():
        start = road.now()
        road.runner.plan("again", look, look, look)
        road.command("again now")
        await acts(road)
        await road.passes(100)
    assert began == [0, 10, 50]
    assert len(road.runner.acts) == 1


async def test_an_action_is_not_taken_for_one_that_is_over(road):
    """The journal may give the number of a forgotten action once more: the new one is carried out, too."""
    async with road.running():
        for _ in range(2):
            road.runner.plan("led", Finished(None, then="reboot"))
            road.command("led on")
            await wake(road)
            await road.passes(1)
            assert road.look("SELECT id FROM actions") == [1]
            assert road.look("SELECT state FROM actions") == ["done"]
            road.journal.execute("DELETE FROM actions")
    assert len(road.runner.acts) == 2


async def test_an_action_waits_no_longer_than_a_minute(road):
    """An answer that cannot leave holds it up for 60 s."""
    async with road.running():
        await acts(road)
        await road.passes(57)
        assert road.runner.acts == []
        await road.passes(3)
        assert len(road.runner.acts) == 1
    assert road.replies() == ["queued"]


async def test_an_action_without_an_answer_starts_at_once(road):
    """There is nothing to wait for."""
    async with road.running():
        road.runner.plan("led", Finished(None, then="reboot"))
        road.command("led on")
        await wake(road)
        assert len(road.runner.acts) == 1


async def test_an_interrupted_action_is_never_repeated(road):
    """Most likely it is what ended the agent."""
    async with road.running():
        await acts(road)
    road.actions.begin(1)
    road.restart()
    async with road.running():
        await road.passes(200)
        assert road.runner.acts == []
    assert road.look("SELECT state FROM actions") == ["done"]
    assert [(step.command, step.detail) for step in road.told("acted")] == [
        (1, "reboot: the agent ended while it acted; it is not repeated")
    ]


async def test_a_waiting_action_outlives_a_restart(road):
    """It starts at the next start, after its answer or its minute."""
    async with road.running():
        await acts(road)
    road.restart()
    async with road.running():
        await road.passes(61)
        assert len(road.runner.acts) == 1


async def test_an_action_has_the_time_limit_of_its_handler(road, make):
    """As the Command itself had."""
    road.handlers = [make.executable("led", timeout_s=300.0)]
    async with road.running():
        await acts(road)
        settle(road)
        await road.passes(1)
        assert road.runner.acts == [("led", "reboot", 300.0)]


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (Failed("exit status 1"), "exit status 1"),
        (Later("busy"), "busy"),
        (TimedOut(), "timed out"),
        (OSError("too many open files"), "OSError: too many open files"),
    ],
)
async def test_a_failed_action_is_noted_and_ends_nobody_else(road, outcome, reason):
    """Whatever it was."""
    async with road.running():
        road.runner.plan("reboot", outcome)
        await acts(road)
        settle(road)
        await road.passes(1)
        road.command("led again")
        await wake(road)
        assert len(road.runner.runs) == 2
    assert road.look("SELECT state FROM actions") == ["failed"]
    assert road.look("SELECT reason FROM actions") == [reason]


async def test_an_action_whose_handler_has_gone_fails(road, make):
    """The directory was changed meanwhile."""
    async with road.running():
        await acts(road)
    road.restart()
    road.handlers = [make.executable("pump")]
    async with road.running():
        await road.passes(61)
    assert road.look("SELECT reason FROM actions") == ["there is no handler led any more"]


async def test_an_action_begins_only_when_that_is_committed(road):
    """While the journal cannot commit it waits."""
    async with road.running():
        await acts(road)
        settle(road)
        road.disk_full()
        for _ in range(5):
            await road.passes(60)
            road.dispatched.wake()
        assert road.runner.acts == []
        assert road.health().late() == []
        road.trouble = None
        await road.passes(40)
        assert len(road.runner.acts) == 1


# Stopping


async def test_after_stop_nothing_begins(road):
    """What runs may end and is committed; what waits stays `received`, an action stays `waiting`."""
    work, end = hang()
    async with road.running() as dispatcher:
        await acts(road)
        road.runner.plan("led", work)
        road.command("led slow")
        road.command("led next")
        await wake(road)
        dispatcher.stop()
        settle(road)
        await road.passes(1)
        end.set()
        await road.passes(1)
        assert road.states() == ["done", "done", "received"]
    assert road.look("SELECT state FROM actions") == ["waiting"]
    assert len(road.runner.runs) == 2


@pytest.mark.parametrize("what", ["inbox", "actions"])
async def test_after_stop_nothing_begins_though_the_journal_comes_back(road, monkeypatch, what):
    """Asking for work took longer than the agent had to live."""
    room = getattr(road, what)
    waiting = room.waiting
    trouble = []

    def read(*which):
        if trouble:
            raise trouble[0]
        return waiting(*which)

    monkeypatch.setattr(room, "waiting", read)
    async with road.running() as dispatcher:
        if what == "actions":
            await acts(road)
            settle(road)
        else:
            road.command("led on")
        trouble.append(sqlite3.OperationalError("disk I/O error"))
        dispatcher.wake()
        await road.passes(1)
        dispatcher.stop()
        trouble.clear()
        await road.passes(10)
    assert road.states() == (["done"] if what == "actions" else ["received"])
    assert road.runner.acts == []


async def test_what_is_cut_off_by_stop_is_left_to_the_next_start(road):
    """Its run had begun: it is not told as failed, the next start answers honestly."""
    work, _ = hang()
    async with road.running():
        road.runner.plan("led", work)
        road.command("led slow")
        await wake(road)
    assert road.states() == ["running"]
    assert road.texts() == []
    road.restart()
    async with road.running():
        pass
    assert road.texts() == ["ERR interrupted"]


async def test_cancelled_it_ends_what_is_at_work_in_the_order_of_beginning(road):
    """As where the loop is torn down: it counts as cancelled, and what ran as interrupted."""
    ended = []

    async def run(entry, _command, _timeout_s):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(entry.name)

    road.runner.run = run
    names = ["pump", "led", "again"]
    task = asyncio.create_task(road.dispatcher().run())
    for name in names:
        road.command(f"{name} on")
    await road.passes(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == names
    assert road.states() == ["running"] * 3


async def test_an_action_cut_off_by_stop_has_acted(road):
    """It may be what stops the agent: not failed, not repeated."""
    work, _ = hang()
    async with road.running():
        road.runner.plan("reboot", work)
        await acts(road)
        settle(road)
        await road.passes(1)
    assert road.look("SELECT state FROM actions") == ["acting"]
    road.restart()
    async with road.running():
        await road.passes(100)
        assert road.runner.acts == []
    assert road.look("SELECT state FROM actions") == ["done"]


async def test_waiting_for_a_later_attempt_delays_no_stop(road):
    """It returns at once, the Command stays `received`."""
    dispatcher = road.dispatcher()
    road.runner.plan("again", *[Later("busy")] * 2)
    road.command("again now")
    task = asyncio.create_task(dispatcher.run())
    await road.passes(15)
    assert len(road.runner.runs) == 2
    dispatcher.stop()
    await asyncio.wait_for(task, 0.5)
    assert road.states() == ["received"]


# Health


async def test_an_action_beyond_its_own_limit_is_late(road):
    """As a run is."""
    work, end = hang()
    async with road.running():
        road.runner.plan("reboot", work)
        await acts(road)
        settle(road)
        await road.passes(140)
        assert road.health().late() == []
        await road.passes(20)
        assert road.health().late() == ["action 1"]
        end.set()
        await road.passes(1)
        assert road.health().late() == []


@pytest.mark.parametrize("own", [None, 600.0])
async def test_a_run_beyond_its_own_limit_is_late(road, make, own):
    """The runner ends it at its limit; if even the runner hangs, the watchdog is told."""
    road.handlers = [make.executable("led", timeout_s=own)]
    work, end = hang()
    limit = own or 30.0
    async with road.running():
        road.runner.plan("led", work)
        road.command("led on")
        await wake(road)
        await road.passes(limit + 100)
        assert road.health().late() == []
        await road.passes(30)
        assert road.health().late() == ["command 1"]
        end.set()
        await road.passes(1)
        assert road.health().late() == []


async def test_an_answer_waits_for_a_host_without_files(road, monkeypatch):
    """What the handler did is done: its answer is made when it can be, and the handler does not run again."""
    errors = [OSError(24, "Too many open files"), MemoryError(), OSError(12, "Cannot allocate memory")]
    really = dispatcher_room.compose

    def compose(*arguments):
        if errors:
            raise errors.pop()
        return really(*arguments)

    monkeypatch.setattr(dispatcher_room, "compose", compose)
    async with road.running():
        road.command("led on")
        await wake(road)
        await road.passes(60)
    assert road.texts() == ["did led on"]
    assert len(road.runner.runs) == 1
    assert len(road.told("host")) == 1
