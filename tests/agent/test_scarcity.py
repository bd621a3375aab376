"""When the host cannot start anything: each waits ever longer, all come back at once, none for ever."""

from random import Random

import pytest

from agent.scarcity import GIVE_UP_S, WAITS, Scarcity
from agent.story import Weight


class Halves(Random):
    """Chance that is none."""

    def random(self):
        return 0.5


@pytest.fixture
def told():
    return []


@pytest.fixture
def scarcity(told):
    return Scarcity(Halves(), told.append)


def test_waits_grow_and_end(scarcity):
    """Twice as long each time, up to a minute; what was never met waits for nothing."""
    now, waits = 0.0, []
    for _ in range(9):
        assert scarcity.met(1, "no memory", now)
        waits.append(scarcity.left(1, now))
        now += waits[-1]
        assert scarcity.left(1, now) == 0
        assert scarcity.left(1, now + 5) == 0
    assert waits == [1, 2, 4, 8, 16, 32, WAITS.cap_s, WAITS.cap_s, WAITS.cap_s]
    assert scarcity.left(2, now) == 0


def test_what_starts_again_lets_the_others_go(scarcity, told):
    """Said once when it begins and once when it is over; nobody waits for a trouble that is gone."""
    for number in (1, 2, 1, 2):
        scarcity.met(number, "no memory", 0.0)
    assert [step.weight for step in told] == [Weight.WARNING] + [Weight.DETAIL] * 3
    assert scarcity.left(2, 0.0) > 0
    scarcity.started(1)
    assert scarcity.left(1, 0.0) == scarcity.left(2, 0.0) == 0
    scarcity.started(2)
    assert [step.what for step in told[4:]] == ["handlers are started again"]
    scarcity.met(3, "no memory", 10.0)
    assert scarcity.left(3, 10.0) == 1
    assert told[-1].weight is Weight.WARNING


def test_nothing_is_tried_for_ever(scarcity):
    """An hour after the first time it is given up; another one has its own hour."""
    assert scarcity.met(1, "no memory", 0.0)
    assert scarcity.met(2, "no memory", 60.0)
    assert scarcity.met(1, "no memory", GIVE_UP_S - 1)
    assert not scarcity.met(1, "no memory", GIVE_UP_S)
    assert scarcity.left(1, GIVE_UP_S) == 0
    assert scarcity.met(2, "no memory", GIVE_UP_S)
    assert scarcity.met(1, "no memory", GIVE_UP_S), "whatever has this number later begins anew"
