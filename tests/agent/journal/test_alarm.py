"""The state of the alarm survives a restart."""

from agent.journal.alarm import AlarmState, AlarmStore


def test_alarm_state_survives_a_restart(journal_env):
    """Before the first problem there is no row, and no alarm."""
    assert AlarmStore(journal_env.journal).load() == AlarmState()
    begun = journal_env.journal.now()
    raised = AlarmState(is_raised=True, reason="no network", since=begun)
    AlarmStore(journal_env.journal).save(AlarmState(since=begun))
    AlarmStore(journal_env.journal).save(raised)
    journal_env.restart()
    assert AlarmStore(journal_env.journal).load() == raised
    AlarmStore(journal_env.journal).save(AlarmState(reason="no network"))
    assert AlarmStore(journal_env.journal).load() == AlarmState(reason="no network")
