import pytest

import pdu
from agent.journal.journal import DAY_S
from agent.journal.outbox import REPORT_WAIT_S
from agent.journal.rows import Outgoing


def queue(desk, *texts, destination="2936"):
    return desk.outbox.queue([Outgoing(destination, pdu.UserData.of(text)) for text in texts])


def state(desk, reply):
    return desk.outbox.states([reply])[0]


def test_messages_leave_in_the_order_they_were_queued(desk):
    """The oldest first; what is under way or ended is not offered again."""
    first, second = queue(desk, "one", "two")
    assert desk.outbox.next().id == first
    desk.outbox.sending(first)
    assert desk.outbox.next().id == second
    desk.outbox.back(first, "refused", attempted=False)
    assert desk.outbox.next().id == first


@pytest.mark.parametrize("content", ["led {on}", "", "\u20ac\U0001f600", bytes(range(140))])
def test_what_is_queued_is_what_is_sent(desk, content):
    """Alphabet, octets and length survive a restart."""
    data = pdu.UserData.of(content)
    desk.outbox.queue([Outgoing("000", data)])
    desk.restart()
    assert desk.outbox.next().user_data == data


def test_attempts_are_counted_on_disk(desk):
    """Once for each body that may have left, and for each try before it."""
    [reply] = queue(desk, "on")
    desk.outbox.sending(reply)
    desk.outbox.back(reply, "refused", attempted=False)
    desk.outbox.back(reply, "no prompt", attempted=True)
    desk.restart()
    assert desk.outbox.next().attempts == 2


def test_sending_at_the_start_is_unknown(desk):
    """The agent ended while the body may have left: it is left alone."""
    first, second = queue(desk, "one", "two")
    desk.outbox.sending(first)
    desk.restart()
    assert desk.outbox.interrupted() == [first]
    assert state(desk, first)[0] == "unknown"
    assert desk.outbox.next().id == second
    assert desk.outbox.interrupted() == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0x00, "delivered"),
        (0x01, "delivered"),
        (0x25, "sent"),
        (0x30, "sent"),
        (0x46, "failed"),
        (0x65, "failed"),
    ],
)
def test_a_report_tells_the_fate(desk, make, status, expected):
    """Delivered, still trying, or given up (23.040 9.2.3.15)."""
    [reply] = queue(desk, "on")
    desk.outbox.sending(reply)
    desk.outbox.sent(reply, 42)
    assert desk.keep(make.report(42, status)).reply == reply
    assert state(desk, reply)[0] == expected


def test_a_report_fits_reference_recipient_and_time(desk, make):
    """The newest message with that reference to that number in the last days, no other."""
    old, other, new = queue(desk, "a")[0], queue(desk, "b", destination="000")[0], queue(desk, "c")[0]
    for reply in (old, other, new):
        desk.outbox.sending(reply)
        desk.outbox.sent(reply, 42)
    assert desk.keep(make.report(42)).reply == new
    assert desk.keep(make.report(41)).reply is None
    assert [state(desk, reply)[0] for reply in (old, other, new)] == ["sent", "sent", "delivered"]
    desk.pass_time(REPORT_WAIT_S + 1)
    assert desk.keep(make.report(42, recipient="000")).reply is None


def test_a_report_may_come_before_the_confirmation(desk, make):
    """It is kept and matched once the reference is known."""
    [reply] = queue(desk, "on")
    desk.outbox.sending(reply)
    assert desk.keep(make.report(42)).reply is None
    desk.outbox.sent(reply, 42)
    assert state(desk, reply)[0] == "delivered"


def test_an_old_report_is_not_taken_for_a_new_message(desk, make):
    """A stray report with the same reference from before the message was queued says nothing of it."""
    desk.keep(make.report(42))
    desk.pass_time(10)
    [reply] = queue(desk, "on")
    desk.outbox.sending(reply)
    desk.outbox.sent(reply, 42)
    assert state(desk, reply)[0] == "sent"


def test_limits_count_what_may_have_left(desk):
    """By running time: a clock that jumps lets nothing through."""
    for reply in queue(desk, "a", "b", "c"):
        desk.outbox.sending(reply)
    desk.outbox.sent(1, 1)
    desk.outbox.end(2, "unknown", "no result")
    desk.outbox.back(3, "refused", attempted=False)
    assert desk.outbox.sent_within(60) == 2
    desk.wall += DAY_S
    assert desk.outbox.sent_within(60) == 2
    desk.monotonic += 61
    assert desk.outbox.sent_within(60) == 0
    assert desk.outbox.sent_within(DAY_S) == 2


def test_what_waited_for_days_counts_from_the_moment_it_may_have_left(desk):
    """Whatever becomes of it; one that was refused has not left at all."""
    unknown, refused, again = queue(desk, "a", "b", "c")
    desk.pass_time(2 * DAY_S)
    for reply in (unknown, refused, again):
        desk.outbox.sending(reply)
    desk.outbox.end(unknown, "unknown", "no result")
    assert desk.outbox.sent_within(60) == 3
    desk.outbox.end(refused, "failed", "refused")
    desk.outbox.back(again, "busy", attempted=False)
    assert desk.outbox.sent_within(60) == 1
    rows = desk.journal.connection.execute("SELECT state, sent_wall IS NULL FROM replies ORDER BY id")
    assert rows.fetchall() == [("unknown", 0), ("failed", 1), ("queued", 1)]


def test_the_oldest_message_tells_how_long_to_wait(desk):
    """It is the first to become too old; what has met its fate waits no longer."""
    [first] = queue(desk, "one")
    desk.pass_time(100)
    [second] = queue(desk, "two")
    desk.pass_time(10)
    assert desk.outbox.oldest_age() == pytest.approx(110)
    desk.outbox.end(first, "failed", "refused")
    assert desk.outbox.oldest_age() == pytest.approx(10)
    desk.outbox.end(second, "failed", "refused")
    assert desk.outbox.oldest_age() is None


def test_only_the_cap_gives_a_message_another_day(desk):
    """What left long before it was queued kept nothing back, however much that was."""
    for reply in queue(desk, *["old"] * 10):
        desk.outbox.sending(reply)
        desk.outbox.sent(reply, None)
    desk.pass_time(3 * DAY_S)
    [waiting] = queue(desk, "late")
    desk.pass_time(DAY_S + 1)
    assert [row.id for row in desk.outbox.too_old(DAY_S, 10)] == [waiting]
    for reply in queue(desk, *["new"] * 10):
        desk.outbox.sending(reply)
        desk.outbox.sent(reply, None)
    assert desk.outbox.too_old(DAY_S, 10) == []
    desk.pass_time(DAY_S)
    assert [row.id for row in desk.outbox.too_old(DAY_S, 10)] == [waiting]


def test_a_cap_that_was_used_up_before_counts_as_well(desk):
    """What left in the day before a message was queued is what kept it back."""
    for reply in queue(desk, *["before"] * 10):
        desk.outbox.sending(reply)
        desk.outbox.sent(reply, None)
    desk.pass_time(3600)
    [waiting] = queue(desk, "late")
    desk.pass_time(DAY_S + 1)
    assert desk.outbox.too_old(DAY_S, 10) == []
    assert [row.id for row in desk.outbox.too_old(DAY_S, 11)] == [waiting]
