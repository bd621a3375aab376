"""Modules of other makers, other people's simulators: three Commands, each run once and answered once."""

import pytest

from foreign import ALL_MODULES
from foreign.emulator import Emulator
from soak.world import World

SWEEP_PERIOD_S = 400.0
"""Longer than the time between two looks at the store, whatever was or was not told."""


@pytest.mark.parametrize("kind", ALL_MODULES, ids=lambda kind: kind.__name__)
async def test_every_command_once(kind, tmp_path):
    """One that waited, one that comes while the agent works, one that comes while it is dead.

    Each is carried out once and answered once, its place in the store is free again, and the agent that takes
    over after a SIGKILL repeats nothing.
    """
    mode = getattr(kind, "message_format", "pdu")
    async with World(tmp_path, service="super-sim", message_format=mode) as world:
        module = kind(world.loop, world.port.send_from_module)
        world.port.module = module
        if kind.stores_messages:
            module.send_sms("led 1")
        world.start()
        await world.advance(120)
        if not kind.stores_messages:
            module.send_sms("led 1")
        module.send_sms("led 2")
        assert world.events_of_kind("session"), format_events(world)
        await world.advance(SWEEP_PERIOD_S)
        world.current_run.kill("in the middle of nothing")
        if kind.stores_messages:
            module.send_sms("led 3")
        world.start()
        await world.advance(SWEEP_PERIOD_S)
        if not kind.stores_messages:
            module.send_sms("led 3")
            await world.advance(60)
        assert [run.content for run in world.handler_runs] == ["led 1", "led 2", "led 3"], format_events(
            world
        )
        assert module.sent == [("000", f"did led {number}") for number in (1, 2, 3)], format_events(world)
        assert not module.slots
        assert not module.waiting_pdus
        assert not world.unforced_ends


def format_events(world):
    return [f"{time:.1f} {step}" for time, _, step in world.events]


async def test_what_is_not_there_is_not_waited_for(tmp_path):
    """A module that says in words that it cannot list is taken for one without a store, at once."""
    async with World(tmp_path, service="super-sim") as world:
        module = Emulator(world.loop, world.port.send_from_module)
        world.port.module = module
        world.start()
        await world.advance(15)
        assert world.events_of_kind("session")
        assert module.commands.count("AT+CMGL=4") == 1
        [session] = world.events_of_kind("session")
        assert "+CNMI stays 1,2,2,1,1" in session.message
