"""Connects the metrics with the objects of the agent. It is imported only if ``[metrics]`` asks for them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

from agent.common.config import MetricsConfig
from agent.common.events import EventSink
from agent.common.sd_notify import SdNotify
from agent.daemon.agent_status import BOTH, RECEIVED
from agent.daemon.components import Components
from agent.journal.models import CommandState, ReplyState
from agent.metrics.event_counts import EventCounts
from agent.metrics.exporter import MetricsExporter
from agent.metrics.families import Readings
from agent.recovery.policy import RecoveryAction

CLOCK_TOLERANCE_S = 5.0
"""The time of the start is calculated again if the wall clock was set by more than this."""


class AgentMetrics:
    """Counts the events of one agent and exports its metrics."""

    def __init__(
        self, config: MetricsConfig, emit: EventSink, wall_clock: Callable[[], float], journal_path: Path
    ) -> None:
        """`emit` gets every event after it was counted."""
        loop = asyncio.get_running_loop()
        self._config = config
        self._emit = emit
        self._wall_clock = wall_clock
        self._journal_path = journal_path
        self._changed = asyncio.Event()
        self._started_at = loop.time()
        self._start_time_s = wall_clock()
        self.counts = EventCounts(emit, loop.time, self._changed.set)

    def watch_status(self, notify: SdNotify) -> SdNotify:
        """Return a function that passes notifications on; a new status line is a change to export."""

        def watched(message: str) -> None:
            if message.startswith("STATUS="):
                self._changed.set()
            notify(message)

        return watched

    async def run(self, components: Components) -> None:
        """Export until cancelled."""

        async def read() -> Readings:
            return await self._read(components)

        await MetricsExporter(
            config=self._config, counts=self.counts, read=read, changed=self._changed, emit=self._emit
        ).run()

    async def _read(self, components: Components) -> Readings:
        status = await components.agent_status.build()
        prevented = {problem.prevents for problem in components.agent_status.find_problems()}
        counts = components.recovery_executor.action_counts
        start_time_s = self._wall_clock() - (asyncio.get_running_loop().time() - self._started_at)
        if abs(start_time_s - self._start_time_s) > CLOCK_TOLERANCE_S:
            self._start_time_s = start_time_s
        return Readings(
            status=status,
            can_receive=not prevented & {BOTH, RECEIVED},
            can_answer=not prevented - {RECEIVED},
            start_time_s=self._start_time_s,
            journal_bytes=_size_of(self._journal_path) + _size_of(Path(f"{self._journal_path}-wal")),
            at_errors=components.supervisor.connection.at_error_counts,
            recovery_actions={action.name.lower(): counts[action] for action in RecoveryAction},
            command_states=tuple(CommandState),
            reply_states=tuple(ReplyState),
        )


def _size_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
