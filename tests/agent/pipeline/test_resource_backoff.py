"""When the host cannot start anything: each waits ever longer, all come back at once, none for ever."""

from random import Random

import pytest

from agent.common.events import Severity
from agent.pipeline.resource_backoff import GIVE_UP_AFTER_S, RESOURCE_BACKOFF, ResourceBackoff


class FixedRandom(Random):
    """Chance that is none."""

    def random(self):
        return 0.5


@pytest.fixture
def events():
    return []


@pytest.fixture
def resource_backoff(events):
    return ResourceBackoff(FixedRandom(), events.append)


def test_backoff_doubles_up_to_a_minute(resource_backoff):
    """Twice as long each time, up to a minute; what was never met waits for nothing."""
    now, waits = 0.0, []
    for _ in range(9):
        assert resource_backoff.on_exhausted(1, "no memory", now)
        waits.append(resource_backoff.remaining_s(1, now))
        now += waits[-1]
        assert resource_backoff.remaining_s(1, now) == 0
        assert resource_backoff.remaining_s(1, now + 5) == 0
    assert waits == [
        1,
        2,
        4,
        8,
        16,
        32,
        RESOURCE_BACKOFF.max_s,
        RESOURCE_BACKOFF.max_s,
        RESOURCE_BACKOFF.max_s,
    ]
    assert resource_backoff.remaining_s(2, now) == 0


def test_successful_start_releases_the_others(resource_backoff, events):
    """Said once when it begins and once when it is over; nobody waits for a trouble that is gone."""
    for number in (1, 2, 1, 2):
        resource_backoff.on_exhausted(number, "no memory", 0.0)
    assert [step.severity for step in events] == [Severity.WARNING] + [Severity.DEBUG] * 3
    assert resource_backoff.remaining_s(2, 0.0) > 0
    resource_backoff.on_started(1)
    assert resource_backoff.remaining_s(1, 0.0) == resource_backoff.remaining_s(2, 0.0) == 0
    resource_backoff.on_started(2)
    assert [step.kind for step in events[4:]] == ["handlers start again"]
    resource_backoff.on_exhausted(3, "no memory", 10.0)
    assert resource_backoff.remaining_s(3, 10.0) == 1
    assert events[-1].severity is Severity.WARNING


def test_start_is_given_up_after_an_hour(resource_backoff):
    """An hour after the first time it is given up; another one has its own hour."""
    assert resource_backoff.on_exhausted(1, "no memory", 0.0)
    assert resource_backoff.on_exhausted(2, "no memory", 60.0)
    assert resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S - 1)
    assert not resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S)
    assert resource_backoff.remaining_s(1, GIVE_UP_AFTER_S) == 0
    assert resource_backoff.on_exhausted(2, "no memory", GIVE_UP_AFTER_S)
    assert resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S), (
        "whatever has this number later begins anew"
    )
