"""A handler runner whose handlers all give the same reply."""

from agent.handlers.results import Finished, HandlerDeclaration
from soak import simulated_runner


class FixedReplyRunner(simulated_runner.SimulatedRunner):
    """Gives `reply` to every Command: `world.make_runner = lambda run: FixedReplyRunner(world, run, "x")`."""

    def __init__(self, world, agent_run, reply):
        super().__init__(world, agent_run)
        self._reply = reply

    async def load(self, file):
        return [*await super().load(file), HandlerDeclaration("anything", default=True)]

    async def run(self, spec, command, timeout_s):
        await super().run(spec, command, timeout_s)
        return Finished(self._reply)
