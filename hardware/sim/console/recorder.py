"""Records what happens in a sandbox for the readers of the console.

Recording costs an entry in a bounded queue for each event; words and JSON are made when somebody looks.
"""

from __future__ import annotations

from collections import defaultdict, deque
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from hardware.sim.console.agent_reports import AgentReporter
from hardware.sim.console.correlation import SimCorrelation
from hardware.sim.console.feed import ConsoleFeed, RecordKind
from hardware.sim.network.events import NetworkEventKind

if TYPE_CHECKING:
    from datetime import datetime

    from hardware.sim.callbacks.record import Callback
    from hardware.sim.module.ports import LineDirection
    from hardware.sim.network.events import NetworkEvent
    from hardware.sim.sandbox import Sandbox
    from hardware.sim.sandbox_sim import SandboxSim
    from hardware.sim.service.resource import CommandResource, ResourceStatus


MAX_PARTS = 255
"""Number of the latest parts from a SIM that are remembered; a message has at most as many."""
MAX_RECORDED_OCTETS = 2000
"""Number of octets that are kept of one piece on a port; a whole +CMGL of a full store is longer."""


class EventRecord(NamedTuple):
    """An event of network or service; `sid` is the Command in whose path it is shown.

    `sim` is None if it concerns no single SIM.
    """

    sim: SandboxSim | None
    event: NetworkEvent
    sid: str | None
    note: str


class StatusRecord(NamedTuple):
    """A new status of a Command."""

    resource: CommandResource
    status: ResourceStatus
    at: datetime


class PortRecord(NamedTuple):
    """Octets on the line of a module."""

    sim: SandboxSim
    at: datetime
    direction: LineDirection
    octets: bytes
    omitted: int
    """Number of octets that followed and were not kept."""


class AnswerRecord(NamedTuple):
    """The message `reply_sid` from the SIM answers the Command `sid`."""

    reply_sid: str
    sid: str


class ConsoleRecorder:
    """Observes a sandbox."""

    def __init__(self, sandbox: Sandbox, feed: ConsoleFeed) -> None:
        self._feed = feed
        self._sandbox = sandbox
        self._correlations: defaultdict[str, SimCorrelation] = defaultdict(SimCorrelation)
        """By IMSI."""
        self._originated: defaultdict[str, deque[NetworkEvent]] = defaultdict(
            partial(deque, maxlen=MAX_PARTS)
        )
        """Parts from a SIM that the service centre has accepted, by IMSI, until their message arrives."""
        self.agents: dict[str, AgentReporter] = {}
        """The agents that report, by name."""
        sandbox.records.add_observer(self._record_event)
        sandbox.records.add_callback_observer(self._record_callback)
        sandbox.records.add_line_observer(self._record_octets)
        sandbox.records.add_status_observer(self._record_status)

    def reset(self) -> None:
        """Forget the messages that are not answered."""
        self._correlations.clear()
        self._originated.clear()

    def add_agent(self, name: str) -> AgentReporter:
        """Return the reporter for an agent."""
        reporter = self.agents[name] = AgentReporter(
            name,
            wall_clock=self._sandbox.clock.now,
            correlate=lambda sim: self._correlations[sim.sim_card.imsi],
            on_step=lambda step: self._feed.append(RecordKind.PATH, step),
            on_change=lambda agent: self._feed.append(RecordKind.PATH, agent),
        )
        return reporter

    def _record_event(self, sim: SandboxSim | None, event: NetworkEvent) -> None:
        kind, sid = event.kind, event.sid
        if kind is NetworkEventKind.ORIGINATED:
            self._originated[event.imsi].append(event)
            return
        if kind in (NetworkEventKind.LISTED, NetworkEventKind.NOT_LISTED):
            self._record_message(sim, event)
            return
        if sid is not None:
            if kind is NetworkEventKind.OFFERED and event.attempt == 1:
                self._correlations[event.imsi].add_offered(sid, event.body)
            elif kind is NetworkEventKind.ACKNOWLEDGED:
                self._correlations[event.imsi].add_acknowledged(sid)
        self._feed.append(RecordKind.PATH, EventRecord(sim, event, sid, ""))

    def _record_message(self, sim: SandboxSim | None, event: NetworkEvent) -> None:
        """Record a complete message from a SIM with its parts, in the path of the Command that it answers."""
        answered = self._correlations[event.imsi].find_answered(event.body)
        sid, note = (event.sid, "") if answered is None else answered
        for part in self._take_parts(event):
            self._feed.append(RecordKind.PATH, EventRecord(sim, part, sid, ""))
        self._feed.append(RecordKind.PATH, EventRecord(sim, event, sid, note))
        if answered is not None and event.sid is not None:
            self._feed.append(RecordKind.PATH, AnswerRecord(event.sid, answered.sid))

    def _take_parts(self, message: NetworkEvent) -> list[NetworkEvent]:
        """Return the parts of a message; those of messages that are late or lost stay."""
        accepted = self._originated[message.imsi]
        parts = [part for part in accepted if _is_part(part, message)]
        for part in parts:
            accepted.remove(part)
        return parts

    def _record_status(self, resource: CommandResource) -> None:
        self._feed.append(RecordKind.PATH, StatusRecord(resource, resource.status, resource.updated_at))

    def _record_callback(self, callback: Callback) -> None:
        self._feed.append(RecordKind.CALLBACK, callback)

    def _record_octets(self, sim: SandboxSim, direction: LineDirection, octets: bytes) -> None:
        kept = octets[:MAX_RECORDED_OCTETS]
        record = PortRecord(sim, self._sandbox.clock.now(), direction, kept, len(octets) - len(kept))
        self._feed.append(RecordKind.PORT, record)


def _is_part(part: NetworkEvent, message: NetworkEvent) -> bool:
    """Return True unless number or content show that a part is one of another message."""
    if part.number != message.number:
        return False
    match part.body, message.body:
        case (str(piece), str(whole)):
            return piece in whole
        case (bytes(piece), bytes(whole)):
            return piece in whole
    return True  # text and octets are mixed
