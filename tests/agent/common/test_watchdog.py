from agent.common.watchdog import DeadlineMonitor


def test_task_is_overdue_after_its_own_deadline():
    """A task that renews or clears its deadline is not overdue."""
    now = 0.0
    monitor = DeadlineMonitor(lambda: now)
    monitor.expect_within("receiver", 10)
    monitor.expect_within("sender", 5)
    now = 5.0
    assert monitor.overdue() == []
    now = 5.1
    assert monitor.overdue() == ["sender"]
    monitor.expect_within("sender", 5)
    assert monitor.overdue() == []
    now = 10.5
    monitor.clear("sender")
    assert monitor.overdue() == ["receiver"]


def test_no_task_is_overdue_while_suspended():
    """After the suspension the deadlines count as before."""
    now = 0.0
    monitor = DeadlineMonitor(lambda: now)
    monitor.expect_within("receiver", 10)
    monitor.suspend(100)
    now = 99.0
    assert monitor.overdue() == []
    now = 100.0
    assert monitor.overdue() == ["receiver"]
