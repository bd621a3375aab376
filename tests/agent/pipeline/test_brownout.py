"""Pauses in sending after messages that were followed by the loss of the module."""

import pytest
from fakes import FixedRandom

from agent.pipeline.brownout import BROWNOUT_BACKOFF, BrownoutGuard


@pytest.fixture
def brownout_guard():
    return BrownoutGuard(FixedRandom())


def test_pause_begins_with_the_second_loss_in_a_row_and_doubles_up_to_a_cap(brownout_guard):
    """One loss after a message is chance. Each further one makes the pause longer."""
    now, pauses = 0.0, []
    for _ in range(9):
        brownout_guard.on_message_sending(now)
        pauses.append(brownout_guard.on_session_lost(now + 5))
        now += 30_000
    assert pauses[:4] == [None, 300, 600, 1200]
    assert pauses[-1] == BROWNOUT_BACKOFF.max_s


def test_messages_in_quick_succession_count_as_one(brownout_guard):
    """The module is lost after the last of them; the earlier ones do not reset the count."""
    for now in (0, 100):
        for number in range(5):
            brownout_guard.on_message_sending(now + number / 10)
        pause = brownout_guard.on_session_lost(now + 1)
    assert pause == 300


def test_remaining_time_counts_down_to_zero(brownout_guard):
    """Sending is allowed again when the pause is over."""
    for now in (0, 100):
        brownout_guard.on_message_sending(now)
        brownout_guard.on_session_lost(now + 1)
    assert brownout_guard.remaining_s(101) == 300
    assert brownout_guard.remaining_s(400) == 1
    assert brownout_guard.remaining_s(401) == 0


@pytest.mark.parametrize("between", ["harmless message", "late loss", "loss without a message"])
def test_only_consecutive_losses_right_after_messages_count(brownout_guard, between):
    """A message that does no harm resets the count; a loss with no message before it does not."""
    brownout_guard.on_message_sending(0)
    assert brownout_guard.on_session_lost(5) is None
    if between == "harmless message":
        brownout_guard.on_message_sending(100)
    elif between == "late loss":
        brownout_guard.on_message_sending(100)
        brownout_guard.on_session_lost(150)
    else:
        brownout_guard.on_session_lost(100)
    brownout_guard.on_message_sending(200)
    assert (brownout_guard.on_session_lost(205) is None) == (between != "loss without a message")
