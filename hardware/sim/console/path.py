"""The steps in the path of a Command, in words: from the REST request to the callback about its reply."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from hardware.sim.network.events import NetworkEventKind

if TYPE_CHECKING:
    from datetime import datetime

    from hardware.sim.network.events import NetworkEvent
    from hardware.sim.service.resource import ResourceStatus


class PathStage(StrEnum):
    """The part of the path in which a step happens."""

    REST = "rest"
    NETWORK = "network"
    MODULE = "module"
    AGENT = "agent"
    HANDLER = "handler"
    REPLY = "reply"
    WEBHOOK = "webhook"


class StepTone(StrEnum):
    """How a step is to be taken."""

    NEUTRAL = "neutral"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathStep:
    """One step."""

    stage: PathStage
    title: str
    at: datetime
    sim: str | None
    """Unique name of the SIM; None if the step concerns no single one."""
    sid: str | None
    """SID of the Command in whose path the step is; None if it belongs to none."""
    detail: str = ""
    content: str | bytes | None = None
    """Text or octets of the message that the step is about."""
    tone: StepTone = StepTone.NEUTRAL


_NETWORK_STEPS = {
    NetworkEventKind.CREATED: (PathStage.REST, "Command created", StepTone.NEUTRAL),
    NetworkEventKind.HANDED: (PathStage.NETWORK, "Accepted by the service centre", StepTone.NEUTRAL),
    NetworkEventKind.OFFERED: (PathStage.MODULE, "Offered to the module", StepTone.NEUTRAL),
    NetworkEventKind.ACKNOWLEDGED: (PathStage.MODULE, "Acknowledged by the module", StepTone.GOOD),
    NetworkEventKind.ACKNOWLEDGEMENT_LOST: (PathStage.NETWORK, "Acknowledgement lost", StepTone.WARNING),
    NetworkEventKind.REFUSED: (PathStage.MODULE, "Refused by the module", StepTone.WARNING),
    NetworkEventKind.UNANSWERED: (PathStage.MODULE, "Not answered by the module", StepTone.WARNING),
    NetworkEventKind.GIVEN_UP: (PathStage.NETWORK, "Given up by the service centre", StepTone.BAD),
    NetworkEventKind.REDELIVERED: (PathStage.NETWORK, "Handed over again, unchanged", StepTone.NEUTRAL),
    NetworkEventKind.ORIGINATED: (PathStage.REPLY, "Accepted by the service centre", StepTone.NEUTRAL),
    NetworkEventKind.LISTED: (PathStage.REPLY, "Listed by the service", StepTone.GOOD),
    NetworkEventKind.NOT_LISTED: (PathStage.REPLY, "Not listed by the service", StepTone.WARNING),
    NetworkEventKind.FAULT: (PathStage.NETWORK, "Fault", StepTone.WARNING),
    NetworkEventKind.ATTACHED: (PathStage.NETWORK, "Attached", StepTone.GOOD),
    NetworkEventKind.DETACHED: (PathStage.NETWORK, "Detached", StepTone.WARNING),
    NetworkEventKind.CALLBACK_ACCEPTED: (PathStage.WEBHOOK, "Callback accepted", StepTone.GOOD),
    NetworkEventKind.CALLBACK_FAILED: (PathStage.WEBHOOK, "Callback failed", StepTone.BAD),
    NetworkEventKind.CALLBACK_NOT_SENT: (PathStage.WEBHOOK, "Callback not sent", StepTone.WARNING),
}
_NUMBER_WORDS = {
    NetworkEventKind.OFFERED: "from",
    NetworkEventKind.ORIGINATED: "to",
    NetworkEventKind.NOT_LISTED: "to",
}
"""The kinds whose step shows the number of the other side."""
_CONTENT_KINDS = {NetworkEventKind.CREATED, NetworkEventKind.ORIGINATED}


def network_step(event: NetworkEvent, sim: str | None, sid: str | None, note: str = "") -> PathStep:
    """Return the step for an event of network or service; `note` is added to what the event says."""
    stage, title, tone = _NETWORK_STEPS.get(
        event.kind,
        (PathStage.NETWORK, event.kind.value.replace("_", " ").capitalize(), StepTone.NEUTRAL),
    )
    words = [event.note, note]
    if event.number and event.kind in _NUMBER_WORDS:
        words.insert(0, f"{_NUMBER_WORDS[event.kind]} {event.number}")
    if event.attempt is not None and event.attempt > 1:
        words.insert(0, f"attempt {event.attempt}")
    return PathStep(
        stage=stage,
        title=title,
        at=event.at,
        sim=sim,
        sid=sid,
        detail=", ".join(filter(None, words)),
        content=event.body if event.kind in _CONTENT_KINDS else None,
        tone=tone,
    )


def status_step(status: ResourceStatus, reason: str, at: datetime, sim: str, sid: str) -> PathStep:
    """Return the step for a new status of a Command."""
    tones = {"delivered": StepTone.GOOD, "received": StepTone.GOOD, "failed": StepTone.BAD}
    return PathStep(
        stage=PathStage.REST,
        title=f"Status {status}",
        at=at,
        sim=sim,
        sid=sid,
        detail=reason,
        tone=tones.get(status, StepTone.NEUTRAL),
    )
