"""Asking a module that may refuse, ignore, or not be ready yet.

Only what the work needs is insisted on. A module that is still reading its SIM is waited for, with waits that
grow and that end early when it says that it is ready; no wait resets it or enters a PIN.
"""

from __future__ import annotations

import asyncio

from agent.at.boot_urcs import is_ready_urc
from agent.at.client import AtClient, Response
from agent.at.command import AtCommand
from agent.at.error_codes import STARTING_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut

READY_TIMEOUT_S = 75.0
"""Modules read their SIM for 5 to 30 s after power-up; a minute must be granted to slow ones."""
RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 5.0)


class Negotiator:
    """One round of asking, with one budget of patience and one list of what was tolerated."""

    def __init__(self, client: AtClient, notes: list[str]) -> None:
        self._client = client
        self._notes = notes
        self._loop = asyncio.get_running_loop()
        self._deadline = float("inf")
        self.echoed = False
        """Whether the last accepted command was echoed."""

    def add_note(self, text: str) -> None:
        """Remember what a person may want to know."""
        if text not in self._notes:
            self._notes.append(text)

    async def exchange(self, command: AtCommand, max_tries: int | None = None) -> Response:
        """Ask, waiting for a module that says that it is busy; `tries`: not more often than that.

        Raises CommandRefused.
        """
        attempt = 0
        while True:
            try:
                response = await self._client.exchange(command)
            except CommandRefused as error:
                if (
                    attempt + 1 == max_tries
                    or not is_busy(error)
                    or not await self.wait_before_retry(attempt)
                ):
                    raise
            else:
                self.echoed = response.echo_seen
                return response
            attempt += 1

    async def try_command(
        self, command: AtCommand, *, note_failure: bool = True, max_tries: int | None = None
    ) -> Response | None:
        """Ask what may be refused or ignored; None where it was, and a note of it unless `tell` is False."""
        try:
            return await self.exchange(command, max_tries)
        except CommandRefused as error:
            said = f"refused ({error.name or error.code or 'ERROR'})"
        except CommandTimedOut:
            said = "ignored"
        if note_failure:
            self.add_note(f"{command.redacted_line} {said}")
        return None

    async def retry_until_accepted(
        self, command: AtCommand, timeout_s: float = READY_TIMEOUT_S, *, stop_if_unknown: bool = False
    ) -> None:
        """Ask until it is accepted. Raises CommandRefused when patience, or the time given, is at its end.

        `unless_unknown`: not for a module that says in words that it has no such command.
        """
        attempt = 0
        until = self._loop.time() + timeout_s
        while True:
            try:
                await self._client.exchange(command)
            except CommandRefused as error:
                if stop_if_unknown and error.is_unsupported:
                    raise
                if self._loop.time() >= until or not await self.wait_before_retry(attempt):
                    raise
            else:
                return
            attempt += 1

    async def wait_before_retry(self, attempt: int) -> bool:
        """Wait a while for a module that is not ready; False when there was patience enough.

        Patience begins with the first wait.
        """
        self._deadline = min(self._deadline, self._loop.time() + READY_TIMEOUT_S)
        left = self._deadline - self._loop.time()
        if left <= 0:
            return False
        pause = min(RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S) - 1)], left)
        await self._client.urcs.wait_for(lambda urc: is_ready_urc(urc.text), pause)
        return True


def is_busy(error: CommandRefused) -> bool:
    """Whether it may be accepted in a moment."""
    return error.is_one_of(STARTING_ERRORS)
