"""Foreign modules: of three Commands each runs once and is answered once."""

import pytest

from foreign import ALL_MODULES
from foreign.emulator import Emulator
from soak.world import World

SWEEP_PERIOD_S = 400.0
"""Longer than the sweep interval without notifications."""


@pytest.mark.parametrize("kind", ALL_MODULES, ids=lambda kind: kind.__name__)
async def test_commands_run_once_and_are_answered_once(kind, tmp_path):
    """One arrives before the agent starts, one while it runs, one after it was killed.

    Their slots are free again, and the agent that starts after the SIGKILL repeats nothing.
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
        world.current_run.kill("while it was idle")
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
    return [f"{time:.1f} {event}" for time, _, event in world.events]


async def test_module_without_a_store_is_recognised_at_once(tmp_path):
    """An error in words to +CMGL shows that the module has no message store; it is not tried again."""
    async with World(tmp_path, service="super-sim") as world:
        module = Emulator(world.loop, world.port.send_from_module)
        world.port.module = module
        world.start()
        await world.advance(15)
        assert world.events_of_kind("session")
        assert module.commands.count("AT+CMGL=4") == 1
        [session] = world.events_of_kind("session")
        assert "+CNMI stays 1,2,2,1,1" in session.message
