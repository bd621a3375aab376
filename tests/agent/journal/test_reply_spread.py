"""Replies that wait, so that not all devices reply at once."""

import random

import pytest

import pdu
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import OutboxStore
from agent.journal.reply_spread import ReplySpread

SPREAD_S = 120.0
ICCID = "89883070000000000018"
SIDS = [f"HC{number:032x}" for number in range(500)]


@pytest.fixture
def spread_env(journal_env, factories):
    """A journal whose replies are spread, and the function that queues the reply to a Command."""

    def queue_reply(sid, texts=("on",)):
        stored = journal_env.store(factories.command(sid=sid))
        replies = [
            OutgoingMessage("000", pdu.UserData.of(text), number, len(texts))
            for number, text in enumerate(texts, 1)
        ]
        journal_env.inbox.finish(stored.command_id, "done", None, replies)

    journal_env.outbox._reply_spread = ReplySpread(SPREAD_S, random.Random(1))
    journal_env.queue_reply = queue_reply
    return journal_env


def spread_of(env):
    return env.query_column("SELECT spread_s FROM replies ORDER BY id")


def test_wait_follows_from_sim_and_command():
    """Another generator gives the same wait; another SIM or Command gives another one."""
    first, second = (ReplySpread(SPREAD_S, random.Random(seed)) for seed in (1, 2))
    assert first.delay_s(ICCID, SIDS[0]) == second.delay_s(ICCID, SIDS[0])
    assert len({first.delay_s(iccid, sid) for iccid in (ICCID, ICCID[:-1] + "9") for sid in SIDS}) == 1000


def test_waits_are_spread_evenly():
    """Each tenth of the time gets about a tenth of the replies."""
    spread = ReplySpread(SPREAD_S, random.Random(1))
    tenths = [int(spread.delay_s(ICCID, sid) / SPREAD_S * 10) for sid in SIDS]
    assert set(tenths) == set(range(10))
    assert max(map(tenths.count, range(10))) < 80


def test_sims_without_iccid_differ():
    """A SIM that does not report its ICCID gets a random wait, the same for all parts of a reply."""
    first, second = (ReplySpread(SPREAD_S, random.Random(seed)) for seed in (1, 2))
    assert first.delay_s("", SIDS[0]) == first.delay_s("", SIDS[0]) != second.delay_s("", SIDS[0])


def test_reply_waits_for_its_spread(spread_env):
    """It is not the next message before; then it is."""
    spread_env.queue_reply(SIDS[0])
    (spread_s,) = spread_of(spread_env)
    assert 0 < spread_s < SPREAD_S
    assert spread_env.outbox.next_queued() is None
    assert spread_env.outbox.spread_left_s() == pytest.approx(spread_s)
    spread_env.advance(spread_s + 0.001)
    assert spread_env.outbox.next_queued() is not None
    assert spread_env.outbox.spread_left_s() is None


def test_restart_keeps_the_wait(spread_env):
    """The next process waits for the same time and does not draw again."""
    spread_env.queue_reply(SIDS[0])
    before = spread_of(spread_env)
    spread_env.restart()
    assert spread_of(spread_env) == before
    assert spread_env.outbox.next_queued() is None
    spread_env.advance(SPREAD_S)
    assert spread_env.outbox.next_queued() is not None


def test_parts_of_a_reply_wait_together(spread_env):
    """They leave one after the other, in order."""
    spread_env.queue_reply(SIDS[0], texts=("one", "two", "three"))
    assert len(set(spread_of(spread_env))) == 1


def test_messages_that_answer_no_command_do_not_wait(spread_env):
    """`modem-agent send` is not delayed, also while a reply waits."""
    spread_env.queue_reply(SIDS[0])
    spread_env.outbox.enqueue([OutgoingMessage("000", pdu.UserData.of("by hand"), 1, 1)])
    assert spread_env.outbox.next_queued().user_data.text == "by hand"


def test_network_that_comes_back_starts_the_wait_again(spread_env):
    """All devices of a cell come back at once, and the replies of all have waited long enough by then."""
    spread_env.queue_reply(SIDS[0])
    (spread_s,) = spread_of(spread_env)
    spread_env.advance(3600)
    spread_env.outbox.restart_spread()
    assert spread_env.outbox.next_queued() is None
    assert spread_env.outbox.spread_left_s() == pytest.approx(spread_s)


def test_no_spread_without_setting(journal_env, factories):
    """The default is no wait."""
    stored = journal_env.store(factories.command())
    outbox = OutboxStore(journal_env.journal, ReplySpread(0.0, random.Random(1)))
    journal_env.inbox._outbox = outbox
    journal_env.inbox.finish(
        stored.command_id, "done", None, [OutgoingMessage("000", pdu.UserData.of("on"), 1, 1)]
    )
    assert outbox.next_queued() is not None
