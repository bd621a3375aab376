"""Handlers that all answer with the same words."""

from agent.handlers.results import Finished, HandlerDeclaration
from soak import simulated_runner


class FixedReplyRunner(simulated_runner.SimulatedRunner):
    """`scene.make_runner = lambda life: Saying(scene, life, "a text")`; every Command has a handler."""

    def __init__(self, world, agent_run, reply):
        super().__init__(world, agent_run)
        self._reply = reply

    async def load(self, file):
        return [*await super().load(file), HandlerDeclaration("anything", default=True)]

    async def run(self, spec, command, timeout_s):
        await super().run(spec, command, timeout_s)
        return Finished(self._reply)
