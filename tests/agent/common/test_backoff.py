from random import Random

from agent.common.backoff import Backoff


def test_delay_grows_up_to_the_maximum():
    """Each further failure gives a longer delay, never longer than `max_s`."""
    backoff = Backoff(initial_s=1, max_s=30, jitter=0)
    delays = [backoff.delay(failures, Random(1)) for failures in range(1, 12)]
    assert delays[0] == 1
    assert delays == sorted(delays)
    assert delays[-1] == 30
    assert backoff.delay(100_000, Random(1)) == 30


def test_delay_has_jitter():
    """Devices that failed together do not retry together; the jitter stays within its bounds."""
    backoff = Backoff(initial_s=100, max_s=100, jitter=0.25)
    delays = {backoff.delay(1, Random(seed)) for seed in range(50)}
    assert len(delays) > 40
    assert all(75 <= delay <= 125 for delay in delays)
