"""What a message is kept as, and a Command from its arrival to its end."""

import pytest

import pdu
from agent.journal.journal import DAY_S
from agent.journal.rows import Outcome, Outgoing

SLOT = ("ME", 3)
OTHER_SID = "HC" + "f" * 32


def test_a_new_command_waits_to_be_run(desk, make):
    """It is there after a restart, with everything that a handler is shown."""
    kept = desk.keep(make.command("led on"))
    assert kept.outcome is Outcome.NEW
    desk.restart()
    [row] = desk.inbox.waiting()
    assert (row.id, row.sid, row.sender, row.body, row.mode) == (
        kept.command, make.command().sid, "2936", "led on", "text",
    )  # fmt: skip
    assert row.timestamp == make.command().timestamp
    assert row.attempt == 0


def test_a_binary_body_stays_octets(desk, make):
    """Every octet value survives."""
    desk.keep(make.command(bytes(range(140)), sid=None))
    [row] = desk.inbox.waiting()
    assert row.body == bytes(range(140))
    assert row.mode == "binary"


@pytest.mark.parametrize("text", ["", "\0", "a\0b", "\ufffd", "\U0001f600", "a" * 10_000])
def test_any_text_survives(desk, make, text):
    """Also what databases like to stumble over."""
    desk.keep(make.command(text))
    assert desk.inbox.waiting()[0].body == text


def test_what_is_committed_but_not_deleted_is_known_by_its_slot(desk, make):
    """After a crash between commit and delete the slot still holds it: known, whatever the setting."""
    desk.dedup_without_sid = False
    desk.restart()
    message = make.command(sid=None, identity=None, at=None)
    assert desk.keep(message, SLOT, "AA").outcome is Outcome.NEW
    desk.restart()
    assert desk.keep(message, SLOT, "AA").outcome is Outcome.KNOWN
    assert desk.keep(message, SLOT, "BB").outcome is Outcome.NEW
    assert desk.keep(message, ("SM", 3), "AA").outcome is Outcome.NEW


@pytest.mark.parametrize(("before", "after"), [("", "ME"), ("ME", "")])
def test_a_slot_is_known_although_its_store_has_no_name(desk, make, before, after):
    """A module may refuse to tell it in one session and tell it in the next: nothing runs twice by that."""
    desk.dedup_without_sid = False
    desk.restart()
    message = make.command(sid=None, identity=None, at=None)
    assert desk.keep(message, (before, 1), "AA").outcome is Outcome.NEW
    desk.restart()
    assert desk.keep(message, (after, 1), "AA").outcome is Outcome.KNOWN
    assert desk.keep(message, (after, 2), "AA").outcome is Outcome.NEW
    desk.inbox.free(("ME", 1))
    desk.inbox.free(("", 1))
    assert desk.keep(message, (after, 1), "AA").outcome is Outcome.NEW


def test_a_slot_that_was_freed_holds_what_comes_next(desk, make):
    """The index is used again at once: the same octets there are another delivery, not the old message."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.DOUBLE
    desk.restart()
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.KNOWN


def test_freeing_costs_no_commit_of_its_own(desk, make):
    """It is written along with the next one."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    assert desk.column("SELECT count(*) FROM slots") == [1]
    desk.keep(make.command(sid=OTHER_SID), ("ME", 4), "BB")
    assert desk.column("SELECT slot FROM slots") == [4]


def test_a_clean_stop_notes_what_was_freed(desk, make):
    """So that the same octets in that slot count as another delivery at the next start."""
    desk.keep(make.command(), SLOT, "AA")
    desk.inbox.free(SLOT)
    desk.journal.close()
    desk.open()
    assert desk.keep(make.command(), SLOT, "AA").outcome is Outcome.DOUBLE


def test_a_number_is_not_given_again(desk, make):
    """Not even where its text is forgotten: what runs by that number is not mistaken for another."""
    first = desk.keep(make.command()).command
    desk.inbox.finish(first, "done")
    desk.pass_time(32 * DAY_S)
    desk.forget()
    assert desk.column("SELECT count(*) FROM commands") == [0]
    assert desk.keep(make.command(sid=OTHER_SID, at=desk.wall)).command == first + 1


def test_running_is_committed_before_and_found_after(desk, make):
    """A Command that was running when the agent ended is found as such, with its handler's promise."""
    kept = desk.keep(make.command())
    desk.inbox.begin(kept.command, "led", repeatable=True)
    desk.restart()
    assert desk.inbox.waiting() == []
    [row] = desk.inbox.interrupted()
    assert (row.attempt, row.handler, row.repeatable) == (1, "led", True)
    desk.inbox.again(row.id, "interrupted")
    assert desk.inbox.waiting()[0].attempt == 1


def test_only_what_has_ended_says_when(desk, make):
    """A Command that is kept as expired has ended at once; one that waits has not."""
    desk.keep(make.command())
    desk.inbox.keep(None, "01", lambda _: make.command(sid=OTHER_SID), run=False)
    desk.pass_time(60)
    assert desk.column("SELECT state FROM commands") == ["received", "expired"]
    assert desk.column("SELECT ended_wall FROM commands") == [None, desk.wall - 60]
    desk.inbox.finish(1, "done")
    assert desk.column("SELECT ended_wall FROM commands") == [desk.wall, desk.wall - 60]


def test_the_end_and_the_reply_are_one_commit(desk, make):
    """Either both stand or neither: a reply that cannot be written leaves the Command running."""
    kept = desk.keep(make.command())
    desk.inbox.begin(kept.command, "led", repeatable=False)
    good = Outgoing("2936", pdu.UserData.of("on"), 1, 1)
    bad = Outgoing("2936", pdu.UserData.of("on"), None, 1)
    with pytest.raises(Exception, match="NOT NULL"):
        desk.inbox.finish(kept.command, "done", None, [good, bad])
    assert desk.column("SELECT state FROM commands") == ["running"]
    assert desk.outbox.next() is None
    desk.inbox.finish(kept.command, "done", None, [good])
    assert desk.outbox.next().user_data.text == "on"


def test_running_time_adds_up_over_starts(desk, make):
    """It is what makes thirty days of a device that starts every hour."""
    for _ in range(3):
        desk.pass_time(1000)
        desk.keep(make.stray())
        desk.restart()
    assert desk.journal.now().running == pytest.approx(3000)
