"""What the ladder forgets when, and what it remembers."""

from random import Random

from agent.recovery.policy import STABLE_AFTER_S, Failure, RecoveryAction, RecoveryPolicy


def test_a_steady_session_forgets_all_but_the_steps_for_a_network():
    """It shows that the module works, not that there is a network: those end once one has stayed for long."""
    ladder = RecoveryPolicy(Random(1))
    ladder.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 0)
    ladder.on_action_done(RecoveryAction.CYCLE_RADIO, Failure.NO_SIM, 0)
    ladder.on_action_done(RecoveryAction.RESELECT_NETWORK, Failure.NO_NETWORK, 0)
    ladder.on_session_failed(Failure.SESSION_LOST, 2 * STABLE_AFTER_S, STABLE_AFTER_S)
    assert ladder.describe() == "failures in a row: 1; no network, steps taken: 1"
