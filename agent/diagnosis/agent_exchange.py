"""Asks the module through the running agent, by the request `at` of its control socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agent.at.client import Response
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, ModemLost
from agent.at.events import Information
from agent.at.line_parser import parse_final_result
from agent.at.trace import Trace
from agent.daemon.control_client import ControlError

AgentRequest = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]
"""Sends a request to the running agent and returns the results. Raises ControlError."""


class AgentExchange:
    """A `CommandExchange` whose commands the running agent executes, between its own."""

    def __init__(self, request: AgentRequest, trace: Trace | None = None) -> None:
        self._request = request
        self._trace = trace

    async def exchange(self, command: AtCommand) -> Response:
        """Execute a command. Raises CommandRefused, and ModemLost if the agent cannot execute it."""
        request = {"do": "at", "line": command.line, "result": True}
        self._trace_sent(command.line)
        try:
            answer = await self._request(request)
        except ControlError as error:
            raise ModemLost(str(error), command.line) from None
        lines, result = list(answer["lines"]), str(answer["result"])
        self._trace_received([*lines, result])
        final = parse_final_result(result, allow_numeric=False)
        if final is not None and not final.ok:
            raise CommandRefused(command.redacted_line, final)
        prefixes = tuple(pattern.prefix for pattern in command.response_patterns if pattern.prefix)
        is_free_text = any(not pattern.prefix for pattern in command.response_patterns)
        return Response(
            tuple(Information(line) for line in lines if is_free_text or line.startswith(prefixes))
        )

    def _trace_sent(self, line: str) -> None:
        if self._trace is not None:
            self._trace.log_sent(f"{line}\r".encode(), asyncio.get_running_loop().time())

    def _trace_received(self, lines: list[str]) -> None:
        if self._trace is not None:
            data = "".join(f"\r\n{line}\r\n" for line in lines).encode("latin-1", "replace")
            self._trace.log_received(data, asyncio.get_running_loop().time())
