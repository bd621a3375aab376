"""From the journal to the module: what is sent how often, when, and what becomes of it."""

import asyncio
import sqlite3

import pytest

import pdu
from agent.at.error import ModemLost
from agent.journal.rows import Outgoing
from agent.modem.sending import NotSent, Refused, Sent, Unknown
from agent.story import Weight


def attempts(road):
    return road.look("SELECT attempts FROM replies ORDER BY id")


def reasons(road):
    return road.look("SELECT reason FROM replies ORDER BY id")


# The order of things


async def test_sending_is_committed_after_the_prompt_and_before_the_body(road, make):
    """A kill before it finds `queued`, a kill after it `sending`; and at last `sent` with its reference."""
    modem = make.modem(road)
    road.message("hello")
    at_prompt = []
    at_body = []

    async def look(_submit):
        at_body.append((road.replies(), attempts(road)))
        return Sent(42)

    modem.plan("send", look)
    transaction = road.journal.transaction

    def counted():
        at_prompt.append(road.replies())
        return transaction()

    road.journal.transaction = counted
    async with road.sending(modem):
        await road.passes(1)
    assert road.log[1:] == [("send", "hello"), ("commit",), ("body", "hello"), ("commit",)]
    assert at_prompt[0] == ["queued"]
    assert at_body == [(["sending"], [1])]
    assert road.replies() == ["sent"]
    assert road.look("SELECT message_reference FROM replies") == [42]
    assert road.settled == 1
    assert [step.what for step in road.steps] == ["sending", "sent"]
    assert road.told("sending")[0].content == "hello"
    assert road.told("sent")[0].detail == "message reference 42"


async def test_messages_leave_in_order(road, make):
    """One after the other, as they were queued, also those that are queued meanwhile."""
    modem = make.modem(road)
    road.message("one")
    road.message("two")
    async with road.sending(modem):
        road.message("three")
        road.work.set()
        await road.passes(1)
    assert modem.sent == ["one", "two", "three"]
    assert road.replies() == ["sent"] * 3


async def test_it_sleeps_until_something_is_queued(road, make):
    """No polling: an hour without work asks the journal nothing."""
    modem = make.modem(road)
    asked = []
    following = road.queue.next
    road.queue.next = lambda waiting: asked.append(road.now()) or following(waiting)
    async with road.sending(modem):
        await road.passes(3600)
        assert len(asked) == 1
        road.message()
        road.work.set()
        await road.passes(1)
    assert modem.sent == ["hello"]


@pytest.mark.parametrize(("setting", "asked"), [(False, False), (True, True)])
async def test_what_is_handed_to_the_module(road, make, setting, asked):
    """Destination, alphabet and octets as they were composed; a report where the setting asks for one."""
    modem = make.modem(road)
    seen = []

    async def look(submit):
        seen.append(submit)
        return Sent(None)

    modem.plan("send", look, look)
    road.message("smile \u263a", "+15557654321")
    road.queue.queue([Outgoing("2936", pdu.segment(b"\x01\x02")[0], 1, 1)])
    async with road.sending(modem, status_reports=setting):
        await road.passes(1)
    text, octets = seen
    assert (str(text.destination_address), text.text, text.data_coding_scheme) == (
        "+15557654321", "smile \u263a", 8,
    )  # fmt: skip
    assert text.status_report_request is asked
    assert (octets.data, octets.data_coding_scheme) == (b"\x01\x02", 4)
    assert road.replies() == ["sent", "sent"]
    assert road.told("sent")[0].detail == ""


# Unknown


async def test_what_is_unknown_is_left_alone(road, make):
    """A second copy costs money: said with a warning, not sent again, not even by the next session."""
    modem = make.modem(road)
    road.message("hello")
    modem.plan("send", Unknown("no result within 120 s"))
    async with road.sending(modem):
        await road.passes(5000)
    road.restart()
    async with road.sending(make.modem(road)) as other:
        await road.passes(5000)
        assert other.sent == []
    assert modem.sent == ["hello"]
    assert road.replies() == ["unknown"]
    assert reasons(road) == ["no result within 120 s"]
    assert road.told("unknown")[0].weight is Weight.WARNING
    assert road.settled == 1


async def test_what_is_unknown_is_sent_once_more_where_the_setting_says_so(road, make):
    """Once and no more, over all sessions."""
    road.message("hello")
    sent = 0
    for _ in range(3):
        modem = make.modem(road)
        modem.always["send"] = Unknown("no result")
        async with road.sending(modem, resend_unknown=True):
            await road.passes(5000)
        sent += len(modem.sent)
    assert sent == 2
    assert road.replies() == ["unknown", "unknown"]  # that the first may have left as well stays known
    assert attempts(road) == [2, 1]
    assert reasons(road) == ["no result", "outcome unknown: no result; sent once more as 1"]


@pytest.mark.parametrize("cap", ["max_per_minute", "max_per_day"])
async def test_what_may_have_left_and_its_copy_both_count(road, make, cap):
    """Each may have cost money: with a cap of three a third message leaves after them and no fourth."""
    modem = make.modem(road)
    modem.plan("send", Unknown("no result"))
    for text in ("hello", "two", "three"):
        road.message(text)
    async with road.sending(modem, resend_unknown=True, **{cap: 3}):
        await road.passes(20)
        assert [text for _, text in road.happened("body")] == ["hello", "hello", "two"]
        assert road.replies() == ["sent", "sent", "queued", "unknown"]
        assert "is reached" in road.told("held")[0].detail


async def test_a_copy_keeps_its_place(road, make):
    """No message to the same number overtakes it."""
    modem = make.modem(road)
    modem.plan("send", Unknown("no result"))
    road.message("one")
    road.message("two")
    async with road.sending(modem, resend_unknown=True):
        await road.passes(20)
    assert [text for _, text in road.happened("body")] == ["one", "one", "two"]


async def test_the_line_is_lost_after_the_body(road, make):
    """Then it may be out: unknown."""
    modem = make.modem(road)
    road.message("hello")

    async def cut(_submit):
        modem.lose()
        return Unknown(modem.loss)

    modem.plan("send", cut)
    async with road.sending(modem):
        pass
    assert road.replies() == ["unknown"]


async def test_what_the_last_session_left_sending_is_unknown(road, make):
    """Settled before anything is sent; whoever waits for its fate is told."""
    road.message("one")
    road.message("two")
    road.queue.sending(1)
    modem = make.modem(road)
    async with road.sending(modem):
        await road.passes(1)
    assert modem.sent == ["two"]
    assert road.replies() == ["unknown", "sent"]
    assert road.told("unknown")[0].reply == 1
    assert road.settled == 2


# Refused


@pytest.mark.parametrize("code", [1, 29, 50, 69, 304, 305, 195])
@pytest.mark.parametrize("after_body", [False, True])
async def test_what_is_refused_for_good_is_not_repeated(road, make, code, after_body):
    """Failed at the first try, with the reason; the next message is sent at once."""
    modem = make.modem(road)
    road.message("one")
    road.message("two")
    modem.plan("send", Refused(make.refused(code, after_body=after_body)))
    async with road.sending(modem):
        await road.passes(1)
    assert road.replies() == ["failed", "sent"]
    assert f"+CMS ERROR: {code}" in reasons(road)[0]
    assert road.settled == 2
    [failed] = road.told("failed")
    assert failed.detail == reasons(road)[0]
    assert failed.weight is Weight.WARNING


@pytest.mark.parametrize(
    ("code", "first"),
    [(41, 5), (314, 5), (515, 5), (None, 5), (322, 5), (38, 60), (42, 60), (17, 60), (331, 60), (330, 60),
     (310, 60), (28, 60), (8, 3600), (21, 3600), (10, 3600)],
)  # fmt: skip
async def test_what_is_refused_for_a_time_is_tried_again_later(road, make, code, first):
    """How much later says the table of codes; the attempt is on disk, and the message leaves in the end."""
    modem = make.modem(road)
    road.message("hello")
    modem.plan("send", Refused(make.refused(code, after_body=True)))
    async with road.sending(modem):
        assert road.replies() == ["queued"]
        assert attempts(road) == [1]
        await road.passes(first - 3)
        assert len(modem.sent) == 1
        await road.passes(5)
    assert modem.sent == ["hello"] * 2
    assert road.replies() == ["sent"]
    assert reasons(road) == [None]
    assert road.settled == 1
    assert road.told("not sent")[0].detail.endswith(f"again in {first} s")


async def test_a_duplicate_is_as_good_as_sent(road, make):
    """The service centre has it already."""
    modem = make.modem(road)
    road.message("hello")
    modem.plan("send", Refused(make.refused(197, after_body=True)))
    async with road.sending(modem):
        await road.passes(100)
    assert road.replies() == ["sent"]
    assert modem.sent == ["hello"]
    assert road.settled == 1
    assert "+CMS ERROR: 197" in road.told("sent")[0].detail


@pytest.mark.parametrize("code", [500, 332, 350, 250, 777])
async def test_an_error_that_says_nothing_is_unknown_after_the_body(road, make, code):
    """The message may have left all the same; before the body it has not."""
    modem = make.modem(road)
    road.message("one")
    road.message("two")
    modem.plan("send", Refused(make.refused(code, after_body=True)), Refused(make.refused(code)))
    async with road.sending(modem):
        await road.passes(100)
    assert road.replies() == ["unknown", "sent"]
    assert modem.sent == ["one", "two"]


async def test_nothing_is_retried_for_ever(road, make):
    """The network fails for days: twelve tries with waits that grow to an hour, then it has failed."""
    modem = make.modem(road)
    road.message("one")
    modem.always["send"] = Refused(make.refused(38, after_body=True))
    async with road.sending(modem):
        await road.passes(3 * 86400)
        times = [number for number, entry in enumerate(road.log) if entry[0] == "body"]
        assert len(times) == 12
        modem.always.clear()
        road.message("two")
        road.work.set()
        await road.passes(1)
    assert road.replies() == ["failed", "sent"]
    assert "given up after 12 attempts" in reasons(road)[0]
    assert attempts(road) == [12, 1]
    waits = [int(step.detail.rsplit(" ", 2)[1]) for step in road.told("not sent")]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60, 3600)


async def test_a_restart_begins_no_new_count(road, make):
    """Attempts stand on disk: ten starts on a network that fails give no more tries than one."""
    road.message("one")
    bodies = 0
    for _ in range(20):
        modem = make.modem(road)
        modem.always["send"] = Refused(make.refused(38, after_body=True))
        async with road.sending(modem):
            await road.passes(100)
        bodies += len(modem.sent)
        road.restart()
    assert bodies == 12
    assert road.replies() == ["failed"]


async def test_tries_that_never_reach_the_body_count_as_well(road, make):
    """A module that dies at each prompt is not asked for ever."""
    modem = make.modem(road)
    road.message("one")
    modem.always["send"] = NotSent("no prompt")
    async with road.sending(modem):
        await road.passes(3 * 86400)
        assert len(road.happened("send")) == 12
    assert road.replies() == ["failed"]
    assert attempts(road) == [11]
    assert reasons(road) == ["no prompt; given up after 12 attempts"]


async def test_not_sent_after_the_body_began_counts_once(road, make):
    """ESC was answered: nothing left, one try is noted."""
    modem = make.modem(road)
    road.message("hello")

    async def escaped(_submit):
        return NotSent("the module was still taking text")

    modem.plan("send", escaped)
    async with road.sending(modem):
        assert road.replies() == ["queued"]
        assert attempts(road) == [1]
        await road.passes(10)
    assert road.replies() == ["sent"]


@pytest.mark.parametrize("code", [38, 21])
async def test_new_work_does_not_push_the_oldest_on(road, make, code):
    """A pause is a pause: each answer that is queued meanwhile waits behind, no try is burned."""
    modem = make.modem(road)
    road.message("one")
    modem.plan("send", Refused(make.refused(code, after_body=True)))
    async with road.sending(modem):
        for number in range(20):
            road.message(f"more {number}")
            road.work.set()
            await road.passes(1)
        assert modem.sent == ["one"]
        assert attempts(road)[0] == 1
        assert road.replies() == ["queued"] * 21


async def test_a_used_up_quota_is_waited_for(road, make):
    """All that is queued is held for more than a day in a few tries, not burned one after the other."""
    modem = make.modem(road)
    for number in range(5):
        road.message(f"{number}")

    async def until_midnight(_submit):
        if road.now() < 1000 + 20 * 3600:
            return Refused(make.refused(21, after_body=True))
        return Sent(1)

    modem.always["send"] = until_midnight
    async with road.sending(modem):
        await road.passes(30 * 3600)
    assert road.replies() == ["sent"] * 5
    assert len(modem.sent) <= 12


# What the operator pays for


async def test_ten_a_minute(road, make):
    """The eleventh is held, not dropped, and it is said once."""
    modem = make.modem(road)
    for number in range(25):
        road.message(f"{number}")
    async with road.sending(modem):
        await road.passes(30)
        assert len(modem.sent) == 10
        assert len(road.told("held")) == 1
        assert road.told("held")[0].detail == "the rate of 10 messages a minute is reached"
        await road.passes(45)
        assert len(modem.sent) == 20
        await road.passes(70)
        assert len(modem.sent) == 25
    assert modem.sent == [str(number) for number in range(25)]


async def test_two_hundred_a_day(road, make):
    """Over sessions and restarts; the rest waits for the next day."""
    for number in range(205):
        road.message(f"{number}")
    sent = 0
    for _ in range(3):
        modem = make.modem(road)
        async with road.sending(modem, max_per_minute=1000):
            await road.passes(600)
        sent += len(modem.sent)
        road.restart()
    assert sent == 200
    assert road.told("held")[0].detail == "the daily cap of 200 messages a day is reached"
    modem = make.modem(road)
    async with road.sending(modem, max_per_minute=1000):
        await road.passes(86400)
    assert modem.sent == [str(number) for number in range(200, 205)]


async def test_caps_are_settings(road, make):
    """Also smaller ones; what is unknown counts, it may have left."""
    modem = make.modem(road)
    for number in range(5):
        road.message(f"{number}")
    modem.plan("send", Unknown("no result"))
    async with road.sending(modem, max_per_minute=3):
        await road.passes(40)
        assert len(modem.sent) == 3
        await road.passes(40)
        assert len(modem.sent) == 5


async def test_what_is_held_is_said_again_on_another_day(road, make):
    """Once for each time."""
    modem = make.modem(road)
    for number in range(4):
        road.message(f"{number}")
    async with road.sending(modem, max_per_day=1, max_per_minute=1000, max_answer_age_s=10 * 86400):
        await road.passes(4 * 86400)
        assert len(modem.sent) == 4
    assert len(road.told("held")) == 3


# The journal cannot commit


async def test_nothing_is_sent_while_the_journal_cannot_commit(road, make):
    """The prompt is given up, no body leaves, no attempt counts, it is said once; then it is sent once."""
    modem = make.modem(road)
    road.message("hello")
    road.disk_full()
    async with road.sending(modem):
        for _ in range(60):
            await road.passes(60)
            assert road.health().late() == []
        assert modem.sent == []
        assert road.replies() == ["queued"]
        [said] = road.told("journal cannot commit")
        assert said.detail == (
            "database or disk is full; messages stay in the module, results wait,"
            " nothing is begun or sent until it can"
        )
        road.trouble = None
        await road.passes(61)
    assert modem.sent == ["hello"]
    assert road.replies() == ["sent"]
    assert attempts(road) == [1]


async def test_a_second_trouble_is_said_again(road, make):
    """Once for each: after the journal has committed, the next failure is news."""
    modem = make.modem(road)
    async with road.sending(modem):
        for _ in range(2):
            road.message("hello")
            road.disk_full()
            road.work.set()
            await road.passes(200)
            road.trouble = None
            await road.passes(100)
    assert modem.sent == ["hello"] * 2
    assert len(road.told("journal cannot commit")) == 2


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Sent(7), "sent"), (Unknown("no result"), "unknown"), (NotSent("escaped"), "queued")],
)
async def test_an_outcome_waits_in_memory_for_the_journal(road, make, outcome, state):
    """The message is not sent again for it, nothing else leaves meanwhile, and nobody is late."""
    modem = make.modem(road)
    road.message("one")

    async def fill(_submit):
        road.disk_full()
        return outcome

    modem.plan("send", fill)
    async with road.sending(modem):
        for _ in range(60):
            await road.passes(60)
            assert road.health().late() == []
        assert road.replies() == ["sending"]
        assert modem.sent == ["one"]
        road.trouble = None
        modem.always["send"] = NotSent("later")
        await road.passes(32)
        assert road.replies() == [state]


@pytest.mark.parametrize("code", [38, 69])
async def test_a_refusal_waits_in_memory_for_the_journal(road, make, code):
    """The same for what the network said."""
    modem = make.modem(road)
    road.message("one")

    async def fill(_submit):
        road.disk_full()
        return Refused(make.refused(code, after_body=True))

    modem.plan("send", fill)
    async with road.sending(modem):
        await road.passes(600)
        assert road.replies() == ["sending"]
        road.trouble = None
        await road.passes(32)
        assert road.replies() == ["queued" if code == 38 else "failed"]


@pytest.mark.parametrize("what", ["next", "sent_within"])
async def test_a_journal_that_cannot_be_read_is_asked_again(road, make, what):
    """A minute later; it ends no task."""
    modem = make.modem(road)
    road.message("hello")
    method = getattr(road.queue, what)
    failures = [sqlite3.OperationalError("disk I/O error")] * 2

    def read(*arguments):
        if failures:
            raise failures.pop()
        return method(*arguments)

    setattr(road.queue, what, read)
    async with road.sending(modem):
        await road.passes(50)
        assert modem.sent == []
        await road.passes(130)
    assert modem.sent == ["hello"]
    assert len(road.told("journal cannot commit")) == 1


# Poison


@pytest.mark.parametrize("error", [pdu.PduError("submit", None, "of ours"), ZeroDivisionError("of ours")])
async def test_a_message_that_cannot_be_encoded_fails_alone(road, make, error):
    """The next one is sent, the session goes on."""
    modem = make.modem(road)
    road.message("one")
    road.message("two")
    modem.plan("send", error)
    async with road.sending(modem):
        await road.passes(1)
    assert modem.sent == ["two"]
    assert road.replies() == ["failed", "sent"]
    assert "of ours" in reasons(road)[0]
    assert road.settled == 2


async def test_a_destination_that_is_none_fails_alone(road, make):
    """A number that nobody can write."""
    modem = make.modem(road)
    road.message("one", "12" * 30)
    road.message("two")
    async with road.sending(modem):
        await road.passes(1)
    assert road.replies() == ["failed", "sent"]


async def test_a_mistake_after_the_body_is_unknown(road, make):
    """Whatever it was: the message may be out."""
    modem = make.modem(road)
    road.message("one")

    async def stumble(_submit):
        raise ZeroDivisionError("of ours")

    modem.plan("send", stumble)
    async with road.sending(modem):
        await road.passes(1)
    assert road.replies() == ["unknown"]


@pytest.mark.parametrize("after_body", [False, True])
async def test_silence_while_getting_ready_is_not_sent(road, make, after_body):
    """The modem looks at its settings before it sends; what fails there leaves the message queued."""
    modem = make.modem(road)
    road.message("one")

    async def silent(_submit):
        raise make.timed_out("AT+CMGF?")

    modem.plan("send", silent if after_body else make.timed_out("AT+CMGF?"))
    async with road.sending(modem):
        await road.passes(1)
        assert road.replies() == ["unknown" if after_body else "queued"]
        await road.passes(10)
        assert road.replies() == ["unknown" if after_body else "sent"]


# The end


@pytest.mark.parametrize("when", ["idle", "pause", "held", "sending"])
async def test_a_lost_line_ends_it_quietly(road, make, when):
    """Whatever it waits for; nothing that it had begun is cancelled."""
    modem = make.modem(road)
    if when != "idle":
        road.message("hello")
    if when == "pause":
        modem.plan("send", Refused(make.refused(38, after_body=True)))
    elif when == "held":
        road.queue.sent(road.message("before"), 1)
    elif when == "sending":

        async def slow(_submit):
            await road.passes(20)
            return Sent(1)

        modem.plan("send", slow)
    task = asyncio.create_task(road.outbox(modem, max_per_minute=1 if when == "held" else 10).run())
    await road.passes(1)
    modem.lose()
    await asyncio.wait_for(task, 0.5 if when != "sending" else 30)
    if when != "idle":
        assert road.replies()[0] == {"pause": "queued", "held": "queued", "sending": "sent"}[when]
    assert road.health()._deadlines == {}


async def test_a_session_that_is_lost_before_the_body_leaves_it_queued(road, make):
    """The next session sends it."""
    modem = make.modem(road)
    road.message("hello")
    modem.lose()
    await asyncio.wait_for(road.outbox(modem).run(), 10)
    assert road.replies() == ["queued"]
    async with road.sending(make.modem(road)) as other:
        await road.passes(1)
        assert other.sent == ["hello"]


async def test_a_line_lost_while_getting_ready_ends_it_quietly(road, make):
    """The modem says so by raising: nothing was sent."""
    modem = make.modem(road)
    road.message("hello")
    modem.plan("send", ModemLost("unplugged"))
    await asyncio.wait_for(road.outbox(modem).run(), 10)
    assert road.replies() == ["queued"]
    assert attempts(road) == [0]
    assert road.health()._deadlines == {}


async def test_a_send_that_hangs_is_late(road, make):
    """Beyond twice the slowest module's own limit; a long pause is no reason to worry."""
    modem = make.modem(road)
    road.message("hello")
    end = asyncio.Event()

    async def hang(_submit):
        await end.wait()
        return Refused(make.refused(21, after_body=True))

    modem.plan("send", hang)
    async with road.sending(modem):
        await road.passes(390)
        assert road.health().late() == []
        await road.passes(20)
        assert road.health().late() == ["outbox"]
        end.set()
        await road.passes(3000)
        assert road.health().late() == []


@pytest.mark.parametrize("begun", [False, True])
async def test_a_host_without_files_fails_no_message(road, make, begun):
    """Before the body nothing has left: it is tried again. After that nobody knows."""
    modem = make.modem(road)
    really = modem.send

    async def send(submit, before_body):
        modem.send = really
        if begun:
            await before_body()
        raise OSError(24, "Too many open files")

    modem.send = send
    road.message("hello")
    async with road.sending(modem):
        await road.passes(30)
    assert road.replies() == ["unknown" if begun else "sent"]
    assert "Too many open files" in road.told("unknown" if begun else "not sent")[0].detail


async def test_what_could_not_be_noted_as_sending_has_not_left(road, make):
    """A host without memory while `sending` is committed: the body waits for that, so it is tried again."""
    modem = make.modem(road)
    really = road.queue.sending

    def sending(number):
        road.queue.sending = really
        raise MemoryError

    road.queue.sending = sending
    road.message("hello")
    async with road.sending(modem):
        await road.passes(30)
    assert modem.sent == ["hello"]
    assert road.replies() == ["sent"]
    assert road.told("unknown") == []
