import pytest
from hypothesis import given
from hypothesis import strategies as st

import pdu
from agent.journal.models import OutgoingMessage
from agent.journal.outbox import was_daily_cap_reached
from agent.journal.status_reports import REPORT_MATCH_WINDOW_S
from agent.journal.timestamps import DAY_S


def queue(env, *texts, destination="2936"):
    return env.outbox.enqueue([OutgoingMessage(destination, pdu.UserData.of(text), 1, 1) for text in texts])


def state(env, reply):
    return env.outbox.get_states([reply])[0]


def test_oldest_queued_message_is_next(journal_env):
    """A message that is being sent or has ended is not returned."""
    first, second = queue(journal_env, "one", "two")
    assert journal_env.outbox.next_queued().id == first
    journal_env.outbox.mark_sending(first)
    assert journal_env.outbox.next_queued().id == second
    journal_env.outbox.requeue(first, "refused", count_attempt=False)
    assert journal_env.outbox.next_queued().id == first


@pytest.mark.parametrize("content", ["led {on}", "", "\u20ac\U0001f600", bytes(range(140))])
def test_user_data_survives_a_restart(journal_env, content):
    """Alphabet, octets and length are the same."""
    data = pdu.UserData.of(content)
    journal_env.outbox.enqueue([OutgoingMessage("000", data, 1, 1)])
    journal_env.restart()
    assert journal_env.outbox.next_queued().user_data == data


def test_attempts_survive_a_restart(journal_env):
    """Each body that may have left counts, and each attempt that failed before it."""
    [reply] = queue(journal_env, "on")
    journal_env.outbox.mark_sending(reply)
    journal_env.outbox.requeue(reply, "refused", count_attempt=False)
    journal_env.outbox.requeue(reply, "no prompt", count_attempt=True)
    journal_env.restart()
    assert journal_env.outbox.next_queued().attempts == 2


def test_message_being_sent_at_a_crash_is_unknown(journal_env):
    """Its body may have left: it is not sent again."""
    first, second = queue(journal_env, "one", "two")
    journal_env.outbox.mark_sending(first)
    journal_env.restart()
    assert journal_env.query_column("SELECT sending_wall FROM replies") == [journal_env.wall, None]
    assert journal_env.outbox.close_interrupted() == [first]
    assert state(journal_env, first)[0] == "unknown"
    assert journal_env.outbox.next_queued().id == second
    assert journal_env.outbox.close_interrupted() == []


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
def test_status_report_sets_the_state(journal_env, factories, status, expected):
    """Delivered, still trying, or given up (23.040 9.2.3.15)."""
    [reply] = queue(journal_env, "on")
    journal_env.outbox.mark_sending(reply)
    journal_env.outbox.mark_sent(reply, 42)
    assert journal_env.store(factories.report(42, status)).reply_id == reply
    assert state(journal_env, reply)[0] == expected


def test_status_report_is_matched_by_reference_recipient_and_time(journal_env, factories):
    """It belongs to the newest message with that reference to that number in the last days."""
    old, other, new = (
        queue(journal_env, "a")[0],
        queue(journal_env, "b", destination="000")[0],
        queue(journal_env, "c")[0],
    )
    for reply in (old, other, new):
        journal_env.outbox.mark_sending(reply)
        journal_env.outbox.mark_sent(reply, 42)
    assert journal_env.store(factories.report(42)).reply_id == new
    assert journal_env.store(factories.report(41)).reply_id is None
    assert [state(journal_env, reply)[0] for reply in (old, other, new)] == ["sent", "sent", "delivered"]
    journal_env.advance(REPORT_MATCH_WINDOW_S + 1)
    assert journal_env.store(factories.report(42, recipient="000")).reply_id is None


def test_status_report_before_the_confirmation_is_matched_later(journal_env, factories):
    """It is stored, and matched when the reference is known."""
    [reply] = queue(journal_env, "on")
    journal_env.outbox.mark_sending(reply)
    assert journal_env.store(factories.report(42)).reply_id is None
    journal_env.outbox.mark_sent(reply, 42)
    assert state(journal_env, reply)[0] == "delivered"


def test_earlier_status_report_does_not_match(journal_env, factories):
    """A report with the same reference from before the message was queued belongs to another message."""
    journal_env.store(factories.report(42))
    journal_env.advance(10)
    [reply] = queue(journal_env, "on")
    journal_env.outbox.mark_sending(reply)
    journal_env.outbox.mark_sent(reply, 42)
    assert state(journal_env, reply)[0] == "sent"


def test_limits_count_possibly_sent_messages(journal_env):
    """By uptime: a clock that jumps changes nothing."""
    for reply in queue(journal_env, "a", "b", "c"):
        journal_env.outbox.mark_sending(reply)
    journal_env.outbox.mark_sent(1, 1)
    journal_env.outbox.finish(2, "unknown", "no result")
    journal_env.outbox.requeue(3, "refused", count_attempt=False)
    assert journal_env.outbox.count_sent_within(60) == 2
    journal_env.wall += DAY_S
    assert journal_env.outbox.count_sent_within(60) == 2
    journal_env.monotonic += 61
    assert journal_env.outbox.count_sent_within(60) == 0
    assert journal_env.outbox.count_sent_within(DAY_S) == 2


def test_limits_count_from_the_time_of_sending(journal_env):
    """Whatever the outcome is; a refused message has not left at all."""
    unknown, refused, again = queue(journal_env, "a", "b", "c")
    journal_env.advance(2 * DAY_S)
    for reply in (unknown, refused, again):
        journal_env.outbox.mark_sending(reply)
    journal_env.outbox.finish(unknown, "unknown", "no result")
    assert journal_env.outbox.count_sent_within(60) == 3
    journal_env.outbox.finish(refused, "failed", "refused")
    journal_env.outbox.requeue(again, "busy", count_attempt=False)
    assert journal_env.outbox.count_sent_within(60) == 1
    rows = journal_env.journal.connection.execute("SELECT state, sent_wall IS NULL FROM replies ORDER BY id")
    assert rows.fetchall() == [("unknown", 0), ("failed", 1), ("queued", 1)]


def test_oldest_queued_age(journal_env):
    """It belongs to the first queued message; finished messages do not count."""
    [first] = queue(journal_env, "one")
    journal_env.advance(100)
    [second] = queue(journal_env, "two")
    journal_env.advance(10)
    assert journal_env.outbox.oldest_queued_age() == pytest.approx(110)
    journal_env.outbox.finish(first, "failed", "refused")
    assert journal_env.outbox.oldest_queued_age() == pytest.approx(10)
    journal_env.outbox.finish(second, "failed", "refused")
    assert journal_env.outbox.oldest_queued_age() is None


def test_only_the_daily_cap_extends_the_maximum_age(journal_env):
    """Messages that left long before a message was queued have not held it up, however many they were."""
    for reply in queue(journal_env, *["old"] * 10):
        journal_env.outbox.mark_sending(reply)
        journal_env.outbox.mark_sent(reply, None)
    journal_env.advance(3 * DAY_S)
    [waiting] = queue(journal_env, "late")
    journal_env.advance(DAY_S + 1)
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 10)] == [waiting]
    for reply in queue(journal_env, *["new"] * 10):
        journal_env.outbox.mark_sending(reply)
        journal_env.outbox.mark_sent(reply, None)
    assert journal_env.outbox.list_expired(DAY_S, 10) == []
    journal_env.advance(DAY_S)
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 10)] == [waiting]


def test_daily_cap_reached_before_queueing_counts(journal_env):
    """Messages that left in the day before it was queued have held it up."""
    for reply in queue(journal_env, *["before"] * 10):
        journal_env.outbox.mark_sending(reply)
        journal_env.outbox.mark_sent(reply, None)
    journal_env.advance(3600)
    [waiting] = queue(journal_env, "late")
    journal_env.advance(DAY_S + 1)
    assert journal_env.outbox.list_expired(DAY_S, 10) == []
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 11)] == [waiting]


# The cap and the age


def sent_at(env, reply, ago):
    """One that left so many seconds ago, by running time."""
    env.outbox.mark_sending(reply)
    env.outbox.mark_sent(reply, None)
    env.journal.connection.execute(
        "UPDATE replies SET sent_uptime = ? WHERE id = ?", (env.journal.now().uptime - ago, reply)
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
def test_daily_cap_while_a_message_waited(journal_env, left, kept):
    """Queued a day and a second ago, three a day: it is kept if the cap was reached while it waited."""
    journal_env.advance(3 * DAY_S)
    others = queue(journal_env, *["other"] * len(left))
    [waiting] = queue(journal_env, "late")
    journal_env.advance(DAY_S + 1)
    for reply, ago in zip(others, left, strict=True):
        sent_at(journal_env, reply, ago)
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 3)] == ([] if kept else [waiting])


def test_daily_cap_is_evaluated_for_each_message(journal_env):
    """The cap that held up the older message was over when the younger one came."""
    journal_env.advance(3 * DAY_S)
    for reply in queue(journal_env, *["other"] * 3):
        sent_at(journal_env, reply, DAY_S - 100)
    [older] = queue(journal_env, "older")
    journal_env.advance(200)
    [younger] = queue(journal_env, "younger")
    journal_env.advance(DAY_S + 1)
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 3)] == [younger]
    journal_env.advance(DAY_S)
    assert [row.id for row in journal_env.outbox.list_expired(DAY_S, 3)] == [older, younger]


@pytest.mark.parametrize("cap", [10, 1], ids=["not kept back", "kept back"])
def test_maximum_age_is_exact_to_the_second(journal_env, cap):
    """A message as old as the limit is still sent; a held up one has exactly one more day."""
    [other, waiting] = queue(journal_env, "other", "waiting")
    journal_env.outbox.mark_sending(other)
    journal_env.outbox.mark_sent(other, None)
    limit = 600 + (DAY_S if cap == 1 else 0)
    journal_env.advance(limit)
    assert journal_env.outbox.list_expired(600, cap) == []
    journal_env.advance(0.5)
    assert [row.id for row in journal_env.outbox.list_expired(600, cap)] == [waiting]


@pytest.mark.parametrize(("wall", "running"), [(400 * DAY_S, 60.0), (60.0, 400 * DAY_S), (-DAY_S, DAY_S)])
def test_clock_jump_expires_no_message(journal_env, wall, running):
    """Both clocks must show that it is old."""
    queue(journal_env, "waiting")
    journal_env.wall += wall
    journal_env.monotonic += running
    assert journal_env.outbox.list_expired(3600, 200) == []


# Status reports


def send(env, text, reference, destination="2936"):
    [reply] = queue(env, text, destination=destination)
    env.outbox.mark_sending(reply)
    env.outbox.mark_sent(reply, reference)
    return reply


def test_reused_reference_is_matched_by_time(journal_env, factories):
    """The report contains the time when the service centre received the message."""
    old = send(journal_env, "old", 7)
    taken = journal_env.wall
    journal_env.advance(3 * 3600)
    new = send(journal_env, "new", 7)
    assert journal_env.store(factories.report(7, 0x00, at=taken + 3)).reply_id == old
    assert [state(journal_env, each)[0] for each in (old, new)] == ["delivered", "sent"]
    assert journal_env.store(factories.report(7, 0x46, at=journal_env.wall + 3)).reply_id == new
    assert [state(journal_env, each)[0] for each in (old, new)] == ["delivered", "failed"]


@pytest.mark.parametrize("wrong", [-400 * DAY_S, 400 * DAY_S])
def test_wrong_clock_matches_the_newest_message_without_report(journal_env, factories, wrong):
    """The time of the report cannot be compared then."""
    true = journal_env.wall
    journal_env.wall += wrong
    old, new = send(journal_env, "old", 7), send(journal_env, "new", 7)
    assert journal_env.store(factories.report(7, at=true)).reply_id == new
    assert journal_env.store(factories.report(7, at=true)).reply_id == old


def test_repeated_status_report_changes_nothing(journal_env, factories):
    """The network delivers it again if the acknowledgement was lost."""
    other = send(journal_env, "other", 7)
    journal_env.advance(3600)
    reply = send(journal_env, "on", 7)
    for _ in range(2):
        assert journal_env.store(factories.report(7, at=journal_env.wall)).reply_id == reply
    assert [state(journal_env, each)[0] for each in (other, reply)] == ["sent", "delivered"]


def test_same_reference_to_two_destinations(journal_env, factories):
    """Each report is matched with the message to its recipient."""
    one, two = send(journal_env, "a", 7, "2936"), send(journal_env, "b", 7, "+15550001234")
    assert journal_env.store(factories.report(7, recipient="+15550001234")).reply_id == two
    assert journal_env.store(factories.report(7, recipient="2936")).reply_id == one


@pytest.mark.parametrize(
    ("destination", "recipient"), [("+15550001234", "15550001234"), ("15550001234", "+15550001234")]
)
def test_recipient_is_matched_with_or_without_plus(journal_env, factories, destination, recipient):
    """Networks write the recipient in both ways."""
    assert journal_env.store(factories.report(7, recipient=recipient)).reply_id is None
    reply = send(journal_env, "a", 7, destination)
    assert journal_env.store(factories.report(7, recipient=recipient)).reply_id == reply


def test_status_report_after_a_restart(journal_env, factories):
    """It matches a sent message; one that was being sent has no reference, so its report is only stored."""
    reply = send(journal_env, "a", 7)
    [cut] = queue(journal_env, "b")
    journal_env.outbox.mark_sending(cut)
    journal_env.restart()
    journal_env.outbox.close_interrupted()
    assert journal_env.store(factories.report(7)).reply_id == reply
    assert journal_env.store(factories.report(8)).reply_id is None
    assert state(journal_env, cut)[0] == "unknown"
    assert journal_env.query_column("SELECT count(*) FROM status_reports") == [2]


def test_status_report_before_sending_does_not_match(journal_env, factories):
    """A message may wait for hours; a report with its later reference belongs to another message."""
    [reply] = queue(journal_env, "on")
    journal_env.advance(3600)
    journal_env.store(factories.report(42))
    journal_env.advance(3600)
    journal_env.outbox.mark_sending(reply)
    journal_env.outbox.mark_sent(reply, 42)
    assert state(journal_env, reply)[0] == "sent"


# The daily cap, compared with counting at every moment

HOURS = st.integers(-60, 30)


@given(st.lists(HOURS, max_size=12), st.integers(1, 4), HOURS)
def test_daily_cap_matches_counting_at_every_moment(hours, per_day, since):
    """At some time from `since` on, so many messages had left within the day before it."""
    left = sorted(hours)
    moments = [hour for hour in (*left, since) if hour >= since]
    counted = any(sum(moment - 24 < each <= moment for each in left) >= per_day for moment in moments)
    assert was_daily_cap_reached([hour * DAY_S / 24 for hour in left], per_day, since * DAY_S / 24) is counted


def test_daily_cap_is_exact_to_the_second():
    """A message that left exactly a day ago does not count, neither now nor for those that left after it."""
    assert not was_daily_cap_reached([0.0, 5.0, DAY_S], 3, 0.0)
    assert was_daily_cap_reached([0.0, 5.0, DAY_S - 0.5], 3, 0.0)
    assert not was_daily_cap_reached([0.0, 0.0, 0.0], 3, DAY_S)
    assert was_daily_cap_reached([0.0, 0.0, 0.0], 3, DAY_S - 0.5)
