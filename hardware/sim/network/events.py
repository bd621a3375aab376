"""What an observer of the simulated network and service is told, one event a step of a message's road.

A Command goes: created, handed, offered (once an attempt), acknowledged. A message from a SIM goes:
originated, then listed or not_listed. Nothing here decides anything; the demo, the control interface and
tests read it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NetworkEventKind(StrEnum):
    """The steps, in the order in which a message meets them."""

    CREATED = "created"
    """The service has made the resource of a Command to a SIM."""
    HANDED = "handed"
    """The service centre has taken a message for a SIM and keeps it."""
    OFFERED = "offered"
    """The message went to the module over the air (RP-DATA); its answer is awaited."""
    ACKNOWLEDGED = "acknowledged"
    """The module has it (RP-ACK)."""
    ACKNOWLEDGEMENT_LOST = "acknowledgement_lost"
    """The module has it, and the network does not know: the same message will come again."""
    REFUSED = "refused"
    """The module answered with an error (RP-ERROR); the message is kept where the service keeps messages."""
    UNANSWERED = "unanswered"
    """No answer of the module within the network's time; as after a refusal."""
    GIVEN_UP = "given_up"
    """The service centre tries no more."""
    REDELIVERED = "redelivered"
    """A message that had been sent before was handed to the service centre again, unchanged."""
    ORIGINATED = "originated"
    """The module sent a message, and the service centre accepted it (RP-ACK)."""
    LISTED = "listed"
    """A message from a SIM has become a resource with status `received`."""
    NOT_LISTED = "not_listed"
    """A message from a SIM that no list shows: for another number, or the service keeps none."""
    ATTACHED = "attached"
    DETACHED = "detached"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEvent:
    """One step. Fields that do not belong to the step are None."""

    kind: NetworkEventKind
    at: datetime
    imsi: str
    number: str | None = None
    """Other side of the message: originating address to the SIM, destination from it."""
    sid: str | None = None
    """SID of the Command, where the message has one."""
    body: str | bytes | None = None
    attempt: int | None = None
    """Which attempt this is, from 1."""
    note: str = ""
    """For people: why, in a few words."""


NetworkObserver = Callable[[NetworkEvent], None]
