"""What is said once too often."""

import itertools

import pytest

from agent.common.events import Event, Severity
from agent.common.log_throttle import FORGET_AFTER_S, MAX_CONDITIONS, MAX_INTERVAL_S, LogThrottle


class ThrottleBench:
    """A clock that is turned by hand, and what is told."""

    def __init__(self):
        self.now = 1000.0
        self.emitted = []
        self.throttle = LogThrottle(lambda step: self.emitted.append((self.now, step)), lambda: self.now)

    def repeat(self, *steps, every, seconds):
        end = self.now + seconds
        while self.now < end:
            for step in steps:
                self.throttle(step)
            self.now += every

    @property
    def logged_at(self):
        return [at for at, step in self.emitted if step.severity > Severity.DEBUG]


@pytest.fixture
def throttle_bench():
    return ThrottleBench()


def trouble(number=0, what="refused"):
    return Event(what, f"AT+CMGL=4 was refused: {number}", severity=Severity.WARNING)


def test_a_trouble_that_lasts_is_said_ever_more_seldom(throttle_bench):
    """Nothing is lost: what is not said is a detail. The numbers in it make no other trouble of it."""
    for number in range(2 * 1440):
        throttle_bench.throttle(trouble(number))
        throttle_bench.now += 60
    assert len(throttle_bench.emitted) == 2 * 1440
    waits = [after - before for before, after in itertools.pairwise(throttle_bench.logged_at)]
    assert waits[:4] == [60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == MAX_INTERVAL_S
    assert len([at for at in throttle_bench.logged_at if at < 1000 + 86_400]) <= 13
    assert len([at for at in throttle_bench.logged_at if at >= 1000 + 86_400]) <= 4


def test_it_is_said_how_often_it_came(throttle_bench):
    """In the line after a silence."""
    throttle_bench.repeat(trouble(), every=10, seconds=70)
    assert [step.message for _, step in throttle_bench.emitted if step.severity > Severity.DEBUG] == [
        "AT+CMGL=4 was refused: 0",
        "AT+CMGL=4 was refused: 0 (5 times more since it was said)",
    ]


def test_a_trouble_that_was_over_is_new(throttle_bench):
    """After two quiet hours."""
    throttle_bench.repeat(trouble(), every=60, seconds=3600)
    before = len(throttle_bench.logged_at)
    throttle_bench.now += FORGET_AFTER_S
    throttle_bench.repeat(trouble(), every=60, seconds=130)
    assert len(throttle_bench.logged_at) == before + 2


def test_events_are_always_said(throttle_bench):
    """What is told of one Command, or of one message, is no condition; nor is a stranger's message."""
    steps = [
        Event("failed", "exit status 1", command=1, severity=Severity.WARNING),
        Event("not sent", "again in 5 s", reply=3, severity=Severity.WARNING),
        Event("stray", "not from 000"),
    ]
    throttle_bench.repeat(*steps, every=1, seconds=10)
    assert len(throttle_bench.logged_at) == 30


def test_changes_to_and_fro(throttle_bench):
    """A network that comes and goes each second is said to for a while, then seldom."""
    throttle_bench.repeat(
        Event("registration", "searching"), Event("registration", "home"), every=1, seconds=3600
    )
    assert len(throttle_bench.logged_at) <= 2 * 8


def logged_kinds(bench):
    return [step.kind for _, step in bench.emitted if step.severity > Severity.DEBUG]


def test_the_end_of_what_was_said_is_said(throttle_bench):
    """A module that is lost and back within a minute: the log ends with the session that stands."""
    session = Event("session", "profile generic")
    for _ in range(2):
        throttle_bench.throttle(session)
        throttle_bench.now += 5
        throttle_bench.throttle(
            Event("session ended", "port /dev/ttyUSB2 is gone", severity=Severity.WARNING)
        )
        throttle_bench.now += 5
    throttle_bench.throttle(session)
    assert logged_kinds(throttle_bench) == ["session", "session ended", "session"]
    assert [step.kind for _, step in throttle_bench.emitted][-2:] == ["session ended", "session"]


def test_a_network_that_is_found_again_is_said(throttle_bench):
    """For each time that its loss was."""
    home, away = Event("registration", "registered, home"), Event("registration", "searching")
    throttle_bench.repeat(home, away, every=10, seconds=30)
    throttle_bench.throttle(home)
    details = [step.message for _, step in throttle_bench.emitted if step.severity > Severity.DEBUG]
    assert details == ["registered, home", "searching", "registered, home"]


def test_a_session_that_comes_and_goes_all_day(throttle_bench):
    """Each end is said as seldom as the trouble before it."""
    lost = Event("session ended", "unplugged", severity=Severity.WARNING)
    throttle_bench.repeat(Event("session", "profile generic"), lost, every=30, seconds=86_400)
    assert len(throttle_bench.logged_at) <= 2 * 13 + 1


def test_two_troubles_are_two(throttle_bench):
    """Each has waits of its own."""
    throttle_bench.throttle(trouble())
    throttle_bench.throttle(trouble(what="not deleted"))
    assert len(throttle_bench.logged_at) == 2


def test_it_remembers_only_so_many(throttle_bench):
    """Words that never repeat do not fill the memory."""
    for number in range(10 * MAX_CONDITIONS):
        throttle_bench.throttle(Event("module", "x" * number, severity=Severity.WARNING))
    assert len(throttle_bench.throttle._conditions) == MAX_CONDITIONS
