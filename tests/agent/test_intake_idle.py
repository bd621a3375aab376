"""An intake that waits for news has promised when it will be back."""

from agent import intake as room


async def test_an_intake_that_waits_too_long_is_late(road, make):
    """Should the wait outlast its sweep, whatever the cause, the watchdog must not be fed for it."""
    make.modem(road)
    async with road.receiving():
        await road.passes(1)
        assert "intake" in road.health()._deadlines
        promised = road.health()._deadlines["intake"] - road.now()
        assert 0 < promised <= room.SWEEP_S + room.STEP_S
    assert road.health().late() == []
