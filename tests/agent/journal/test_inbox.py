"""What a message is kept as, and a Command from its arrival to its end."""

import pytest

import pdu
from agent.journal.journal import DAY_S
from agent.journal.models import OutgoingMessage, StoreOutcome

SLOT = ("ME", 3)
OTHER_SID = "HC" + "f" * 32


def test_a_new_command_waits_to_be_run(journal_env, factories):
    """It is there after a restart, with everything that a handler is shown."""
    kept = journal_env.store(factories.command("led on"))
    assert kept.outcome is StoreOutcome.NEW
    journal_env.restart()
    [row] = journal_env.inbox.list_pending()
    assert (row.id, row.sid, row.sender, row.body, row.mode) == (
        kept.command_id, factories.command().sid, "2936", "led on", "text",
    )  # fmt: skip
    assert row.timestamp == factories.command().timestamp
    assert row.attempts == 0


def test_a_binary_body_stays_octets(journal_env, factories):
    """Every octet value survives."""
    journal_env.store(factories.command(bytes(range(140)), sid=None))
    [row] = journal_env.inbox.list_pending()
    assert row.body == bytes(range(140))
    assert row.mode == "binary"


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufffd", "\U0001f600", "a" * 10_000])
def test_any_text_survives(journal_env, factories, text):
    """Also what databases like to stumble over."""
    journal_env.store(factories.command(text))
    assert journal_env.inbox.list_pending()[0].body == text


def test_what_is_committed_but_not_deleted_is_known_by_its_slot(journal_env, factories):
    """After a crash between commit and delete the slot still holds it: known, whatever the setting."""
    journal_env.dedup_without_sid = False
    journal_env.restart()
    message = factories.command(sid=None, identity=None, at=None)
    assert journal_env.store(message, SLOT, "AA").outcome is StoreOutcome.NEW
    journal_env.restart()
    assert journal_env.store(message, SLOT, "AA").outcome is StoreOutcome.ALREADY_STORED
    assert journal_env.store(message, SLOT, "BB").outcome is StoreOutcome.NEW
    assert journal_env.store(message, ("SM", 3), "AA").outcome is StoreOutcome.NEW


@pytest.mark.parametrize(("before", "after"), [("", "ME"), ("ME", "")])
def test_a_slot_is_known_although_its_store_has_no_name(journal_env, factories, before, after):
    """A module may refuse to tell it in one session and tell it in the next: nothing runs twice by that."""
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


def test_a_slot_that_was_freed_holds_what_comes_next(journal_env, factories):
    """The index is used again at once: the same octets there are another delivery, not the old message."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.DUPLICATE
    journal_env.restart()
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.ALREADY_STORED


def test_freeing_costs_no_commit_of_its_own(journal_env, factories):
    """It is written along with the next one."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    assert journal_env.query_column("SELECT count(*) FROM slots") == [1]
    journal_env.store(factories.command(sid=OTHER_SID), ("ME", 4), "BB")
    assert journal_env.query_column("SELECT slot FROM slots") == [4]


def test_a_clean_stop_notes_what_was_freed(journal_env, factories):
    """So that the same octets in that slot count as another delivery at the next start."""
    journal_env.store(factories.command(), SLOT, "AA")
    journal_env.inbox.mark_slot_free(SLOT)
    journal_env.journal.close()
    journal_env.open()
    assert journal_env.store(factories.command(), SLOT, "AA").outcome is StoreOutcome.DUPLICATE


def test_a_number_is_not_given_again(journal_env, factories):
    """Not even where its text is forgotten: what runs by that number is not mistaken for another."""
    first = journal_env.store(factories.command()).command_id
    journal_env.inbox.finish(first, "done")
    journal_env.advance(32 * DAY_S)
    journal_env.prune()
    assert journal_env.query_column("SELECT count(*) FROM commands") == [0]
    assert journal_env.store(factories.command(sid=OTHER_SID, at=journal_env.wall)).command_id == first + 1


def test_running_is_committed_before_and_found_after(journal_env, factories):
    """A Command that was running when the agent ended is found as such, with its handler's promise."""
    kept = journal_env.store(factories.command())
    journal_env.inbox.mark_running(kept.command_id, "led", repeatable=True)
    journal_env.restart()
    assert journal_env.inbox.list_pending() == []
    [row] = journal_env.inbox.list_interrupted()
    assert (row.attempts, row.handler, row.repeatable) == (1, "led", True)
    journal_env.inbox.requeue(row.id, "interrupted")
    assert journal_env.inbox.list_pending()[0].attempts == 1


def test_only_what_has_ended_says_when(journal_env, factories):
    """A Command that is kept as expired has ended at once; one that waits has not."""
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


def test_the_end_and_the_reply_are_one_commit(journal_env, factories):
    """Either both stand or neither: a reply that cannot be written leaves the Command running."""
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


def test_running_time_adds_up_over_starts(journal_env, factories):
    """It is what makes thirty days of a device that starts every hour."""
    for _ in range(3):
        journal_env.advance(1000)
        journal_env.store(factories.stray())
        journal_env.restart()
    assert journal_env.journal.now().uptime == pytest.approx(3000)
