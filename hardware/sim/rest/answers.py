"""`/sandbox/sims/NAME/answers`: the scripted answers of a SIM's module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from hardware.sim.module.scripted_answers import AnswerError
from hardware.sim.rest import json_body
from hardware.sim.service.errors import NO_SUCH_RESOURCE, ServiceError, invalid_parameter

if TYPE_CHECKING:
    from hardware.sim.module.scripted_answers import ScriptedAnswers
    from hardware.sim.sandbox import Sandbox

ANSWERS_PATH = "/sandbox/sims/{name}/answers"


class AnswerRoutes:
    """The scripted answers of the modules of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def register(self, router: web.UrlDispatcher) -> None:
        router.add_get(ANSWERS_PATH, self.show, allow_head=False)
        router.add_post(ANSWERS_PATH, self.add)
        router.add_delete(ANSWERS_PATH, self.remove)

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response({"answers": self._find(request).describe()})

    async def add(self, request: web.Request) -> web.Response:
        answers, text = (
            self._find(request),
            json_body.text_field(await json_body.read_object(request, "answer"), "answer"),
        )
        try:
            answers.add(text)
        except AnswerError as error:
            raise invalid_parameter("answer", str(error)) from error
        return web.json_response({"answers": answers.describe()}, status=201)

    async def remove(self, request: web.Request) -> web.Response:
        """Remove all answers, or that to `?command=`, in which an unencoded `+` has become a blank."""
        answers = self._find(request)
        if "command" not in request.query:
            answers.clear()
        else:
            command = request.query["command"]
            if not answers.remove(f"+{command[1:]}" if command.startswith(" ") else command):
                raise ServiceError(404, NO_SUCH_RESOURCE, f"There is no answer to {command.strip()}.")
        return web.json_response({"answers": answers.describe()})

    def _find(self, request: web.Request) -> ScriptedAnswers:
        return self._sandbox.find_sim(request.match_info["name"]).module.context.answers
