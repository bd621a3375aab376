"""The world itself: what other tests and the soak rely on."""

from soak.world import HandlerPlan, World


async def test_a_command_is_carried_out_and_answered(tmp_path):
    """From the network to the handler and back, in virtual time."""
    async with World(tmp_path) as world:
        world.start()
        world.send("led 7")
        await world.advance(60)
        assert [(run.handler, run.content, run.attempt) for run in world.handler_runs] == [
            ("led", "led 7", 1)
        ]
        assert world.sent_bodies == ["did led 7"]
        assert world.stored_count == 0
        assert len(world.accepted) == 1


async def test_an_agent_that_is_killed_leaves_its_journal(tmp_path):
    """The next life finds the run interrupted and says so; the handler is not run again."""
    async with World(tmp_path) as world:
        world.plans["led 7"] = HandlerPlan([(20, "ok")])
        life = world.start()
        world.send("led 7")
        await world.advance(15)
        assert len(world.handler_runs) == 1
        life.kill("SIGKILL")
        await world.advance(10)
        world.start()
        await world.advance(60)
        assert len(world.handler_runs) == 1
        assert world.sent_bodies == ["ERR interrupted"]


async def test_a_stop_ends_within_moments(tmp_path):
    """As SIGTERM does."""
    async with World(tmp_path) as world:
        life = world.start()
        await world.advance(30)
        began = world.loop.time()
        await life.stop()
        assert world.loop.time() - began < 1
        assert [each[1:] for each in world.unforced_ends] == [(0, None)]
