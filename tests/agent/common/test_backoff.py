from random import Random

from agent.common.backoff import Backoff


def test_waits_grow_to_their_cap():
    """Each failure in a row waits longer than the last, never beyond the cap."""
    waits = Backoff(initial_s=1, max_s=30, jitter=0)
    found = [waits.delay(failures, Random(1)) for failures in range(1, 12)]
    assert found[0] == 1
    assert found == sorted(found)
    assert found[-1] == 30
    assert waits.delay(100_000, Random(1)) == 30


def test_waits_are_spread():
    """Two devices that failed together do not come back together; the spread stays in its bounds."""
    waits = Backoff(initial_s=100, max_s=100, jitter=0.25)
    found = {waits.delay(1, Random(seed)) for seed in range(50)}
    assert len(found) > 40
    assert all(75 <= wait <= 125 for wait in found)
