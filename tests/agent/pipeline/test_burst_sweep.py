"""When a sweep follows notifications."""

from math import inf

from agent.pipeline.burst_sweep import BURST_SWEEP_DELAY_S, SINGLE_SWEEP_INTERVAL_S, BurstSweepSchedule


def sweep(schedule, *, found=False):
    """Carry out the sweep that is due, and return its time."""
    due_at = schedule.due_at
    schedule.on_sweep_begun(due_at)
    if found:
        schedule.on_found()
    assert schedule.due_at == inf
    return due_at


def test_sweep_follows_the_last_notification_of_a_burst():
    """Each notification of a burst puts the sweep off, however soon the last sweep was."""
    schedule = BurstSweepSchedule()
    schedule.on_notified(100.0)
    assert sweep(schedule) == 100.0 + BURST_SWEEP_DELAY_S
    for now in (110.0, 112.0, 114.0):
        schedule.on_notified(now)
    assert schedule.due_at == 114.0 + BURST_SWEEP_DELAY_S


def test_sweep_after_a_single_notification_waits():
    """It waits after one that has found nothing, and not once one of them has found a message."""
    schedule = BurstSweepSchedule()
    schedule.on_notified(100.0)
    swept_at = sweep(schedule)
    schedule.on_notified(110.0)
    assert sweep(schedule, found=True) == swept_at + SINGLE_SWEEP_INTERVAL_S
    schedule.on_notified(140.0)
    assert schedule.due_at == 140.0 + BURST_SWEEP_DELAY_S


def test_regular_sweep_does_not_count():
    """What the first or a regular sweep finds does not show that notifications were lost."""
    schedule = BurstSweepSchedule()
    schedule.on_sweep_begun(0.0)
    schedule.on_found()
    schedule.on_notified(100.0)
    sweep(schedule)
    schedule.on_notified(110.0)
    assert schedule.due_at > 110.0 + BURST_SWEEP_DELAY_S
