"""Asking a module that may refuse, ignore, or not be ready yet.

Only what the work needs is insisted on. A module that is still reading its SIM is waited for, with waits that
grow and that end early when it says that it is ready; no wait resets it or enters a PIN.
"""

from __future__ import annotations

import asyncio

from agent.at.channel import Channel, Response
from agent.at.command import AtCommand
from agent.at.error import CommandRefused, CommandTimedOut
from agent.modem.hearing import is_ready

PATIENCE_S = 75.0
"""Modules read their SIM for 5 to 30 s after power-up; a minute must be granted to slow ones."""
WAITS_S = (0.5, 1.0, 2.0, 4.0, 5.0)

_BUSY = {
    *(("cms", 313), ("cms", 314), ("cms", 512), ("cms", 515)),  # SIM failure and busy; SIM not ready; busy
    *(("cme", 13), ("cme", 14), ("cme", 515)),  # an A7670E says "SIM failure" while it starts
}


class Negotiation:
    """One round of asking, with one budget of patience and one list of what was tolerated."""

    def __init__(self, channel: Channel, notes: list[str]) -> None:
        self._channel = channel
        self._notes = notes
        self._loop = asyncio.get_running_loop()
        self._until = float("inf")
        self.echoed = False
        """Whether the last accepted command was echoed."""

    def note(self, text: str) -> None:
        """Remember what a person may want to know."""
        if text not in self._notes:
            self._notes.append(text)

    async def ask(self, command: AtCommand, tries: int | None = None) -> Response:
        """Ask, waiting for a module that says that it is busy; `tries`: not more often than that.

        Raises CommandRefused.
        """
        attempt = 0
        while True:
            try:
                response = await self._channel.exchange(command)
            except CommandRefused as error:
                if attempt + 1 == tries or not is_busy(error) or not await self.wait(attempt):
                    raise
            else:
                self.echoed = response.echoed
                return response
            attempt += 1

    async def try_out(
        self, command: AtCommand, *, tell: bool = True, tries: int | None = None
    ) -> Response | None:
        """Ask what may be refused or ignored; None where it was, and a note of it unless `tell` is False."""
        try:
            return await self.ask(command, tries)
        except CommandRefused as error:
            said = f"refused ({error.name or error.code or 'ERROR'})"
        except CommandTimedOut:
            said = "ignored"
        if tell:
            self.note(f"{command.shown} {said}")
        return None

    async def insist(
        self, command: AtCommand, seconds: float = PATIENCE_S, *, unless_unknown: bool = False
    ) -> None:
        """Ask until it is accepted. Raises CommandRefused when patience, or the time given, is at its end.

        `unless_unknown`: not for a module that says in words that it has no such command.
        """
        attempt = 0
        until = self._loop.time() + seconds
        while True:
            try:
                await self._channel.exchange(command)
            except CommandRefused as error:
                if unless_unknown and error.unknown:
                    raise
                if self._loop.time() >= until or not await self.wait(attempt):
                    raise
            else:
                return
            attempt += 1

    async def wait(self, attempt: int) -> bool:
        """Wait a while for a module that is not ready; False when there was patience enough.

        Patience begins with the first wait.
        """
        self._until = min(self._until, self._loop.time() + PATIENCE_S)
        left = self._until - self._loop.time()
        if left <= 0:
            return False
        pause = min(WAITS_S[min(attempt, len(WAITS_S) - 1)], left)
        await self._channel.news.heard(lambda news: is_ready(news.text), pause)
        return True


def is_busy(error: CommandRefused) -> bool:
    """Whether it may be accepted in a moment."""
    return (error.kind, error.code) in _BUSY
