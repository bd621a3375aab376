"""Storing messages, and the states of a Command from its arrival to its end."""

import pytest

import pdu
from agent.journal.models import OutgoingMessage, StoreOutcome
from agent.journal.timestamps import DAY_S

SLOT = ("ME", 3)
OTHER_SID = "HC" + "f" * 32


def test_new_command_is_pending(journal_env, factories):
    """It survives a restart, with everything that its handler is given."""
    kept = journal_env.store(factories.command("led on"))
    assert kept.outcome is StoreOutcome.NEW
    journal_env.restart()
    [row] = journal_env.inbox.list_pending()
    assert (row.id, row.sid, row.sender, row.body, row.mode) == (
        kept.command_id, factories.command().sid, "2936", "led on", "text",
    )  # fmt: skip
    assert row.timestamp == factories.command().timestamp
    assert row.attempts == 0


def test_binary_body_is_kept_exactly(journal_env, factories):
    """Every octet value survives."""
    journal_env.store(factories.command(bytes(range(140)), sid=None))
    [row] = journal_env.inbox.list_pending()
    assert row.body == bytes(range(140))
    assert row.mode == "binary"


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufffd", "\U0001f600", "a" * 10_000])
def test_any_text_is_kept_exactly(journal_env, factories, text):
    """NUL characters and other rare text are stored unchanged."""
    journal_env.store(factories.command(text))
    assert journal_env.inbox.list_pending()[0].body == text


def test_message_in_the_same_slot_is_already_stored(journal_env, factories):
    """After a crash between commit and delete the slot still holds it, whatever the deduplication setting."""
    journal_env.dedup_without_sid = False
    journal_env.restart()
    message = factories.command(sid=None, identity=None, at=None)
    assert journal_env.store(message, SLOT, "AA").outcome is StoreOutcome.NEW
    journal_env.restart()
    assert journal_env.store(message, SLOT, "AA").outcome is StoreOutcome.ALREADY_STORED
    assert journal_env.store(message, SLOT, "BB").outcome is StoreOutcome.NEW
    assert journal_env.store(message, ("SM", 3), "AA").outcome is StoreOutcome.NEW


@pytest.mark.parametrize(("before", "after"), [("", "ME"), ("ME", "")])
def test_slot_is_recognised_without_the_name_of_its_store(journal_env, factories, before, after):
    """A module may report the name in one session only: nothing is run twice because of that."""
    journal_env.dedup_without_sid = False
    journal_env.restart()
    message = factories.command(sid=None, identity=None, at=None)
    assert journal_env.store(message, (before, 1), "AA").outcome is StoreOutcome.NEW
    journal_env.restart()
    assert journal_env.store(message, (after, 1), "AA").outcome is StoreOutcome.ALREADY_STORED
    assert journal_env.store(message, (after, 2), "AA").outcome is StoreOutcome.NEW
    journal_env.inbox.mark_slot_free(("ME", 1))
    journal_env.inbox.mark_slot_free(("", 1))
    assert journal_env.store(message, (after, 1), "AA").outcome is StoreOutcome.NEW


def test_freed_slot_can_hold_the_same_pdu_again(journal_env, factories):
    """The index is used again at once: the same octets in it are another delivery."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.DUPLICATE
    journal_env.restart()
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.ALREADY_STORED


def test_freed_slot_is_written_with_the_next_commit(journal_env, factories):
    """It needs no commit of its own."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    assert journal_env.query_column("SELECT count(*) FROM slots") == [1]
    journal_env.store(factories.command(sid=OTHER_SID), ("ME", 4), "BB")
    assert journal_env.query_column("SELECT slot FROM slots") == [4]


def test_close_writes_freed_slots(journal_env, factories):
    """So the same octets in that slot count as another delivery at the next start."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    journal_env.journal.close()
    journal_env.open()
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.DUPLICATE


def test_command_id_is_not_reused(journal_env, factories):
    """Not even after its row is pruned: a running Command cannot be confused with another."""
    first = journal_env.store(factories.command()).command_id
    journal_env.inbox.finish(first, "done")
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    assert journal_env.query_column("SELECT count(*) FROM commands") == [0]
    assert journal_env.store(factories.command(sid=OTHER_SID, at=journal_env.wall)).command_id == first + 1


def test_running_command_is_found_after_a_restart(journal_env, factories):
    """The row has its handler and whether that may run again."""
    kept = journal_env.store(factories.command())
    journal_env.inbox.mark_running(kept.command_id, "led", repeatable=True)
    journal_env.restart()
    assert journal_env.inbox.list_pending() == []
    [row] = journal_env.inbox.list_running()
    assert (row.attempts, row.handler, row.repeatable) == (1, "led", True)
    journal_env.inbox.requeue(row.id, "interrupted")
    assert journal_env.inbox.list_pending()[0].attempts == 1


def test_times_of_start_and_last_duplicate_are_kept(journal_env, factories):
    """Of the last start and of the last duplicate; a start clears what an earlier run wrote."""
    journal_env.store(factories.command())
    for _ in range(2):
        journal_env.advance(60)
        journal_env.inbox.mark_running(1, "led", repeatable=True)
        assert journal_env.query_column("SELECT stderr FROM commands") == [None]
        journal_env.inbox.requeue(1, "later", stderr="busy")
        assert journal_env.query_column("SELECT stderr FROM commands") == ["busy"]
    started = journal_env.wall
    journal_env.advance(60)
    journal_env.store(factories.command())
    assert journal_env.query_column("SELECT started_wall FROM commands") == [started]
    assert journal_env.query_column("SELECT duplicate_wall FROM commands") == [journal_env.wall]


def test_end_time_is_set_only_at_the_end(journal_env, factories):
    """A Command that is stored as expired has ended at once; a received one has not."""
    journal_env.store(factories.command())
    journal_env.inbox.store(None, "01", lambda _: factories.command(sid=OTHER_SID), run=False)
    journal_env.advance(60)
    assert journal_env.query_column("SELECT state FROM commands") == ["received", "expired"]
    assert journal_env.query_column("SELECT ended_wall FROM commands") == [None, journal_env.wall - 60]
    journal_env.inbox.finish(1, "done")
    assert journal_env.query_column("SELECT ended_wall FROM commands") == [
        journal_env.wall,
        journal_env.wall - 60,
    ]


def test_end_and_reply_are_one_commit(journal_env, factories):
    """A reply that cannot be written leaves the Command running."""
    kept = journal_env.store(factories.command())
    journal_env.inbox.mark_running(kept.command_id, "led", repeatable=False)
    good = OutgoingMessage("2936", pdu.UserData.of("on"), 1, 1)
    bad = OutgoingMessage("2936", pdu.UserData.of("on"), None, 1)
    with pytest.raises(Exception, match="NOT NULL"):
        journal_env.inbox.finish(kept.command_id, "done", None, [good, bad])
    assert journal_env.query_column("SELECT state FROM commands") == ["running"]
    assert journal_env.outbox.next_queued() is None
    journal_env.inbox.finish(kept.command_id, "done", None, [good])
    assert journal_env.outbox.next_queued().user_data.text == "on"


def test_uptime_adds_up_over_starts(journal_env, factories):
    """So thirty days pass on a device that starts every hour."""
    for _ in range(3):
        journal_env.advance(1000)
        journal_env.store(factories.ignored())
        journal_env.restart()
    assert journal_env.journal.now().uptime == pytest.approx(3000)
