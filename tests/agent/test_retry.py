from random import Random

from agent.retry import Waits


def test_waits_grow_to_their_cap():
    """Each failure in a row waits longer than the last, never beyond the cap."""
    waits = Waits(first_s=1, cap_s=30, spread=0)
    found = [waits.after(failures, Random(1)) for failures in range(1, 12)]
    assert found[0] == 1
    assert found == sorted(found)
    assert found[-1] == 30
    assert waits.after(100_000, Random(1)) == 30


def test_waits_are_spread():
    """Two devices that failed together do not come back together; the spread stays in its bounds."""
    waits = Waits(first_s=100, cap_s=100, spread=0.25)
    found = {waits.after(1, Random(seed)) for seed in range(50)}
    assert len(found) > 40
    assert all(75 <= wait <= 125 for wait in found)
