"""What the ladder forgets when, and what it remembers."""

from random import Random

from agent.recovery import STEADY_S, Ladder, Remedy, Trouble


def test_a_steady_session_forgets_all_but_the_steps_for_a_network():
    """It shows that the module works, not that there is a network: those end once one has stayed for long."""
    ladder = Ladder(Random(1))
    ladder.done(Remedy.RESTART, Trouble.SILENT, 0)
    ladder.done(Remedy.RADIO, Trouble.NO_SIM, 0)
    ladder.done(Remedy.RESELECT, Trouble.SEARCHING, 0)
    ladder.failed(Trouble.LOST, 2 * STEADY_S, STEADY_S)
    assert ladder.describe() == "failures in a row: 1; no network, steps taken: 1"
