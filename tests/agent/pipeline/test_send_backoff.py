"""Backoff by destination and for all messages, and messages that are given up."""

import sqlite3

import pytest

from agent.journal.timestamps import DAY_S
from agent.modem.sending import NotSent, Refused


def reasons(pipeline):
    return pipeline.query_column("SELECT reason FROM replies ORDER BY id")


async def test_backoff_of_one_destination_blocks_no_other(pipeline, factories):
    """Messages to the same destination keep their order."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one", "2936")
    pipeline.queue_message("two", "2936")
    pipeline.queue_message("three", "+15557654321")
    modem.plan("send", Refused(factories.refused(38, after_body=True)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(5)
        assert modem.sent_contents == ["one", "three"]
        pipeline.queue_message("four", "+15557654321")
        pipeline.reply_queued.set()
        await pipeline.advance(5)
        assert modem.sent_contents == ["one", "three", "four"]
        await pipeline.advance(60)
        assert modem.sent_contents == ["one", "three", "four", "one", "two"]
    assert pipeline.reply_states() == ["sent"] * 4


async def test_shortest_of_several_backoffs_ends_first(pipeline, factories):
    """A destination that waits for a minute does not delay one that waits for seconds."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one", "2936")
    pipeline.queue_message("two", "+15557654321")
    modem.plan("send", Refused(factories.refused(38, after_body=True)), NotSent("no prompt came"))
    async with pipeline.run_sender(modem):
        await pipeline.advance(20)
        assert modem.sent_contents == ["one", "two"]
        await pipeline.advance(60)
    assert modem.sent_contents == ["one", "two", "one"]


@pytest.mark.parametrize("code", [21, 330, 310])
async def test_refusal_by_sim_or_module_holds_all_destinations(pipeline, factories, code):
    """Another destination would be refused as well, so no attempt is spent on it."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("one", "2936")
    pipeline.queue_message("two", "+15557654321")
    modem.plan("send", Refused(factories.refused(code, after_body=True)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(30)
        assert modem.sent_contents == ["one"]
        await pipeline.advance(4000)
    assert modem.sent_contents[0:3] == ["one", "one", "two"]


async def test_new_session_shortens_no_backoff(pipeline, factories):
    """A reconnect does not lead to more attempts."""
    pipeline.queue_message("one")
    modem = factories.modem(pipeline)
    modem.plan("send", Refused(factories.refused(38, after_body=True)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    later = factories.modem(pipeline)
    async with pipeline.run_sender(later):
        await pipeline.advance(50)
        assert later.sent_contents == []
        await pipeline.advance(15)
        assert later.sent_contents == ["one"]


async def test_start_waits_by_the_attempts_in_the_journal(pipeline, factories):
    """The attempts themselves may crash the agent. The wait is at most a minute, and other messages do not
    wait."""
    pipeline.queue_message("one")
    for _ in range(6):
        pipeline.outbox_store.mark_sending(1)
        pipeline.outbox_store.requeue(1, "gone", count_attempt=False)
    pipeline.queue_message("two", "+15557654321")
    pipeline.restart()
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem):
        await pipeline.advance(2)
        assert modem.sent_contents == ["two"]
        await pipeline.advance(60)
        assert modem.sent_contents == ["two", "one"]


async def test_expired_reply_is_not_sent(pipeline, factories):
    """After a day without a network, over several sessions, it has failed. Later replies are sent."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("old")
    modem.defaults["send"] = NotSent("no network")
    async with pipeline.run_sender(modem):
        await pipeline.advance(DAY_S - 60)
    pipeline.restart()
    pipeline.journal._uptime_base += 120
    pipeline.clock_error_s += 120
    pipeline.queue_message("young")
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem):
        await pipeline.advance(200)
    assert pipeline.reply_states()[1] == "sent"
    assert "old" not in modem.sent_contents


@pytest.mark.parametrize(("limit", "duration"), [(3600.0, "1 h"), (DAY_S, "24 h")])
async def test_max_answer_age_is_configurable(pipeline, factories, limit, duration):
    """A message of any origin fails when its time is over, not only at the next attempt."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("old")
    modem.plan("send", Refused(factories.refused(21, after_body=True)))
    modem.defaults["send"] = Refused(factories.refused(21, after_body=True))
    async with pipeline.run_sender(modem, max_answer_age_s=limit):
        await pipeline.advance(limit - 100)
        assert pipeline.reply_states() == ["queued"]
        await pipeline.advance(110)
        assert pipeline.reply_states() == ["failed"]
        assert pipeline.settled_count == 1
    assert reasons(pipeline)[0].startswith(f"not sent within {duration}, given up; ")
    assert "+CMS ERROR: 21" in reasons(pipeline)[0]
    assert pipeline.events_of_kind("failed")[0].reply_id == 1


@pytest.mark.parametrize(("wall_jump", "uptime_jump"), [(400 * DAY_S, 0), (0, 400 * DAY_S)])
async def test_clock_jump_expires_no_reply(pipeline, factories, wall_jump, uptime_jump):
    """The smaller of the two differences counts: neither clock alone can expire a reply."""
    pipeline.queue_message("one")
    pipeline.clock_error_s += wall_jump
    pipeline.journal._uptime_base += uptime_jump
    modem = factories.modem(pipeline)
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
    assert modem.sent_contents == ["one"]


async def test_reply_held_by_the_daily_limit_gets_another_day(pipeline, factories):
    """The daily limit drops no reply for a day, but a loop of replies ends."""
    modem = factories.modem(pipeline)
    for number in range(10):
        pipeline.queue_message(f"{number}")
    async with pipeline.run_sender(modem, max_per_day=3, max_per_minute=1000):
        await pipeline.advance(3 * DAY_S)
    assert modem.sent_contents == ["0", "1", "2", "3", "4", "5"]
    assert pipeline.reply_states() == ["sent"] * 6 + ["failed"] * 4


async def test_held_reply_has_a_reason(pipeline, factories):
    """The outbox shows it at the message that is next."""
    modem = factories.modem(pipeline)
    for number in range(3):
        pipeline.queue_message(f"{number}")
    async with pipeline.run_sender(modem, max_per_minute=1):
        await pipeline.advance(3)
        assert reasons(pipeline)[1] == "waiting: the rate limit of 1 messages a minute is reached"


async def test_backoff_is_described(pipeline, factories):
    """The text names the destination, the reason and the time of the next attempt."""
    pipeline.queue_message("one")
    modem = factories.modem(pipeline)
    modem.plan("send", Refused(factories.refused(38, after_body=True)))
    async with pipeline.run_sender(modem):
        await pipeline.advance(10)
        held = pipeline.make_sender(modem).blocked_by
    assert held.startswith("2936: ")
    assert "+CMS ERROR: 38" in held
    assert held.endswith("next attempt in 49 s")


async def test_uncertain_change_to_sending_is_undone(pipeline, factories, monkeypatch):
    """The commit raised an error but reached the disk. The message is sent later, once."""
    pipeline.queue_message("one")
    modem = factories.modem(pipeline)
    mark_sending = pipeline.outbox_store.mark_sending
    failing = [True]

    def commit_and_raise(reply):
        mark_sending(reply)
        if failing:
            failing.clear()
            raise sqlite3.OperationalError("disk I/O error")

    # tests/agent/journal/test_io_errors.py has the real errors that lead to this.
    monkeypatch.setattr(pipeline.outbox_store, "mark_sending", commit_and_raise)
    async with pipeline.run_sender(modem):
        await pipeline.advance(1)
        assert (modem.sent_contents, pipeline.reply_states()) == ([], ["sending"])
        await pipeline.advance(200)
    assert modem.sent_contents == ["one"]
    assert pipeline.reply_states() == ["sent"]


async def test_given_up_message_releases_its_destination(pipeline, factories):
    """The next message to the same destination is sent at once, however long the backoff was."""
    modem = factories.modem(pipeline)
    pipeline.queue_message("old")
    modem.plan("send", *[Refused(factories.refused(38, after_body=True))] * 2)
    async with pipeline.run_sender(modem, max_answer_age_s=100):
        await pipeline.advance(90)
        assert modem.sent_contents == ["old", "old"]
        pipeline.queue_message("new")
        await pipeline.advance(15)
        assert modem.sent_contents == ["old", "old", "new"]
    assert pipeline.reply_states() == ["failed", "sent"]
