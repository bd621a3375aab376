"""Whether the clients of a sandbox are quiet: programs at the ports, callers of the API, callback receivers.

A sandbox whose time jumps must give them the time to react, which is time of the host. Nothing tells when a
program in another process has finished; it counts as quiet after a while without any input or output.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleTimes:
    """How long clients may take, in seconds of the host's time."""

    quiet_s: float = 0.05
    """Time without input and output after which they are quiet. An agent reads a message and writes its
    journal within this time; a handler may need longer."""
    max_wait_s: float = 3.0
    """Time after which nobody waits for them any longer."""


class ClientActivity:
    """Counts input and output. `is_awaited` returns True while an answer of a client is outstanding."""

    def __init__(self, is_awaited: Callable[[], bool]) -> None:
        self._is_awaited = is_awaited
        self._count = self._settled_count = 0

    def note(self) -> None:
        """Note input from a client, or output to one."""
        self._count += 1

    async def settle(self, times: SettleTimes) -> None:
        """Return when clients are quiet: at once if nothing has happened since the last call."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)  # tasks that the last timer has started
        deadline = loop.time() + times.max_wait_s
        while (self._count != self._settled_count or self._is_awaited()) and loop.time() < deadline:
            self._settled_count = self._count
            await asyncio.sleep(times.quiet_s)
