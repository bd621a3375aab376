"""The age of a Command, estimated with a clock that may be wrong."""

import pytest

from agent.pipeline.command_age import CLOCK_AGREEMENT_S, CommandAgeEstimator

NOON = 1_795_348_800.0
DAY = 86_400.0


def test_correct_clock_gives_the_age():
    """The age is the difference between clock and timestamp."""
    clock = CommandAgeEstimator()
    assert clock.estimate_age_s(NOON - 5, NOON - 5, NOON, 100.0) == 5
    assert clock.estimate_age_s(NOON - 3 * DAY, NOON - 5, NOON, 100.0) == 3 * DAY


def test_clock_behind_the_network_gives_no_age():
    """A device without a battery for its clock starts in the past."""
    assert CommandAgeEstimator().estimate_age_s(NOON, NOON, NOON - 1, 100.0) is None
    assert CommandAgeEstimator().estimate_age_s(NOON, NOON, NOON, 100.0) == 0


def test_clock_jump_ahead_makes_nothing_older():
    """After the clock has agreed with the network, the smaller of the two elapsed times counts."""
    clock = CommandAgeEstimator()
    assert clock.estimate_age_s(NOON - 2, NOON - 2, NOON, 100.0) == 2
    fresh, later = NOON + 3600, NOON + 3605 + 40 * DAY
    assert clock.estimate_age_s(fresh, fresh, later, 3705.0) == 5
    assert clock.estimate_age_s(NOON - 2, fresh, later, 3705.0) == 3607


def test_unconfirmed_clock_is_trusted():
    """There is no other source of time."""
    assert CommandAgeEstimator().estimate_age_s(NOON, NOON, NOON + 40 * DAY, 100.0) == 40 * DAY


@pytest.mark.parametrize(
    ("ago", "agrees"), [(0, True), (CLOCK_AGREEMENT_S, True), (CLOCK_AGREEMENT_S + 1, False)]
)
def test_recent_message_confirms_the_clock(ago, agrees):
    """The timestamp must be of the last minutes: an older message may have been delayed in the network."""
    clock = CommandAgeEstimator()
    clock.estimate_age_s(NOON - ago, NOON - ago, NOON, 100.0)
    assert (clock.estimate_age_s(NOON, NOON, NOON + 40 * DAY, 100.0) == 0) is agrees


def test_corrected_clock_is_trusted_again():
    """After a suspend or a time synchronisation the next fresh message confirms the clock."""
    clock = CommandAgeEstimator()
    clock.estimate_age_s(NOON, NOON, NOON, 100.0)
    woken = NOON + 2 * DAY
    assert clock.estimate_age_s(woken - 1, woken - 1, woken, 110.0) == 1
    assert clock.estimate_age_s(NOON, woken, woken, 110.0) == 2 * DAY


def test_future_timestamp_does_not_disable_a_confirmed_clock():
    """The clock of a service centre may be wrong. The next message that agrees with the clock confirms it."""
    clock = CommandAgeEstimator()
    wrong = NOON + 4000 * DAY
    assert clock.estimate_age_s(wrong, wrong, NOON, 100.0) is None
    assert clock.estimate_age_s(NOON - 3 * DAY, wrong, NOON, 100.0) is None
    assert clock.estimate_age_s(NOON + 8, wrong, NOON + 10, 110.0) == 2
    assert clock.estimate_age_s(NOON - 3 * DAY, wrong, NOON + 10, 110.0) == 3 * DAY + 10
