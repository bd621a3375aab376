"""The simulated world that the soak and other tests use."""

from soak.world import HandlerPlan, World


async def test_command_runs_and_is_answered(tmp_path):
    """A Command goes from the network to its handler, and its reply goes back, in virtual time."""
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


async def test_killed_agent_leaves_its_journal(tmp_path):
    """The next agent run finds the handler interrupted and replies so; the handler does not run again."""
    async with World(tmp_path) as world:
        world.plans["led 7"] = HandlerPlan([(20, "ok")])
        agent_run = world.start()
        world.send("led 7")
        await world.advance(15)
        assert len(world.handler_runs) == 1
        agent_run.kill("SIGKILL")
        await world.advance(10)
        world.start()
        await world.advance(60)
        assert len(world.handler_runs) == 1
        assert world.sent_bodies == ["ERR interrupted"]


async def test_stop_takes_less_than_a_second(tmp_path):
    """The agent stops without an error, as after SIGTERM."""
    async with World(tmp_path) as world:
        agent_run = world.start()
        await world.advance(30)
        start = world.loop.time()
        await agent_run.stop()
        assert world.loop.time() - start < 1
        assert [each[1:] for each in world.unforced_ends] == [(0, None)]
