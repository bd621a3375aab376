"""Modules of other makers, other people's simulators: three Commands, each run once and answered once."""

import pytest
from stranger import EVERYBODY

from soak.world import World

SWEPT_S = 400.0
"""Longer than the time between two looks at the store, whatever was or was not told."""


@pytest.mark.parametrize("kind", EVERYBODY, ids=lambda kind: kind.__name__)
async def test_every_command_once(kind, tmp_path):
    """One that waited, one that comes while the agent works, one that comes while it is dead.

    Each is carried out once and answered once, its place in the store is free again, and the agent that takes
    over after a SIGKILL repeats nothing.
    """
    mode = getattr(kind, "message_format", "pdu")
    async with World(tmp_path, service="super-sim", message_format=mode) as world:
        module = kind(world.loop, world.port.say)
        world.port.module = module
        if kind.keeps:
            module.sms("led 1")
        world.start()
        await world.passes(120)
        if not kind.keeps:
            module.sms("led 1")
        module.sms("led 2")
        await world.passes(SWEPT_S)
        world.life.kill("in the middle of nothing")
        if kind.keeps:
            module.sms("led 3")
        world.start()
        await world.passes(SWEPT_S)
        if not kind.keeps:
            module.sms("led 3")
            await world.passes(60)
        story = [f"{time:.1f} {step}" for time, _, step in world.steps]
        assert [run.content for run in world.runs] == ["led 1", "led 2", "led 3"], story
        assert module.sent == [("000", f"did led {number}") for number in (1, 2, 3)], story
        assert not module.slots
        assert not module.air
        assert not world.ends
