from agent.health import Health


def test_a_task_is_late_only_past_its_own_deadline():
    """Nobody is late who keeps or renews their deadline; who ended has none."""
    now = 0.0
    health = Health(lambda: now)
    health.within("intake", 10)
    health.within("outbox", 5)
    now = 5.0
    assert health.late() == []
    now = 5.1
    assert health.late() == ["outbox"]
    health.within("outbox", 5)
    assert health.late() == []
    now = 10.5
    health.ended("outbox")
    assert health.late() == ["intake"]


def test_who_waits_for_the_line_is_excused():
    """Nobody is late while something holds it that all must wait for; after that all are what they were."""
    now = 0.0
    health = Health(lambda: now)
    health.within("intake", 10)
    health.excuse(100)
    now = 99.0
    assert health.late() == []
    now = 100.0
    assert health.late() == ["intake"]
