"""What an agent reports about Commands while it runs them.

A report is a JSON object, as the control socket of `modem-agent` streams it. Any device program may report in
this form:

    kind       what has happened, in the words of the table below
    message    more about it, for display (optional)
    command    number of the Command at the agent (optional)
    sid        SID of the Command, if the message had one (optional)
    text, hex  content of the message for "received", "queued" and "sending" (optional)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.console.path import PathStage, PathStep, StepTone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from hardware.sim.console.correlation import SimCorrelation
    from hardware.sim.sandbox_sim import SandboxSim

MAX_NUMBERS = 1000
"""Number of an agent's latest Commands whose SIDs are remembered."""

_STEPS = {
    "received": (PathStage.AGENT, "Received and stored", StepTone.NEUTRAL),
    "duplicate": (PathStage.AGENT, "Duplicate, not run again", StepTone.WARNING),
    "expired": (PathStage.AGENT, "Too old, not run", StepTone.WARNING),
    "running": (PathStage.HANDLER, "Handler started", StepTone.NEUTRAL),
    "done": (PathStage.HANDLER, "Handler finished", StepTone.GOOD),
    "failed": (PathStage.HANDLER, "Failed", StepTone.BAD),
    "interrupted": (PathStage.HANDLER, "Interrupted", StepTone.WARNING),
    "retry later": (PathStage.HANDLER, "Handler asked for a later attempt", StepTone.NEUTRAL),
    "not started": (PathStage.HANDLER, "Handler could not be started", StepTone.WARNING),
    "action started": (PathStage.HANDLER, "Action after the reply started", StepTone.NEUTRAL),
    "action finished": (PathStage.HANDLER, "Action after the reply finished", StepTone.NEUTRAL),
    "queued": (PathStage.REPLY, "Reply stored", StepTone.NEUTRAL),
    "sending": (PathStage.REPLY, "Reply passed to the module", StepTone.NEUTRAL),
    "sent": (PathStage.REPLY, "Reply sent", StepTone.GOOD),
    "not sent": (PathStage.REPLY, "Reply not sent", StepTone.WARNING),
    "unknown": (PathStage.REPLY, "Outcome of the reply not known", StepTone.WARNING),
    "status report": (PathStage.REPLY, "Status report for the reply", StepTone.NEUTRAL),
}


class AgentReporter:
    """One agent, in this process or another one. Its Commands are those of one SIM once the SIM is known."""

    def __init__(
        self,
        name: str,
        *,
        wall_clock: Callable[[], datetime],
        correlate: Callable[[SandboxSim], SimCorrelation],
        on_step: Callable[[PathStep], None],
        on_change: Callable[[AgentReporter], None],
    ) -> None:
        self.name = name
        self.sim: SandboxSim | None = None
        self.state = "not connected"
        """The connection in a few words."""
        self.is_connected = False
        self._wall_clock = wall_clock
        self._correlate = correlate
        self._on_step = on_step
        self._on_change = on_change
        self._sids: dict[int, str] = {}
        """SID by the number that a Command has at the agent; the newest is last."""

    def set_state(self, sim: SandboxSim | None, state: str, *, is_connected: bool) -> None:
        """Set the SIM in the agent's module, None if it is not known, and the state of the connection."""
        self.sim, self.state, self.is_connected = sim, state, is_connected
        self._on_change(self)

    def report(self, report: Mapping[str, object]) -> None:
        """Show a report in the path of its Command; one that belongs to no Command is not shown."""
        if self.sim is None:
            return
        kind, content = str(report.get("kind")), _content(report)
        sid = self._find_command(kind, report, content)
        if sid is None:
            return
        if kind == "sending" and content is not None:
            self._correlate(self.sim).announce_reply(sid, content)
        stage, title, tone = _STEPS.get(kind, (PathStage.AGENT, kind.capitalize(), StepTone.NEUTRAL))
        self._on_step(
            PathStep(
                stage=stage,
                title=title,
                at=self._wall_clock(),
                sim=self.sim.unique_name,
                sid=sid,
                detail=str(report.get("message") or ""),
                content=content,
                tone=tone,
            )
        )

    def _find_command(
        self, kind: str, report: Mapping[str, object], content: str | bytes | None
    ) -> str | None:
        number, written = report.get("command"), report.get("sid")
        sid = written if isinstance(written, str) else None
        if not isinstance(number, int):
            return sid
        if kind == "received":  # an agent with a new journal begins again at 1
            self._sids.pop(number, None)
        if number in self._sids:
            return self._sids[number]
        if kind in ("received", "expired") and self.sim is not None:
            sid = self._correlate(self.sim).claim_received(sid, content)
        if sid is not None:
            self._sids[number] = sid
            if len(self._sids) > MAX_NUMBERS:
                del self._sids[next(iter(self._sids))]
        return sid


def _content(report: Mapping[str, object]) -> str | bytes | None:
    text, digits = report.get("text"), report.get("hex")
    if isinstance(text, str):
        return text
    try:
        return bytes.fromhex(digits) if isinstance(digits, str) else None
    except ValueError:
        return None
