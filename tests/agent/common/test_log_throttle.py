"""Repeated log events are throttled; some are always logged."""

import itertools

import pytest

from agent.common.events import Condition, Event, EventKind, Severity
from agent.common.log_throttle import (
    FORGET_AFTER_S,
    MAX_INTERVAL_S,
    MAX_NAMED_SLOTS,
    MAX_TRACKED_LINES,
    LogThrottle,
)

SESSION = Event(EventKind.SESSION, "profile generic", resolves=Condition.CONNECTION)
REGISTERED = Event(EventKind.REGISTRATION, "registered, home", resolves=Condition.NETWORK)
SEARCHING = Event(EventKind.REGISTRATION, "searching", condition=Condition.NETWORK)


class ThrottleBench:
    """A throttle with a clock that the test moves, and the events that it passed on with their times."""

    def __init__(self):
        self.now = 1000.0
        self.emitted = []
        self.throttle = LogThrottle(lambda event: self.emitted.append((self.now, event)), lambda: self.now)

    def repeat(self, *events, every, seconds):
        end = self.now + seconds
        while self.now < end:
            for event in events:
                self.throttle(event)
            self.now += every

    @property
    def logged_at(self):
        return [at for at, event in self.emitted if event.severity > Severity.DEBUG]

    @property
    def logged(self):
        return [event for _, event in self.emitted if event.severity > Severity.DEBUG]


@pytest.fixture
def throttle_bench():
    return ThrottleBench()


def refusal(number=0, kind=EventKind.READ_REFUSED):
    return Event(kind, f"AT+CMGL=4 was refused: {number}", severity=Severity.WARNING)


def session_ended(reason):
    return Event(EventKind.SESSION_ENDED, reason, severity=Severity.WARNING, condition=Condition.CONNECTION)


def test_repeated_warning_is_logged_less_and_less_often(throttle_bench):
    """The interval doubles up to its maximum. Other events get severity DEBUG. Digits do not matter."""
    for number in range(2 * 1440):
        throttle_bench.throttle(refusal(number))
        throttle_bench.now += 60
    assert len(throttle_bench.emitted) == 2 * 1440
    waits = [after - before for before, after in itertools.pairwise(throttle_bench.logged_at)]
    assert waits[:4] == [60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == MAX_INTERVAL_S
    assert len([at for at in throttle_bench.logged_at if at < 1000 + 86_400]) <= 13
    assert len([at for at in throttle_bench.logged_at if at >= 1000 + 86_400]) <= 4


def test_suppressed_repetitions_are_counted(throttle_bench):
    """The next line that is logged contains how many were not."""
    throttle_bench.repeat(refusal(), every=10, seconds=70)
    assert [event.message for event in throttle_bench.logged] == [
        "AT+CMGL=4 was refused: 0",
        "AT+CMGL=4 was refused: 0 (repeated 5 times since last logged)",
    ]


def test_warning_after_two_quiet_hours_is_new(throttle_bench):
    """Its interval begins at one minute again."""
    throttle_bench.repeat(refusal(), every=60, seconds=3600)
    before = len(throttle_bench.logged_at)
    throttle_bench.now += FORGET_AFTER_S
    throttle_bench.repeat(refusal(), every=60, seconds=130)
    assert len(throttle_bench.logged_at) == before + 2


def test_events_of_commands_and_messages_are_never_throttled(throttle_bench):
    """Neither are ignored messages, which are INFO and report no condition."""
    events = [
        Event(EventKind.FAILED, "exit status 1", command_id=1, severity=Severity.WARNING),
        Event(EventKind.NOT_SENT, "again in 5 s", reply_id=3, severity=Severity.WARNING),
        Event(EventKind.IGNORED, "not from 000"),
    ]
    throttle_bench.repeat(*events, every=1, seconds=10)
    assert len(throttle_bench.logged_at) == 30


def test_slots_of_the_module_are_throttled_apart(throttle_bench):
    """Each slot is named, although two lines differ only in digits; the line of each repeats as others do."""
    events = [refusal().replace(message=f"ME {at}: kept", slot=f"ME {at}") for at in (1, 2)]
    throttle_bench.repeat(*events, every=10, seconds=50)
    assert throttle_bench.logged == events


def test_alternating_registration_is_throttled(throttle_bench):
    """A network that is lost and found each second for an hour gives few lines."""
    throttle_bench.repeat(SEARCHING, REGISTERED, every=1, seconds=3600)
    assert len(throttle_bench.logged_at) <= 2 * 8


def test_end_of_a_logged_condition_is_logged(throttle_bench):
    """A session that is lost and replaced within a minute: the last line is the new session."""
    for _ in range(2):
        throttle_bench.throttle(SESSION)
        throttle_bench.now += 5
        throttle_bench.throttle(session_ended("port /dev/ttyUSB2 is gone"))
        throttle_bench.now += 5
    throttle_bench.throttle(SESSION)
    assert [event.kind for event in throttle_bench.logged] == ["session", "session ended", "session"]
    assert [event.kind for _, event in throttle_bench.emitted][-2:] == ["session ended", "session"]


def test_end_is_logged_whatever_its_kind(throttle_bench):
    """Only `condition` and `resolves` connect two events, not their kinds or messages."""
    lost = Event(EventKind.MODULE_RESTARTED, "RDY", severity=Severity.WARNING, condition=Condition.CONNECTION)
    throttle_bench.throttle(SESSION)
    throttle_bench.throttle(lost)
    throttle_bench.throttle(REGISTERED)
    throttle_bench.throttle(SESSION)
    assert throttle_bench.logged == [SESSION, lost, REGISTERED, SESSION]


def test_network_that_is_found_again_is_logged(throttle_bench):
    """Once for each loss that was logged."""
    throttle_bench.repeat(REGISTERED, SEARCHING, every=10, seconds=30)
    throttle_bench.throttle(REGISTERED)
    assert [event.message for event in throttle_bench.logged] == [
        "registered, home",
        "searching",
        "registered, home",
    ]


def test_session_that_ends_all_day_is_throttled(throttle_bench):
    """New sessions are logged as rarely as the losses before them."""
    throttle_bench.repeat(SESSION, session_ended("unplugged"), every=30, seconds=86_400)
    assert len(throttle_bench.logged_at) <= 2 * 13 + 1


def test_different_kinds_are_throttled_separately(throttle_bench):
    """Each kind has its own interval."""
    throttle_bench.throttle(refusal())
    throttle_bench.throttle(refusal(kind=EventKind.NOT_DELETED))
    assert len(throttle_bench.logged_at) == 2


def test_memory_is_bounded(throttle_bench):
    """Messages that never repeat do not fill the memory."""
    for number in range(10 * MAX_TRACKED_LINES):
        throttle_bench.throttle(Event(EventKind.MODULE, "x" * number, severity=Severity.WARNING))
    assert len(throttle_bench.throttle._lines) == MAX_TRACKED_LINES


def test_lines_about_many_slots_are_bounded(throttle_bench):
    """If a module refuses to delete a whole store, the first slots are named, and the log is not flooded."""
    for at in range(255):
        throttle_bench.throttle(refusal().replace(message=f"ME {at}: kept", slot=f"ME {at}"))
    assert len(throttle_bench.logged) == MAX_NAMED_SLOTS + 1
