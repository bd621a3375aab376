from agent.common.watchdog import DeadlineMonitor


def test_a_task_is_late_only_past_its_own_deadline():
    """Nobody is late who keeps or renews their deadline; who ended has none."""
    now = 0.0
    health = DeadlineMonitor(lambda: now)
    health.expect_within("intake", 10)
    health.expect_within("outbox", 5)
    now = 5.0
    assert health.overdue() == []
    now = 5.1
    assert health.overdue() == ["outbox"]
    health.expect_within("outbox", 5)
    assert health.overdue() == []
    now = 10.5
    health.clear("outbox")
    assert health.overdue() == ["intake"]


def test_who_waits_for_the_line_is_excused():
    """Nobody is late while something holds it that all must wait for; after that all are what they were."""
    now = 0.0
    health = DeadlineMonitor(lambda: now)
    health.expect_within("intake", 10)
    health.suspend(100)
    now = 99.0
    assert health.overdue() == []
    now = 100.0
    assert health.overdue() == ["intake"]
