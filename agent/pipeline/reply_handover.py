"""Hands a reply to the idle sender in the commit that ends its Command, without a commit between them.

While that commit runs, the sender asks the module for the prompt. The body leaves when both have come. If the
commit fails or the reply may not leave yet, the sender closes text entry (ESC), and nothing has left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.journal.models import OutgoingMessage, ReplyRow


class Handover:
    """One reply, and the commit that ends its Command and marks the reply `sending`."""

    def __init__(self, message: OutgoingMessage, may_send: Callable[[], bool]) -> None:
        self.message = message
        self.may_send = may_send
        """Returns False if a rate limit delays the reply; for the thread of the journal."""
        self._result: asyncio.Future[ReplyRow | None] = asyncio.get_running_loop().create_future()

    def resolve(self, reply: ReplyRow | None) -> None:
        """Report the commit: the row in the state `sending`, or None if the sender must not send it."""
        if not self._result.done():
            self._result.set_result(reply)

    async def committed(self) -> ReplyRow | None:
        """Wait for the commit, and return what was reported."""
        return await asyncio.shield(self._result)


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

    def begin(self, message: OutgoingMessage) -> Handover | None:
        """Hand a reply over before its commit. Return None if the sender cannot send it at once."""
        if self._pending is not None or self._accepts is None or not self._accepts():
            return None
        self._pending = Handover(message, self._may_send)
        self.notify_queued()
        return self._pending
