"""The console of one sandbox: it records what happens, and makes the messages for the page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hardware.sim.console.feed import ConsoleFeed
from hardware.sim.console.recorder import ConsoleRecorder
from hardware.sim.console.view import ConsoleView

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from hardware.sim.console.agent_reports import AgentReporter
    from hardware.sim.sandbox import Sandbox

MAX_RECORDS_PER_MESSAGE = 500


class Console:
    """Follows a sandbox from `start` to `stop`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._feed = ConsoleFeed()
        self._recorder = ConsoleRecorder(sandbox, self._feed)
        self._view = ConsoleView(sandbox)
        self._run = ""
        """Tells the numbers of this start from those of another one."""

    def start(self) -> None:
        """Begin to record; the sandbox is started."""
        self._run = f"{asyncio.get_running_loop().time() * 1e6:.0f}"
        self._feed.open()

    def reset(self) -> None:
        """Forget what was recorded; the sandbox has begun anew."""
        self._recorder.reset()
        self._feed.clear()

    def stop(self) -> None:
        """End the messages to all readers."""
        self._feed.close()

    def add_agent(self, name: str) -> AgentReporter:
        """Return the object through which an agent of that name reports."""
        return self._recorder.add_agent(name)

    async def follow(self, last_id: str = "") -> AsyncIterator[tuple[str, Mapping[str, object]]]:
        """Yield messages with their ids, those after the message `last_id`, until `stop`.

        `view` describes the messages. If there is no such id, or a record after it is gone, all that is
        retained follows, beginning with a message that has `reset`.
        """
        number = self._find_number(last_id)
        while not self._feed.is_closed:
            limit: int | None = MAX_RECORDS_PER_MESSAGE
            if number is None or not self._feed.has_all_after(number):
                number, limit = 0, None
                yield "", self._view.begin(self._recorder.agents.values())
            records = self._feed.read(number, limit)
            for start in range(0, len(records), MAX_RECORDS_PER_MESSAGE):
                part = records[start : start + MAX_RECORDS_PER_MESSAGE]
                number = part[-1][0]
                yield f"{self._run}-{number}", self._view.render(part)
            if limit is None:
                number = records[-1][0] if records else self._feed.last_number
            await self._feed.wait(number)

    def _find_number(self, message_id: str) -> int | None:
        run, _, number = message_id.partition("-")
        return int(number) if run == self._run and number.isascii() and number.isdigit() else None
