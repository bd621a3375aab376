"""Send setup commands to a module that may refuse or ignore them, or may not be ready yet.

Only commands that the agent cannot work without are retried until they are accepted. While a module reads its
SIM, commands are retried with growing delays, or as soon as a URC reports that it is ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.at.boot_urcs import is_ready_urc
from agent.at.client import AtClient, Response
from agent.at.command import AtCommand
from agent.at.error_codes import STARTING_ERRORS
from agent.at.errors import CommandRefused, CommandTimedOut

READY_TIMEOUT_S = 75.0
"""Modules read their SIM for 5 to 30 s after power-up; slow ones need a minute."""
RETRY_DELAYS_S = (0.5, 1.0, 2.0, 4.0, 5.0)


class SetupClient:
    """Sends the commands of one initialisation. All its retries share one time limit."""

    def __init__(self, *, client: AtClient, add_note: Callable[[str], None]) -> None:
        """`add_note` receives a sentence for each command that was refused or ignored."""
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._deadline = float("inf")
        self.add_note = add_note
        """Adds a note to the status, once."""
        self.echo_seen = False
        """True if the last accepted command was echoed."""

    async def exchange(self, command: AtCommand, max_tries: int | None = None) -> Response:
        """Send a command, and retry it while the module is busy, at most `max_tries` times in all.

        Raises CommandRefused, CommandTimedOut, ModemLost.
        """
        attempt = 0
        while True:
            try:
                response = await self._client.exchange(command)
            except CommandRefused as error:
                if (
                    attempt + 1 == max_tries
                    or not error.is_one_of(STARTING_ERRORS)
                    or not await self.wait_before_retry(attempt)
                ):
                    raise
            else:
                self.echo_seen = response.echo_seen
                return response
            attempt += 1

    async def try_command(
        self,
        command: AtCommand,
        *,
        note_failure: bool = True,
        max_tries: int | None = None,
        label: str = "",
    ) -> Response | None:
        """Send a command that may be refused or ignored; return None then, with a note if `note_failure`.

        The note names the command by `label`, if there is one. Raises ModemLost.
        """
        try:
            return await self.exchange(command, max_tries)
        except CommandRefused as error:
            failure = f"refused ({error.name or error.code or 'ERROR'})"
        except CommandTimedOut:
            failure = "ignored"
        if note_failure:
            self.add_note(f"{label or command.redacted_line} {failure}")
        return None

    async def retry_until_accepted(
        self, command: AtCommand, timeout_s: float = READY_TIMEOUT_S, *, stop_if_unsupported: bool = False
    ) -> None:
        """Send a command until it is accepted. Raises CommandRefused after `timeout_s`, or after the shared
        limit.

        `stop_if_unsupported`: do not retry if the module reports that it has no such command.
        """
        attempt = 0
        deadline = self._loop.time() + timeout_s
        while True:
            try:
                await self._client.exchange(command)
            except CommandRefused as error:
                if stop_if_unsupported and error.is_unsupported:
                    raise
                if self._loop.time() >= deadline or not await self.wait_before_retry(attempt):
                    raise
            else:
                return
            attempt += 1

    async def wait_before_retry(self, attempt: int) -> bool:
        """Wait for a module that is not ready. Return False without waiting if the shared limit has passed.

        The limit of `READY_TIMEOUT_S` begins with the first call.
        """
        self._deadline = min(self._deadline, self._loop.time() + READY_TIMEOUT_S)
        remaining_s = self._deadline - self._loop.time()
        if remaining_s <= 0:
            return False
        delay = min(RETRY_DELAYS_S[min(attempt, len(RETRY_DELAYS_S) - 1)], remaining_s)
        await self._client.urcs.wait_for(lambda urc: is_ready_urc(urc.text), delay)
        return True
