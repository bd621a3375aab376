"""One pending command and its outcome."""

from __future__ import annotations

import asyncio

from agent.at.command import AtCommand
from agent.at.connection_state import ConnectionState
from agent.at.events import FinalResult, Information, StaleResult


class PendingCommand:
    """A command that was written. The connection records its results here."""

    def __init__(self, command: AtCommand) -> None:
        self.command = command
        self.reached = ConnectionState.COMMAND_PENDING
        """The last state of the connection while the command was pending."""
        self.information: list[Information] = []
        self.stale_results: list[StaleResult] = []
        """Results that came during the resynchronisation and may belong to this command."""
        self.final: FinalResult | None = None
        self.echo_seen = False
        self.boot_urc = ""
        """The URC by which the module reported a restart while the command was pending."""
        self.is_doubtful = False
        """True if something came meanwhile that is neither a part of the answer nor a known URC."""
        self.is_cancelled = False
        """The caller no longer waits: no body is written."""
        self.escape_confirmed = False
        """After the command was abandoned the module answered ESC by OK: text entry was still open."""
        self.is_finished = False
        self.failure_reason = ""
        """The reason why it ended without a final result code."""
        self._progress_waiter: asyncio.Future[None] | None = None

    @property
    def prompt_seen(self) -> bool:
        """True if the module prompted for the body."""
        return self.reached in {ConnectionState.PROMPT, ConnectionState.BODY_SENT}

    @property
    def body_sent(self) -> bool:
        """True if octets of the body may have left."""
        return self.reached is ConnectionState.BODY_SENT

    @property
    def awaits_body(self) -> bool:
        """True while the module waits for the body."""
        return self.reached is ConnectionState.PROMPT and not self.is_finished

    @property
    def needs_resync(self) -> bool:
        """True if later results may still belong to this command, or the OK belonged to an earlier one."""
        if self.final is None:
            return True
        return self.final.ok and self.command.requires_information and not self.information

    async def wait_progress(self) -> None:
        """Wait for the prompt, or for the end."""
        self._progress_waiter = asyncio.get_running_loop().create_future()
        await self._progress_waiter

    async def wait_finished(self) -> None:
        """Wait for the end."""
        while not self.is_finished:
            await self.wait_progress()

    def notify_waiter(self) -> None:
        """Wake the caller of `wait_progress`."""
        if self._progress_waiter is not None and not self._progress_waiter.done():
            self._progress_waiter.set_result(None)
