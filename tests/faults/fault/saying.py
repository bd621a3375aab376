"""Handlers that all answer with the same words."""

from agent.handlers.outcome import Declared, Finished
from soak import runner


class Saying(runner.SimulatedRunner):
    """`scene.make_runner = lambda life: Saying(scene, life, "a text")`; every Command has a handler."""

    def __init__(self, world, life, words):
        super().__init__(world, life)
        self._words = words

    async def declare(self, file):
        return [*await super().declare(file), Declared("anything", default=True)]

    async def run(self, entry, command, timeout_s):
        await super().run(entry, command, timeout_s)
        return Finished(self._words)
