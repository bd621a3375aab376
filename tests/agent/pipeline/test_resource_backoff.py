"""Starts of handlers that are repeated while the host is out of resources."""

import pytest
from fakes import FixedRandom

from agent.common.events import Severity
from agent.pipeline.resource_backoff import GIVE_UP_AFTER_S, RESOURCE_BACKOFF, ResourceBackoff


@pytest.fixture
def events():
    return []


@pytest.fixture
def resource_backoff(events):
    return ResourceBackoff(FixedRandom(), events.append)


def test_backoff_doubles_up_to_a_minute(resource_backoff):
    """Each wait is twice as long, up to a minute. A Command that was never refused does not wait."""
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
    """The condition is logged once when it begins and once when it ends, and no Command waits after that."""
    for number in (1, 2, 1, 2):
        resource_backoff.on_exhausted(number, "no memory", 0.0)
    assert [event.severity for event in events] == [Severity.WARNING] + [Severity.DEBUG] * 3
    assert resource_backoff.remaining_s(2, 0.0) > 0
    resource_backoff.on_started(1)
    assert resource_backoff.remaining_s(1, 0.0) == resource_backoff.remaining_s(2, 0.0) == 0
    resource_backoff.on_started(2)
    assert [event.kind for event in events[4:]] == ["handlers start again"]
    resource_backoff.on_exhausted(3, "no memory", 10.0)
    assert resource_backoff.remaining_s(3, 10.0) == 1
    assert events[-1].severity is Severity.WARNING


def test_start_is_given_up_after_an_hour(resource_backoff):
    """A Command is given up an hour after its first failed start. The hour of another Command is its own."""
    assert resource_backoff.on_exhausted(1, "no memory", 0.0)
    assert resource_backoff.on_exhausted(2, "no memory", 60.0)
    assert resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S - 1)
    assert not resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S)
    assert resource_backoff.remaining_s(1, GIVE_UP_AFTER_S) == 0
    assert resource_backoff.on_exhausted(2, "no memory", GIVE_UP_AFTER_S)
    assert resource_backoff.on_exhausted(1, "no memory", GIVE_UP_AFTER_S), (
        "a later Command with the same number has no history"
    )
