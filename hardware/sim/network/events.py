"""Events of the simulated network and services, one for each step of a message.

A Command to a SIM is created, handed to the service centre, offered (once per attempt) and acknowledged. A
message from a SIM is originated, then listed or not listed. The demo, the control interface and tests read
the events; nothing depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NetworkEventKind(StrEnum):
    """The kinds of events, in the order in which they happen to a message."""

    CREATED = "created"
    """The service has created the resource of a Command to a SIM."""
    HANDED = "handed"
    """The service centre has accepted a message for a SIM."""
    OFFERED = "offered"
    """The message was sent to the module (RP-DATA); its answer is awaited."""
    ACKNOWLEDGED = "acknowledged"
    """The module has acknowledged the message (RP-ACK)."""
    ACKNOWLEDGEMENT_LOST = "acknowledgement_lost"
    """The acknowledgement of the module was lost; the network will send the same message again."""
    REFUSED = "refused"
    """The module refused the message (RP-ERROR); it is kept if the service stores and forwards."""
    UNANSWERED = "unanswered"
    """The module did not answer within the network's time limit; the message is treated as refused."""
    GIVEN_UP = "given_up"
    """The service centre makes no further attempt."""
    REDELIVERED = "redelivered"
    """A message that was sent before was handed to the service centre again, unchanged."""
    ORIGINATED = "originated"
    """The module sent a message, and the service centre accepted it (RP-ACK)."""
    LISTED = "listed"
    """A message from a SIM has become a resource with status `received`."""
    NOT_LISTED = "not_listed"
    """A message from a SIM that no list shows: it is for another number, or the service lists none."""
    CALLBACK_ACCEPTED = "callback_accepted"
    """The receiver of a callback answered 2xx."""
    CALLBACK_FAILED = "callback_failed"
    """A try of a callback was not answered 2xx; the note says why, and whether another one follows."""
    CALLBACK_NOT_SENT = "callback_not_sent"
    """A callback was not sent; the note says why."""
    FAULT = "fault"
    """A fault of the network or of the module occurred; the note begins with its name."""
    SCENARIO = "scenario"
    """A scenario began or ended, or one of its steps happened; a failure of a step too."""
    CLOCK = "clock"
    """The clock of the sandbox was moved, frozen or started again; it concerns no single SIM."""
    RESET = "reset"
    """The sandbox has begun anew; it concerns no single SIM."""
    ATTACHED = "attached"
    DETACHED = "detached"


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkEvent:
    """One event. Fields that do not apply to its kind are None."""

    kind: NetworkEventKind
    at: datetime
    imsi: str
    """Empty if it concerns no single SIM."""
    number: str | None = None
    """Originating address of a message to the SIM, destination address of one from it."""
    sid: str | None = None
    """SID of the Command, if the message belongs to one."""
    body: str | bytes | None = None
    attempt: int | None = None
    """Number of the attempt, from 1."""
    note: str = ""
    """The reason in a few words, for display."""


NetworkObserver = Callable[[NetworkEvent], None]


class EventReporter:
    """Passes each event with its time to an observer."""

    def __init__(self, wall_clock: Callable[[], datetime], observer: NetworkObserver) -> None:
        self._wall_clock = wall_clock
        self._observer = observer

    def report(
        self,
        kind: NetworkEventKind,
        imsi: str,
        number: str | None = None,
        body: str | bytes | None = None,
        *,
        sid: str | None = None,
        attempt: int | None = None,
        note: str = "",
    ) -> None:
        """Report an event; the parameters are the fields of `NetworkEvent`."""
        self._observer(
            NetworkEvent(
                kind=kind,
                at=self._wall_clock(),
                imsi=imsi,
                number=number,
                sid=sid,
                body=body,
                attempt=attempt,
                note=note,
            )
        )
