"""Modules of other makers, other people's simulators: three Commands, each run once and answered once."""

import pytest
from stranger import EVERYBODY
from stranger.emulated import Emulator

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
        assert world.said("session"), story(world)
        await world.passes(SWEPT_S)
        world.life.kill("in the middle of nothing")
        if kind.keeps:
            module.sms("led 3")
        world.start()
        await world.passes(SWEPT_S)
        if not kind.keeps:
            module.sms("led 3")
            await world.passes(60)
        assert [run.content for run in world.runs] == ["led 1", "led 2", "led 3"], story(world)
        assert module.sent == [("000", f"did led {number}") for number in (1, 2, 3)], story(world)
        assert not module.slots
        assert not module.air
        assert not world.ends


def story(world):
    return [f"{time:.1f} {step}" for time, _, step in world.steps]


async def test_what_is_not_there_is_not_waited_for(tmp_path):
    """A module that says in words that it cannot list is taken for one without a store, at once."""
    async with World(tmp_path, service="super-sim") as world:
        module = Emulator(world.loop, world.port.say)
        world.port.module = module
        world.start()
        await world.passes(15)
        assert world.said("session")
        assert module.lines.count("AT+CMGL=4") == 1
        [session] = world.said("session")
        assert "+CNMI stays 1,2,2,1,1" in session.detail
