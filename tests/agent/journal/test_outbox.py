import pytest

import pdu
from agent.journal.journal import DAY_S
from agent.journal.outbox import REPORT_WAIT_S
from agent.journal.rows import Outgoing


def queue(desk, *texts, destination="2936"):
    return desk.outbox.queue([Outgoing(destination, pdu.UserData.of(text), 1, 1) for text in texts])


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
    desk.outbox.queue([Outgoing("000", data, 1, 1)])
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


# The cap and the age


def sent_at(desk, reply, ago):
    """One that left so many seconds ago, by running time."""
    desk.outbox.sending(reply)
    desk.outbox.sent(reply, None)
    desk.journal.connection.execute(
        "UPDATE replies SET sent_running = ? WHERE id = ?", (desk.journal.now().running - ago, reply)
    )


@pytest.mark.parametrize(
    ("left", "kept"),
    [
        ([0, 10, 20], True),  # full now
        ([0, 10], False),  # one less than the cap: never full
        ([DAY_S - 1, DAY_S - 2, 0], True),  # a second less than a day from the first to the last
        ([DAY_S, DAY_S - 2, 0], False),  # the first had left a day ago when the last left
        ([2 * DAY_S, DAY_S + 10, 0], False),  # three in two days
        ([1.5 * DAY_S, 1.2 * DAY_S, 0.6 * DAY_S], True),  # full for a while, not any more
        ([1.9 * DAY_S, 1.9 * DAY_S, 1.8 * DAY_S], True),  # full before it was queued, and then
        ([2 * DAY_S + 3, 2 * DAY_S + 3, 2 * DAY_S + 3], False),  # full until the moment before
        ([2 * DAY_S, 2 * DAY_S, 2 * DAY_S], True),  # full until a second after
    ],
)
def test_the_cap_has_kept_it_back_or_not(desk, left, kept):
    """Queued a day and a second ago; three a day. Exactly where the cap was reached while it waited."""
    desk.pass_time(3 * DAY_S)
    others = queue(desk, *["other"] * len(left))
    [waiting] = queue(desk, "late")
    desk.pass_time(DAY_S + 1)
    for reply, ago in zip(others, left, strict=True):
        sent_at(desk, reply, ago)
    assert [row.id for row in desk.outbox.too_old(DAY_S, 3)] == ([] if kept else [waiting])


def test_each_message_is_judged_by_itself(desk):
    """The cap that kept the older one back was over when the younger one came."""
    desk.pass_time(3 * DAY_S)
    for reply in queue(desk, *["other"] * 3):
        sent_at(desk, reply, DAY_S - 100)
    [older] = queue(desk, "older")
    desk.pass_time(200)
    [younger] = queue(desk, "younger")
    desk.pass_time(DAY_S + 1)
    assert [row.id for row in desk.outbox.too_old(DAY_S, 3)] == [younger]
    desk.pass_time(DAY_S)
    assert [row.id for row in desk.outbox.too_old(DAY_S, 3)] == [older, younger]


@pytest.mark.parametrize("cap", [10, 1], ids=["not kept back", "kept back"])
def test_the_limit_to_the_second(desk, cap):
    """A message as old as the limit is still sent; kept back, it has a day more to the second."""
    [other, waiting] = queue(desk, "other", "waiting")
    desk.outbox.sending(other)
    desk.outbox.sent(other, None)
    limit = 600 + (DAY_S if cap == 1 else 0)
    desk.pass_time(limit)
    assert desk.outbox.too_old(600, cap) == []
    desk.pass_time(0.5)
    assert [row.id for row in desk.outbox.too_old(600, cap)] == [waiting]


@pytest.mark.parametrize(("wall", "running"), [(400 * DAY_S, 60.0), (60.0, 400 * DAY_S), (-DAY_S, DAY_S)])
def test_a_jumping_clock_gives_up_nothing(desk, wall, running):
    """Both clocks must say that it is old."""
    queue(desk, "waiting")
    desk.wall += wall
    desk.monotonic += running
    assert desk.outbox.too_old(3600, 200) == []


# Status reports


def send(desk, text, reference, destination="2936"):
    [reply] = queue(desk, text, destination=destination)
    desk.outbox.sending(reply)
    desk.outbox.sent(reply, reference)
    return reply


def test_the_reference_comes_again_within_hours(desk, make):
    """The report names when the service centre took the message: that tells which of the two it means."""
    old = send(desk, "old", 7)
    taken = desk.wall
    desk.pass_time(3 * 3600)
    new = send(desk, "new", 7)
    assert desk.keep(make.report(7, 0x00, at=taken + 3)).reply == old
    assert [state(desk, each)[0] for each in (old, new)] == ["delivered", "sent"]
    assert desk.keep(make.report(7, 0x46, at=desk.wall + 3)).reply == new
    assert [state(desk, each)[0] for each in (old, new)] == ["delivered", "failed"]


@pytest.mark.parametrize("wrong", [-400 * DAY_S, 400 * DAY_S])
def test_a_wrong_clock_tells_nothing_of_a_report(desk, make, wrong):
    """Then it is the newest that no report has settled."""
    true = desk.wall
    desk.wall += wrong
    old, new = send(desk, "old", 7), send(desk, "new", 7)
    assert desk.keep(make.report(7, at=true)).reply == new
    assert desk.keep(make.report(7, at=true)).reply == old


def test_a_report_that_comes_twice_changes_nothing(desk, make):
    """The network delivers it again where the acknowledgement was lost."""
    other = send(desk, "other", 7)
    desk.pass_time(3600)
    reply = send(desk, "on", 7)
    for _ in range(2):
        assert desk.keep(make.report(7, at=desk.wall)).reply == reply
    assert [state(desk, each)[0] for each in (other, reply)] == ["sent", "delivered"]


def test_one_reference_at_two_destinations(desk, make):
    """Each report goes to its own."""
    one, two = send(desk, "a", 7, "2936"), send(desk, "b", 7, "+15550001234")
    assert desk.keep(make.report(7, recipient="+15550001234")).reply == two
    assert desk.keep(make.report(7, recipient="2936")).reply == one


@pytest.mark.parametrize(
    ("sent_to", "told"), [("+15550001234", "15550001234"), ("15550001234", "+15550001234")]
)
def test_a_number_may_come_back_written_another_way(desk, make, sent_to, told):
    """Networks name the recipient with or without a plus."""
    assert desk.keep(make.report(7, recipient=told)).reply is None
    reply = send(desk, "a", 7, sent_to)
    assert desk.keep(make.report(7, recipient=told)).reply == reply


def test_a_report_of_a_message_of_an_earlier_life(desk, make):
    """Its row is there; one that was being sent has no reference, so its report is only kept."""
    reply = send(desk, "a", 7)
    [cut] = queue(desk, "b")
    desk.outbox.sending(cut)
    desk.restart()
    desk.outbox.interrupted()
    assert desk.keep(make.report(7)).reply == reply
    assert desk.keep(make.report(8)).reply is None
    assert state(desk, cut)[0] == "unknown"
    assert desk.column("SELECT count(*) FROM reports") == [2]


def test_a_report_from_before_the_body_left_is_of_another_message(desk, make):
    """A message may wait for hours; a report with its later reference that comes meanwhile is no sign."""
    [reply] = queue(desk, "on")
    desk.pass_time(3600)
    desk.keep(make.report(42))
    desk.pass_time(3600)
    desk.outbox.sending(reply)
    desk.outbox.sent(reply, 42)
    assert state(desk, reply)[0] == "sent"
