"""Hands a reply to the idle sender before the commit that ends its Command, which then marks it `sending`.

The sender asks the module for the prompt first. When it comes, one commit ends the Command and marks the
reply `sending`, and the body follows at once. Without a prompt in time the reply is queued, as with a busy
sender. If the commit fails or the reply may not leave yet, the sender closes text entry (ESC), and nothing
has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.journal.models import OutgoingMessage, ReplyRow

PROMPT_TIMEOUT_S = 0.3
"""Time for the prompt; most modules need 3 to 50 ms. The end of the Command is not committed before."""


class HandoverEnded(Exception):  # noqa: N818  (a state of the handover, not a mistake)
    """A reply that was handed over must not leave now; the outbox has it."""


class Handover:
    """One reply, and the commit that ends its Command and marks the reply `sending`."""

    def __init__(self, command_id: int, message: OutgoingMessage, may_send: Callable[[], bool]) -> None:
        self.command_id = command_id
        self.message = message
        self.may_send = may_send
        """Returns False if a rate limit delays the reply; for the thread of the journal."""
        self.was_late = False
        """True if the prompt did not come in time."""
        self._prompted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._result: asyncio.Future[ReplyRow | None] = asyncio.get_running_loop().create_future()

    def on_prompt(self) -> None:
        """Report that the module waits for the body."""
        if not self._prompted.done():
            self._prompted.set_result(True)

    def abandon(self) -> None:
        """Report that no prompt will come."""
        if not self._prompted.done():
            self._prompted.set_result(False)

    async def wait_for_prompt(self) -> bool:
        """Return True if the module waits for the body, False if it will not or needs too long."""
        done, _ = await asyncio.wait((self._prompted,), timeout=PROMPT_TIMEOUT_S)
        self.was_late = not done
        return bool(done) and self._prompted.result()

    def resolve(self, reply: ReplyRow | None) -> None:
        """Report the commit: the row in the state `sending`, or None if the sender must not send it."""
        if not self._result.done():
            self._result.set_result(reply)

    async def committed(self) -> ReplyRow | None:
        """Wait for the commit, and return what was reported."""
        return await self._result


class ReplyHandover:
    """Connects the ends of Commands with the sender of the session, which may be busy or absent."""

    def __init__(self, notify_queued: Callable[[], None]) -> None:
        """`notify_queued` wakes the sender: a message was queued, or is handed over."""
        self.notify_queued = notify_queued
        self._accepts: Callable[[], bool] | None = None
        """Returns True if the sender could ask for the prompt now; None while it is not idle."""
        self._may_send: Callable[[], bool] = lambda: False
        self._pending: Handover | None = None

    def open(self, accepts: Callable[[], bool], may_send: Callable[[], bool]) -> None:
        """Offer an idle sender, until `close`."""
        self._accepts, self._may_send = accepts, may_send

    def close(self) -> Handover | None:
        """End the offer; return the reply that was handed over meanwhile."""
        handover, self._pending, self._accepts = self._pending, None, None
        return handover

    def begin(self, command_id: int, message: OutgoingMessage) -> Handover | None:
        """Hand a reply over before its commit. Return None if the sender cannot send it at once."""
        if self._pending is not None or self._accepts is None or not self._accepts():
            return None
        self._pending = Handover(command_id, message, self._may_send)
        self.notify_queued()
        return self._pending
