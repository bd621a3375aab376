"""An intake that waits for news has promised when it will be back."""

from agent.pipeline import receiver as room


async def test_an_intake_that_waits_too_long_is_late(pipeline, factories):
    """Should the wait outlast its sweep, whatever the cause, the watchdog must not be fed for it."""
    factories.modem(pipeline)
    async with pipeline.run_receiver():
        await pipeline.advance(1)
        assert "intake" in pipeline.deadlines()._deadlines
        promised = pipeline.deadlines()._deadlines["intake"] - pipeline.monotonic()
        assert 0 < promised <= room.SWEEP_INTERVAL_S + room.OPERATION_DEADLINE_S
    assert pipeline.deadlines().overdue() == []
