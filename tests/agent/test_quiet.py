"""What is said once too often."""

import itertools

import pytest

from agent.quiet import CAP_S, FORGET_S, KNOWN, Quiet
from agent.story import Step, Weight


class Bench:
    """A clock that is turned by hand, and what is told."""

    def __init__(self):
        self.now = 1000.0
        self.told = []
        self.quiet = Quiet(lambda step: self.told.append((self.now, step)), lambda: self.now)

    def comes(self, *steps, every, seconds):
        end = self.now + seconds
        while self.now < end:
            for step in steps:
                self.quiet(step)
            self.now += every

    @property
    def said(self):
        return [at for at, step in self.told if step.weight > Weight.DETAIL]


@pytest.fixture
def bench():
    return Bench()


def trouble(number=0, what="refused"):
    return Step(what, f"AT+CMGL=4 was refused: {number}", weight=Weight.WARNING)


def test_a_trouble_that_lasts_is_said_ever_more_seldom(bench):
    """Nothing is lost: what is not said is a detail. The numbers in it make no other trouble of it."""
    for number in range(2 * 1440):
        bench.quiet(trouble(number))
        bench.now += 60
    assert len(bench.told) == 2 * 1440
    waits = [after - before for before, after in itertools.pairwise(bench.said)]
    assert waits[:4] == [60, 120, 240, 480]
    assert waits == sorted(waits)
    assert waits[-1] == CAP_S
    assert len([at for at in bench.said if at < 1000 + 86_400]) <= 13
    assert len([at for at in bench.said if at >= 1000 + 86_400]) <= 4


def test_it_is_said_how_often_it_came(bench):
    """In the line after a silence."""
    bench.comes(trouble(), every=10, seconds=70)
    assert [step.detail for _, step in bench.told if step.weight > Weight.DETAIL] == [
        "AT+CMGL=4 was refused: 0",
        "AT+CMGL=4 was refused: 0 (5 times more since it was said)",
    ]


def test_a_trouble_that_was_over_is_new(bench):
    """After two quiet hours."""
    bench.comes(trouble(), every=60, seconds=3600)
    before = len(bench.said)
    bench.now += FORGET_S
    bench.comes(trouble(), every=60, seconds=130)
    assert len(bench.said) == before + 2


def test_events_are_always_said(bench):
    """What is told of one Command, or of one message, is no condition; nor is a stranger's message."""
    steps = [
        Step("failed", "exit status 1", command=1, weight=Weight.WARNING),
        Step("not sent", "again in 5 s", reply=3, weight=Weight.WARNING),
        Step("stray", "not from 000"),
    ]
    bench.comes(*steps, every=1, seconds=10)
    assert len(bench.said) == 30


def test_changes_to_and_fro(bench):
    """A network that comes and goes each second is said to for a while, then seldom."""
    bench.comes(Step("registration", "searching"), Step("registration", "home"), every=1, seconds=3600)
    assert len(bench.said) <= 2 * 8


def said(bench):
    return [step.what for _, step in bench.told if step.weight > Weight.DETAIL]


def test_the_end_of_what_was_said_is_said(bench):
    """A module that is lost and back within a minute: the log ends with the session that stands."""
    session = Step("session", "profile generic")
    for _ in range(2):
        bench.quiet(session)
        bench.now += 5
        bench.quiet(Step("session ended", "port /dev/ttyUSB2 is gone", weight=Weight.WARNING))
        bench.now += 5
    bench.quiet(session)
    assert said(bench) == ["session", "session ended", "session"]
    assert [step.what for _, step in bench.told][-2:] == ["session ended", "session"]


def test_a_network_that_is_found_again_is_said(bench):
    """For each time that its loss was."""
    home, away = Step("registration", "registered, home"), Step("registration", "searching")
    bench.comes(home, away, every=10, seconds=30)
    bench.quiet(home)
    details = [step.detail for _, step in bench.told if step.weight > Weight.DETAIL]
    assert details == ["registered, home", "searching", "registered, home"]


def test_a_session_that_comes_and_goes_all_day(bench):
    """Each end is said as seldom as the trouble before it."""
    lost = Step("session ended", "unplugged", weight=Weight.WARNING)
    bench.comes(Step("session", "profile generic"), lost, every=30, seconds=86_400)
    assert len(bench.said) <= 2 * 13 + 1


def test_two_troubles_are_two(bench):
    """Each has waits of its own."""
    bench.quiet(trouble())
    bench.quiet(trouble(what="not deleted"))
    assert len(bench.said) == 2


def test_it_remembers_only_so_many(bench):
    """Words that never repeat do not fill the memory."""
    for number in range(10 * KNOWN):
        bench.quiet(Step("module", "x" * number, weight=Weight.WARNING))
    assert len(bench.quiet._known) == KNOWN
