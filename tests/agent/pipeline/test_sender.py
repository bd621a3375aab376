"""Sending: what is sent how often and when, and the state that each message gets."""

import asyncio
from types import SimpleNamespace

import pytest

import pdu
from agent.at.errors import ModemLost
from agent.common.events import Severity
from agent.journal.models import OutgoingMessage
from agent.modem.sending import NotSent, OutcomeUnknown, Refused, Sent
from agent.modem.status_queries import Registration


def attempts(pipeline):
    return pipeline.query_column("SELECT attempts FROM replies ORDER BY id")


def reasons(pipeline):
    return pipeline.query_column("SELECT reason FROM replies ORDER BY id")


# Order of commits and sending


async def test_sending_is_committed_after_the_prompt_and_before_the_body(pipeline, factories):
    """A kill before the commit leaves `queued`, a kill after it `sending`. In the end it is `sent` with its
    reference."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    at_prompt = []
    at_body = []

    async def record_and_send(_submit):
        at_body.append((pipeline.reply_states(), attempts(pipeline)))
        return Sent(42)

    modem.plan("send", record_and_send)
    transaction = pipeline.journal.transaction

    def record_and_begin():
        at_prompt.append(pipeline.reply_states())
        return transaction()

    pipeline.journal.transaction = record_and_begin
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert pipeline.call_log[1:] == [("send", "hello"), ("commit",), ("body", "hello"), ("commit",)]
    assert at_prompt[0] == ["queued"]
    assert at_body == [(["sending"], [1])]
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.query_column("SELECT message_reference FROM replies") == [42]
    assert pipeline.settled_count == 1
    assert [event.kind for event in pipeline.events] == ["sending", "sent"]
    assert pipeline.events_of_kind("sending")[0].content == "hello"
    assert pipeline.events_of_kind("sent")[0].message == "message reference 42"


async def test_messages_are_sent_in_order(pipeline, factories):
    """They are sent one after the other, also those that are queued meanwhile."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    async with pipeline.run_sender(modem):
        pipeline.queue_message("three")
        pipeline.reply_queued.set()
        await pipeline.advance(1)
    assert modem.sent_contents == ["one", "two", "three"]
    assert pipeline.reply_states() == ["sent"] * 3


async def test_idle_sender_wakes_when_a_message_is_queued(pipeline, factories):
    """It does not poll: an hour without messages has no query of the journal."""
    modem = factories.modem(pipeline)
    queried_at = []
    next_queued = pipeline.outbox_store.next_queued
    pipeline.outbox_store.next_queued = lambda *arguments: (
        queried_at.append(pipeline.monotonic()) or next_queued(*arguments)
    )
    async with pipeline.run_sender(modem):
        await pipeline.advance(3600)
        assert len(queried_at) == 1
        pipeline.queue_message()
        pipeline.reply_queued.set()
        await pipeline.advance(1)
    assert modem.sent_contents == ["hello"]


@pytest.mark.parametrize(("status_reports", "requested"), [(False, False), (True, True)])
async def test_submit_carries_the_queued_message(pipeline, factories, status_reports, requested):
    """It has the destination, alphabet and octets of the queued message, and requests a status report if
    configured."""
    modem = factories.modem(pipeline)
    seen = []

    async def record_and_send(submit):
        seen.append(submit)
        return Sent(None)

    modem.plan("send", record_and_send, record_and_send)
    pipeline.queue_message("smile \u263a", "+15557654321")
    pipeline.outbox_store.enqueue([OutgoingMessage("2936", pdu.segment(b"\x01\x02")[0], 1, 1)])
    async with pipeline.run_sender(modem, status_reports=status_reports):
        await pipeline.advance(1)
    text, octets = seen
    assert (str(text.destination_address), text.text, text.data_coding_scheme) == (
        "+15557654321", "smile \u263a", 8,
    )  # fmt: skip
    assert text.status_report_request is requested
    assert (octets.data, octets.data_coding_scheme) == (b"\x01\x02", 4)
    assert pipeline.reply_states() == ["sent", "sent"]
    assert pipeline.events_of_kind("sent")[0].message == ""


# Unknown outcome


async def test_unknown_outcome_is_not_resent(pipeline, factories):
    """A second copy would cost money. It is logged as a warning and not sent again, not even by the next
    session."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    modem.plan("send", OutcomeUnknown("no result within 120 s"))
    async with pipeline.run_sender(modem):
        await pipeline.advance(5000)
    pipeline.restart()
    async with pipeline.run_sender(factories.modem(pipeline)) as other:
        await pipeline.advance(5000)
        assert other.sent_contents == []
    assert modem.sent_contents == ["hello"]
    assert pipeline.reply_states() == ["unknown"]
    assert reasons(pipeline) == ["no result within 120 s"]
    assert pipeline.events_of_kind("unknown")[0].severity is Severity.WARNING
    assert pipeline.settled_count == 1


async def test_unknown_outcome_is_resent_once_if_configured(pipeline, factories):
    """There is one more copy at most, over all sessions."""
    pipeline.queue_message("hello")
    sent = 0
    for _ in range(3):
        modem = factories.modem(pipeline)
        modem.defaults["send"] = OutcomeUnknown("no result")
        async with pipeline.run_sender(modem, resend_unknown=True):
            await pipeline.advance(5000)
        sent += len(modem.sent_contents)
    assert sent == 2
    assert pipeline.reply_states() == [
        "unknown",
        "unknown",
    ]  # the first copy keeps its unknown outcome
    assert attempts(pipeline) == [2, 1]
    assert reasons(pipeline) == ["no result", "outcome unknown: no result; sent once more as 1"]


@pytest.mark.parametrize("cap", ["max_per_minute", "max_per_day"])
async def test_unknown_message_and_its_copy_both_count(pipeline, factories, cap):
    """Each may have cost money. With a limit of three, one more message is sent after them."""
    modem = factories.modem(pipeline)
    modem.plan("send", OutcomeUnknown("no result"))
    for text in ("hello", "two", "three"):
        pipeline.queue_message(text)
    async with pipeline.run_sender(modem, resend_unknown=True, **{cap: 3}):
        await pipeline.advance(20)
        assert [text for _, text in pipeline.calls_of("body")] == ["hello", "hello", "two"]
        assert pipeline.reply_states() == ["sent", "sent", "queued", "unknown"]
        assert "is reached" in pipeline.events_of_kind("held")[0].message


async def test_resent_copy_keeps_its_position(pipeline, factories):
    """No later message to the same destination overtakes it."""
    modem = factories.modem(pipeline)
    modem.plan("send", OutcomeUnknown("no result"))
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    async with pipeline.run_sender(modem, resend_unknown=True):
        await pipeline.advance(20)
    assert [text for _, text in pipeline.calls_of("body")] == ["one", "one", "two"]


async def test_modem_lost_after_the_body_is_unknown(pipeline, factories):
    """The message may have been sent."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")

    async def lose_line(_submit):
        modem.lose_line()
        return OutcomeUnknown(modem.loss_reason)

    modem.plan("send", lose_line)
    async with pipeline.run_sender(modem):
        pass
    assert pipeline.reply_states() == ["unknown"]


async def test_message_interrupted_by_the_last_session_is_unknown(pipeline, factories):
    """It gets its final state before any message is sent, and the callback for settled replies is called."""
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    pipeline.outbox_store.mark_sending(1)
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert modem.sent_contents == ["two"]
    assert pipeline.reply_states() == ["unknown", "sent"]
    assert pipeline.events_of_kind("unknown")[0].reply_id == 1
    assert pipeline.settled_count == 2


# Refusals


@pytest.mark.parametrize("code", [1, 29, 50, 69, 304, 305, 195])
@pytest.mark.parametrize("after_body", [False, True])
async def test_permanent_refusal_is_not_retried(pipeline, factories, code, after_body):
    """It fails at the first attempt, with the reason, and the next message is sent at once."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    modem.plan("send", Refused(factories.refused(code, after_body=after_body)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert pipeline.reply_states() == ["failed", "sent"]
    assert f"+CMS ERROR: {code}" in reasons(pipeline)[0]
    assert pipeline.settled_count == 2
    [failed] = pipeline.events_of_kind("failed")
    assert failed.message == reasons(pipeline)[0]
    assert failed.severity is Severity.WARNING


@pytest.mark.parametrize(
    ("code", "first"),
    [(41, 5), (314, 5), (515, 5), (None, 5), (322, 5), (38, 60), (42, 60), (17, 60), (331, 60), (330, 60),
     (310, 60), (28, 60), (8, 3600), (21, 3600), (10, 3600)],
)  # fmt: skip
async def test_temporary_refusal_is_retried_with_backoff(pipeline, factories, code, first):
    """The table of error codes gives the delay. The attempt is committed, and a retry sends the message."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    modem.plan("send", Refused(factories.refused(code, after_body=True)))
    async with pipeline.run_sender(modem):
        assert pipeline.reply_states() == ["queued"]
        assert attempts(pipeline) == [1]
        await pipeline.advance(first - 3)
        assert len(modem.sent_contents) == 1
        await pipeline.advance(5)
    assert modem.sent_contents == ["hello"] * 2
    assert pipeline.reply_states() == ["sent"]
    assert reasons(pipeline) == [None]
    assert pipeline.settled_count == 1
    assert pipeline.events_of_kind("not sent")[0].message.endswith(f"next attempt in {first} s")


async def test_rejected_duplicate_counts_as_sent(pipeline, factories):
    """The service centre already has the message."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    modem.plan("send", Refused(factories.refused(197, after_body=True)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(100)
    assert pipeline.reply_states() == ["sent"]
    assert modem.sent_contents == ["hello"]
    assert pipeline.settled_count == 1
    assert "+CMS ERROR: 197" in pipeline.events_of_kind("sent")[0].message


@pytest.mark.parametrize("code", [500, 332, 350, 250, 777])
async def test_unspecific_error_after_the_body_is_unknown(pipeline, factories, code):
    """The message may have been sent. Before the body it has not."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    modem.plan("send", Refused(factories.refused(code, after_body=True)), Refused(factories.refused(code)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(100)
    assert pipeline.reply_states() == ["unknown", "sent"]
    assert modem.sent_contents == ["one", "two"]


def refuse_message(factories, refused, *, code=38):
    """Return a send that refuses this content and accepts any other."""

    async def send(submit):
        return Refused(factories.refused(code, after_body=True)) if submit.text in refused else Sent(None)

    return send


async def test_retries_of_a_message_at_fault_end_after_the_maximum(pipeline, factories):
    """Others are accepted meanwhile: twelve attempts with delays of up to an hour, then it has failed."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    modem.defaults["send"] = refuse_message(factories, {"one"})
    async with pipeline.run_sender(modem):
        await pipeline.advance(600)
        pipeline.queue_message("two", "+15557654321")
        pipeline.reply_queued.set()
        await pipeline.advance(85000)
    assert modem.sent_contents.count("one") == 12
    assert pipeline.reply_states() == ["failed", "sent"]
    assert "given up after 12 attempts" in reasons(pipeline)[0]
    assert attempts(pipeline) == [12, 1]
    waits = [int(event.message.rsplit(" ", 2)[1]) for event in pipeline.events_of_kind("not sent")]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (60, 3600)


async def test_message_at_fault_lets_others_pass_and_is_given_up(pipeline, factories):
    """One destination, and only the first message is refused: the next ones leave after its attempts."""
    modem = factories.modem(pipeline)
    for content in ("one", "two", "three"):
        pipeline.queue_message(content)
    modem.defaults["send"] = refuse_message(factories, {"one"}, code=41)
    async with pipeline.run_sender(modem):
        await pipeline.advance(5 * 3600)
    assert pipeline.reply_states() == ["failed", "sent", "sent"]
    assert modem.sent_contents.count("one") == 12
    assert "given up after 12 attempts" in reasons(pipeline)[0]


async def test_restart_keeps_the_count_of_attempts(pipeline, factories):
    """Attempts are counted in the journal: an agent that is restarted again and again makes no more."""
    pipeline.queue_message("one")
    bodies = 0
    for _ in range(60):
        modem = factories.modem(pipeline)
        modem.defaults["send"] = refuse_message(factories, {"one"})
        async with pipeline.run_sender(modem):
            await pipeline.advance(100)
        bodies += len(modem.sent_contents)
        pipeline.restart()
    assert bodies == 12
    assert pipeline.reply_states() == ["failed"]


async def test_attempts_before_the_body_count(pipeline, factories):
    """A module that fails at each prompt is not tried forever."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    modem.defaults["send"] = NotSent("no prompt")
    async with pipeline.run_sender(modem):
        await pipeline.advance(3 * 86400)
        assert len(pipeline.calls_of("send")) == 12
    assert pipeline.reply_states() == ["failed"]
    assert attempts(pipeline) == [11]
    assert reasons(pipeline) == ["no prompt; given up after 12 attempts"]


async def test_not_sent_after_sending_began_counts_once(pipeline, factories):
    """The module confirmed ESC: the message was not sent, and one attempt is counted."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")

    async def cancelled_by_escape(_submit):
        return NotSent("the module was still taking text")

    modem.plan("send", cancelled_by_escape)
    async with pipeline.run_sender(modem):
        assert pipeline.reply_states() == ["queued"]
        assert attempts(pipeline) == [1]
        await pipeline.advance(10)
    assert pipeline.reply_states() == ["sent"]


@pytest.mark.parametrize("code", [38, 21])
async def test_new_message_does_not_shorten_a_backoff(pipeline, factories, code):
    """Replies that are queued during a backoff wait as well, and no attempt is spent on them."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    modem.plan("send", Refused(factories.refused(code, after_body=True)))
    async with pipeline.run_sender(modem):
        for number in range(20):
            pipeline.queue_message(f"more {number}")
            pipeline.reply_queued.set()
            await pipeline.advance(1)
        assert modem.sent_contents == ["one"]
        assert attempts(pipeline)[0] == 1
        assert pipeline.reply_states() == ["queued"] * 21


async def test_exhausted_quota_holds_all_messages(pipeline, factories):
    """All queued messages are held for more than a day with a few attempts in total."""
    modem = factories.modem(pipeline)
    for number in range(5):
        pipeline.queue_message(f"{number}")

    async def refuse_until_midnight(_submit):
        if pipeline.monotonic() < 1000 + 20 * 3600:
            return Refused(factories.refused(21, after_body=True))
        return Sent(1)

    modem.defaults["send"] = refuse_until_midnight
    async with pipeline.run_sender(modem):
        await pipeline.advance(30 * 3600)
    assert pipeline.reply_states() == ["sent"] * 5
    assert len(modem.sent_contents) <= 12


# Limits


async def test_rate_limit_is_ten_a_minute(pipeline, factories):
    """The eleventh message is held, not dropped, and this is logged once."""
    modem = factories.modem(pipeline)
    for number in range(25):
        pipeline.queue_message(f"{number}")
    async with pipeline.run_sender(modem):
        await pipeline.advance(30)
        assert len(modem.sent_contents) == 10
        assert len(pipeline.events_of_kind("held")) == 1
        assert (
            pipeline.events_of_kind("held")[0].message == "the rate limit of 10 messages a minute is reached"
        )
        await pipeline.advance(45)
        assert len(modem.sent_contents) == 20
        await pipeline.advance(70)
        assert len(modem.sent_contents) == 25
    assert modem.sent_contents == [str(number) for number in range(25)]


async def test_daily_limit_is_two_hundred(pipeline, factories):
    """It holds over sessions and restarts. Further messages wait for the next day."""
    for number in range(205):
        pipeline.queue_message(f"{number}")
    sent = 0
    for _ in range(3):
        modem = factories.modem(pipeline)
        async with pipeline.run_sender(modem, max_per_minute=1000):
            await pipeline.advance(600)
        sent += len(modem.sent_contents)
        pipeline.restart()
    assert sent == 200
    assert pipeline.events_of_kind("held")[0].message == "the daily limit of 200 messages is reached"
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem, max_per_minute=1000):
        await pipeline.advance(86400)
    assert modem.sent_contents == [str(number) for number in range(200, 205)]


async def test_limits_are_configurable(pipeline, factories):
    """Messages with an unknown outcome count, as they may have been sent."""
    modem = factories.modem(pipeline)
    for number in range(5):
        pipeline.queue_message(f"{number}")
    modem.plan("send", OutcomeUnknown("no result"))
    async with pipeline.run_sender(modem, max_per_minute=3):
        await pipeline.advance(40)
        assert len(modem.sent_contents) == 3
        await pipeline.advance(40)
        assert len(modem.sent_contents) == 5


async def test_held_messages_are_logged_again_on_another_day(pipeline, factories):
    """Each new wait is logged once."""
    modem = factories.modem(pipeline)
    for number in range(4):
        pipeline.queue_message(f"{number}")
    async with pipeline.run_sender(modem, max_per_day=1, max_per_minute=1000, max_answer_age_s=10 * 86400):
        await pipeline.advance(4 * 86400)
        assert len(modem.sent_contents) == 4
    assert len(pipeline.events_of_kind("held")) == 3


# The journal cannot commit


async def test_nothing_is_sent_while_the_journal_cannot_commit(pipeline, factories):
    """The prompt is cancelled, no attempt counts, and it is logged once. Later the message is sent once."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    pipeline.fail_commits_disk_full()
    async with pipeline.run_sender(modem):
        for _ in range(60):
            await pipeline.advance(60)
            assert pipeline.deadline_monitor.overdue() == []
        assert modem.sent_contents == []
        assert pipeline.reply_states() == ["queued"]
        [event] = pipeline.events_of_kind("journal cannot commit")
        assert event.message == (
            "database or disk is full; messages stay in the module, results wait,"
            " nothing is started or sent until a commit succeeds"
        )
        pipeline.commit_error = None
        await pipeline.advance(61)
    assert modem.sent_contents == ["hello"]
    assert pipeline.reply_states() == ["sent"]
    assert attempts(pipeline) == [1]


async def test_second_journal_failure_is_logged_again(pipeline, factories):
    """After a successful commit the next failure is a new condition."""
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem):
        for _ in range(2):
            pipeline.queue_message("hello")
            pipeline.fail_commits_disk_full()
            pipeline.reply_queued.set()
            await pipeline.advance(200)
            pipeline.commit_error = None
            await pipeline.advance(100)
    assert modem.sent_contents == ["hello"] * 2
    assert len(pipeline.events_of_kind("journal cannot commit")) == 2


@pytest.mark.parametrize(
    ("outcome", "state"),
    [(Sent(7), "sent"), (OutcomeUnknown("no result"), "unknown"), (NotSent("escaped"), "queued")],
)
async def test_outcome_waits_in_memory_for_the_journal(pipeline, factories, outcome, state):
    """The message is not sent again, no other message is sent meanwhile, and no task is overdue."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")

    async def return_on_full_disk(_submit):
        pipeline.fail_commits_disk_full()
        return outcome

    modem.plan("send", return_on_full_disk)
    async with pipeline.run_sender(modem):
        for _ in range(60):
            await pipeline.advance(60)
            assert pipeline.deadline_monitor.overdue() == []
        assert pipeline.reply_states() == ["sending"]
        assert modem.sent_contents == ["one"]
        pipeline.commit_error = None
        modem.defaults["send"] = NotSent("later")
        await pipeline.advance(32)
        assert pipeline.reply_states() == [state]


@pytest.mark.parametrize("code", [38, 69])
async def test_refusal_waits_in_memory_for_the_journal(pipeline, factories, code):
    """The refusal is committed when that is possible."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")

    async def return_on_full_disk(_submit):
        pipeline.fail_commits_disk_full()
        return Refused(factories.refused(code, after_body=True))

    modem.plan("send", return_on_full_disk)
    async with pipeline.run_sender(modem):
        await pipeline.advance(600)
        assert pipeline.reply_states() == ["sending"]
        pipeline.commit_error = None
        await pipeline.advance(32)
        assert pipeline.reply_states() == ["queued" if code == 38 else "failed"]


@pytest.mark.parametrize("query", ["AND destination NOT IN", "SELECT count(*) FROM replies WHERE"])
async def test_unreadable_journal_is_read_again(pipeline, factories, query):
    """It is read again after a minute, and the task does not end."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    pipeline.fail_queries(query, 2)
    async with pipeline.run_sender(modem):
        await pipeline.advance(50)
        assert modem.sent_contents == []
        await pipeline.advance(130)
    assert modem.sent_contents == ["hello"]
    assert len(pipeline.events_of_kind("journal cannot commit")) == 1


# Internal errors


@pytest.mark.parametrize("error", [pdu.PduError("submit", None, "internal"), ZeroDivisionError("internal")])
async def test_message_that_cannot_be_encoded_fails_alone(pipeline, factories, error):
    """The next message is sent, and the session continues."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")
    pipeline.queue_message("two")
    modem.plan("send", error)
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert modem.sent_contents == ["two"]
    assert pipeline.reply_states() == ["failed", "sent"]
    assert "internal" in reasons(pipeline)[0]
    assert pipeline.settled_count == 2


async def test_invalid_destination_fails_alone(pipeline, factories):
    """A number of 60 digits cannot be encoded."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one", "12" * 30)
    pipeline.queue_message("two")
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert pipeline.reply_states() == ["failed", "sent"]


async def test_internal_error_after_the_body_is_unknown(pipeline, factories):
    """Whatever the exception is, the message may have been sent."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")

    async def raise_error(_submit):
        raise ZeroDivisionError("internal")

    modem.plan("send", raise_error)
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert pipeline.reply_states() == ["unknown"]


@pytest.mark.parametrize("after_body", [False, True])
async def test_timeout_before_the_body_is_not_sent(pipeline, factories, after_body):
    """The modem checks its settings before it sends. If that fails, the message stays queued."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one")

    async def silent(_submit):
        raise factories.timed_out("AT+CMGF?")

    modem.plan("send", silent if after_body else factories.timed_out("AT+CMGF?"))
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
        assert pipeline.reply_states() == ["unknown" if after_body else "queued"]
        await pipeline.advance(10)
        assert pipeline.reply_states() == ["unknown" if after_body else "sent"]


# End of the session


@pytest.mark.parametrize("when", ["idle", "pause", "held", "sending"])
async def test_lost_modem_ends_the_sender_without_an_error(pipeline, factories, when):
    """It returns from every wait, and an operation in progress is not cancelled."""
    modem = factories.modem(pipeline)
    if when != "idle":
        pipeline.queue_message("hello")
    if when == "pause":
        modem.plan("send", Refused(factories.refused(38, after_body=True)))
    elif when == "held":
        pipeline.outbox_store.mark_sent(pipeline.queue_message("before"), 1)
    elif when == "sending":

        async def slow(_submit):
            await pipeline.advance(20)
            return Sent(1)

        modem.plan("send", slow)
    task = asyncio.create_task(pipeline.make_sender(modem, max_per_minute=1 if when == "held" else 10).run())
    await pipeline.advance(1)
    modem.lose_line()
    await asyncio.wait_for(task, 0.5 if when != "sending" else 30)
    if when != "idle":
        assert pipeline.reply_states()[0] == {"pause": "queued", "held": "queued", "sending": "sent"}[when]
    assert pipeline.deadline_monitor._deadlines == {}


async def test_modem_lost_before_the_body_leaves_the_message_queued(pipeline, factories):
    """The next session sends it."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    modem.lose_line()
    await asyncio.wait_for(pipeline.make_sender(modem).run(), 10)
    assert pipeline.reply_states() == ["queued"]
    async with pipeline.run_sender(factories.modem(pipeline)) as other:
        await pipeline.advance(1)
        assert other.sent_contents == ["hello"]


async def test_modem_lost_while_preparing_ends_the_sender_without_an_error(pipeline, factories):
    """The modem raises ModemLost, which means that the message was not sent."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    modem.plan("send", ModemLost("unplugged"))
    await asyncio.wait_for(pipeline.make_sender(modem).run(), 10)
    assert pipeline.reply_states() == ["queued"]
    assert attempts(pipeline) == [0]
    assert pipeline.deadline_monitor._deadlines == {}


async def test_hanging_send_is_overdue(pipeline, factories):
    """The deadline is twice the longest timeout of any module. A long backoff is not overdue."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("hello")
    end = asyncio.Event()

    async def hang(_submit):
        await end.wait()
        return Refused(factories.refused(21, after_body=True))

    modem.plan("send", hang)
    async with pipeline.run_sender(modem):
        await pipeline.advance(390)
        assert pipeline.deadline_monitor.overdue() == []
        await pipeline.advance(20)
        assert pipeline.deadline_monitor.overdue() == ["sender"]
        end.set()
        await pipeline.advance(3000)
        assert pipeline.deadline_monitor.overdue() == []


@pytest.mark.parametrize("after_body", [False, True])
async def test_lack_of_files_fails_no_message(pipeline, factories, after_body):
    """Before the body the message was not sent, so it is retried. After the body the outcome is unknown."""
    modem = factories.modem(pipeline)
    original = modem.send

    async def send(submit, before_body):
        modem.send = original
        if after_body:
            await before_body()
        raise OSError(24, "Too many open files")

    modem.send = send
    pipeline.queue_message("hello")
    async with pipeline.run_sender(modem):
        await pipeline.advance(30)
    assert pipeline.reply_states() == ["unknown" if after_body else "sent"]
    assert (
        "Too many open files" in pipeline.events_of_kind("unknown" if after_body else "not sent")[0].message
    )


async def test_message_that_could_not_be_marked_sending_is_retried(pipeline, factories):
    """The body waits for the commit of `sending`. If that runs out of memory, the message was not sent."""
    modem = factories.modem(pipeline)
    original = pipeline.outbox_store.mark_sending

    def sending(number):
        pipeline.outbox_store.mark_sending = original
        raise MemoryError

    pipeline.outbox_store.mark_sending = sending
    pipeline.queue_message("hello")
    async with pipeline.run_sender(modem):
        await pipeline.advance(30)
    assert modem.sent_contents == ["hello"]
    assert pipeline.reply_states() == ["sent"]
    assert pipeline.events_of_kind("unknown") == []


# Conditions that hold all messages without counting an attempt


@pytest.mark.parametrize(
    ("registration", "expected"),
    [
        (Registration(2, 2, 2), "searching: messages wait for a network"),
        (Registration(3, 3), "registration denied: messages wait for a network"),
        (Registration(0), "not registered: messages wait for a network"),
    ],
)
async def test_no_network_holds_messages(pipeline, factories, registration, expected):
    """They stay queued as long as it lasts, no attempt is counted, and it is logged once."""
    pipeline.queue_message()
    modem = factories.modem(pipeline)
    modem.registered = registration
    async with pipeline.run_sender(modem):
        await pipeline.advance(3600)
        assert pipeline.reply_states() == ["queued"]
        assert pipeline.query_column("SELECT attempts FROM replies") == [0]
        assert pipeline.calls_of("send") == []
        assert [event.message for event in pipeline.events_of_kind("held")] == [expected]
        modem.registered = Registration(1)
        await pipeline.advance(20)
        assert pipeline.reply_states() == ["sent"]


async def queue_reply_with_spread(pipeline, spread_s):
    """Queue the reply to a Command that waits for this time; the wait is the same for every Command."""
    pipeline.outbox_store._reply_spread = SimpleNamespace(delay_s=lambda iccid, command: spread_s)
    command_id = pipeline.store_command().command_id
    reply = OutgoingMessage("2936", pdu.segment("on")[0], 1, 1)
    pipeline.command_store.finish(command_id, "done", None, [reply])


async def test_reply_leaves_when_its_spread_is_over(pipeline, factories):
    """Not before, without polling, and messages without a spread do not wait for it."""
    modem = factories.modem(pipeline)
    await queue_reply_with_spread(pipeline, 90)
    async with pipeline.run_sender(modem):
        pipeline.queue_message("by hand")
        pipeline.reply_queued.set()
        await pipeline.advance(88)
        assert modem.sent_contents == ["by hand"]
        assert reasons(pipeline)[0] == "waits 90 s (reply_spread_s)"
        await pipeline.advance(3)
    assert modem.sent_contents == ["by hand", "on"]


async def test_spread_begins_again_when_the_network_is_back(pipeline, factories):
    """Replies that became due while there was no network do not leave all at once."""
    modem = factories.modem(pipeline)
    modem.registered = Registration(2, 2, 2)
    await queue_reply_with_spread(pipeline, 90)
    async with pipeline.run_sender(modem):
        await pipeline.advance(600)
        modem.registered = Registration(1)
        await pipeline.advance(80)
        assert modem.sent_contents == []
        await pipeline.advance(30)
    assert modem.sent_contents == ["on"]


async def test_one_registered_domain_is_enough(pipeline, factories):
    """The message is sent with circuit switched denied and EPS registered."""
    pipeline.queue_message()
    modem = factories.modem(pipeline)
    modem.registered = Registration(3, 3, 5)
    async with pipeline.run_sender(modem):
        await pipeline.advance(5)
        assert pipeline.reply_states() == ["sent"]


async def test_sending_pauses_after_brownouts(pipeline, factories):
    """It resumes by itself."""
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 100)
    pipeline.brownout_guard.on_session_lost(pipeline.monotonic() - 99)
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 50)
    assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) is None
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 9)
    pipeline.brownout_guard.on_session_lost(pipeline.monotonic() - 8)
    pipeline.brownout_guard.on_message_sending(pipeline.monotonic() - 5)
    assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) == 300
    pipeline.queue_message()
    async with pipeline.run_sender(factories.modem(pipeline)):
        await pipeline.advance(295)
        assert pipeline.reply_states() == ["queued"]
        assert "sending is paused" in pipeline.events_of_kind("held")[0].message
        await pipeline.advance(10)
        assert pipeline.reply_states() == ["sent"]


async def test_brownout_guard_is_notified_before_each_body(pipeline, factories):
    """Two sessions that are lost right after a body count."""
    for expected in (None, 300):
        pipeline.queue_message()
        modem = factories.modem(pipeline)

        async def lose_line(_submit, modem=modem):
            await pipeline.advance(0.3)
            modem.lose_line()
            return OutcomeUnknown(modem.loss_reason)

        modem.plan("send", lose_line)
        async with pipeline.run_sender(modem):
            await pipeline.advance(2)
        assert pipeline.brownout_guard.on_session_lost(pipeline.monotonic()) == expected


async def test_reason_for_holding_is_shown_while_it_lasts(pipeline, factories):
    """`status` shows it."""
    modem = factories.modem(pipeline)
    sender = pipeline.make_sender(modem)
    task = asyncio.create_task(sender.run())
    await pipeline.advance(1)
    assert sender.blocked_by == ""
    modem.registered = Registration(2)
    pipeline.queue_message()
    pipeline.reply_queued.set()
    await pipeline.advance(1)
    assert sender.blocked_by == "searching: messages wait for a network"
    modem.registered = Registration(1)
    await pipeline.advance(20)
    assert sender.blocked_by == ""
    modem.lose_line()
    await task
