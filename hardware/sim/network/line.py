"""What waits at the service centre for one SIM, and the one message that is in the air to it.

A message is offered to the module when the module is attached and nothing else is in the air. The module
answers with RP-ACK (it has the message), with an error, or not at all. After an error or silence the same
message is offered again after waits that grow; a module without memory is left alone until it says that it
has room (RP-SMMA) or the wait of a message is over; a module that is not attached until it attaches. Each
message has a period of validity, after which it is given up.

An acknowledgement that is lost on its way leaves the module with a message which the network believes
undelivered: the second copy that follows is nothing but the next attempt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pdu
from hardware.sim.network.events import Event, EventKind
from hardware.sim.radio import MEMORY_EXCEEDED, MEMORY_EXCEEDED_FCS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.network.events import Observer
    from hardware.sim.network.timers import Timer, Timers
    from hardware.sim.radio import Station


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTiming:
    """How long things take, in seconds. None of it is published for the real services but the 24 hours."""

    transit: float = 0.05
    """Between service and service centre, and from the module to the service centre; a real message was
    three seconds on its whole way, but nobody wants to wait for a simulation."""
    acknowledgement: float = 40.0
    """For the answer of the module (TR1N of 24.011, 35 to 45 s); longer than the 17 s in which a module with
    direct delivery waits for its host."""
    retry: tuple[float, ...] = (30.0, 120.0, 600.0, 1800.0, 3600.0)
    """Waits after the first, second ... failed attempt; the last one is repeated."""
    alert: float = 0.2
    """From "memory available" to the next attempt."""
    validity: float = 86400.0
    """The service tries for 24 hours."""


class Outcome(Protocol):
    """Who wants to know what became of a message to a SIM."""

    def attempted(self) -> None:
        """It goes into the air; called before each attempt."""

    def acknowledged(self) -> None:
        """The module has it."""

    def gave_up(self) -> None:
        """No further attempt will be made."""


@dataclass(slots=True, eq=False, kw_only=True)
class Terminated:
    """A message on its way to a SIM (mobile terminated)."""

    tpdu: pdu.Deliver | pdu.StatusReport
    number: str
    """Who sent it, for events."""
    body: str | bytes | None
    sid: str | None = None
    outcome: Outcome | None = None
    keep: bool = True
    """Kept for a module that cannot be reached (store and forward)."""
    attempts: int = 0
    ready: bool = True
    """Not waiting for its next attempt."""
    expired: bool = False
    retry: Timer | None = None
    expiry: Timer | None = None


class Line:
    """The messages for one SIM, oldest first."""

    def __init__(
        self,
        imsi: str,
        timers: Timers,
        timing: NetworkTiming,
        service_centre: pdu.Address,
        wall: Callable[[], datetime],
        emit: Observer,
    ) -> None:
        self.imsi = imsi
        self.station: Station | None = None
        self.covered = True
        """False: the module is where no radio wave reaches it."""
        self.waiting: list[Terminated] = []
        self.losses = 0
        """How many of the next acknowledgements get lost."""
        self._timers = timers
        self._timing = timing
        self._service_centre = service_centre
        self._wall = wall
        self._emit = emit
        self._air: tuple[int, Terminated, Timer] | None = None
        self._reference = 255
        self._full = False
        self._soon: Timer | None = None

    @property
    def reachable(self) -> bool:
        """Whether an attempt makes sense now."""
        return self.covered and self.station is not None and self.station.attached

    def put(self, message: Terminated) -> None:
        """Take a message; without store and forward it is given up at once if nobody is there."""
        self.waiting.append(message)
        self._tell(EventKind.HANDED, message)
        if not message.keep and not self.reachable:
            self._give_up(message, "the module is not attached, and this service keeps nothing")
            return
        message.expiry = self._timers.later(self._timing.validity, self._expire, message)
        self._serve_in(0.0)

    def attach(self, station: Station) -> None:
        """A module with this SIM is there, perhaps another one than before; all that waits is due."""
        self._leave_air("the module attached anew")
        self.station = station
        self.flush(self._timing.alert)

    def detach(self) -> None:
        """The module is gone; what was in the air may or may not have reached it."""
        self._leave_air("the module detached")
        self.station = None
        for message in [message for message in self.waiting if not message.keep]:
            self._give_up(message, "the module detached, and this service keeps nothing")

    def flush(self, delay: float) -> None:
        """Offer all that waits, whatever the waits were."""
        self._full = False
        for message in self.waiting:
            message.ready = True
            if message.retry is not None:
                message.retry.cancel()
        self._serve_in(delay)

    def answer(self, reference: int, cause: int | None) -> None:
        """The module's answer; one that belongs to no open attempt is ignored."""
        if self._air is None or self._air[0] != reference:
            return
        _, message, timer = self._air
        if cause is None and self.losses > 0:
            self.losses -= 1
            self._tell(EventKind.ACKNOWLEDGEMENT_LOST, message)
            return
        timer.cancel()
        self._air = None
        if cause is None:
            self._remove(message)
            self._tell(EventKind.ACKNOWLEDGED, message)
            if message.outcome is not None:
                message.outcome.acknowledged()
        else:
            full = cause in (MEMORY_EXCEEDED, MEMORY_EXCEEDED_FCS)
            self._full = self._full or (full and message.keep)
            what = "no memory left in the module" if full else f"cause {cause}"
            self._tell(EventKind.REFUSED, message, what)
            self._put_off(message)
        self._serve_in(0.0)

    def _serve_in(self, delay: float) -> None:
        if self._soon is not None:
            self._soon.cancel()
        self._soon = self._timers.later(delay, self._serve)

    def _serve(self) -> None:
        station = self.station
        # Messages that are not kept cannot wait for memory either: they have their one attempt.
        ready = [message for message in self.waiting if message.ready and not (self._full and message.keep)]
        if self._air is not None or station is None or not self.reachable or not ready:
            return
        message = ready[0]
        message.attempts += 1
        self._reference = (self._reference + 1) % 256
        timer = self._timers.later(self._timing.acknowledgement, self._unanswered, message)
        self._air = (self._reference, message, timer)
        if message.outcome is not None:
            message.outcome.attempted()
        self._tell(EventKind.OFFERED, message)
        tpdu = message.tpdu.replace(more_messages=len(ready) > 1)
        station.deliver(self._reference, self._service_centre, pdu.encode(tpdu, sca=False).octets)

    def _unanswered(self, message: Terminated) -> None:
        self._air = None
        self._tell(EventKind.UNANSWERED, message)
        self._put_off(message)
        self._serve_in(0.0)

    def _leave_air(self, why: str) -> None:
        if self._air is not None:
            _, message, timer = self._air
            timer.cancel()
            self._air = None
            self._tell(EventKind.UNANSWERED, message, why)
            if message.expired:
                self._give_up(message, "its period of validity is over")

    def _put_off(self, message: Terminated) -> None:
        if not message.keep:
            self._give_up(message, "one attempt only: this service keeps nothing")
        elif message.expired:
            self._give_up(message, "its period of validity is over")
        else:
            message.ready = False
            waits = self._timing.retry
            wait = waits[min(message.attempts, len(waits)) - 1]
            message.retry = self._timers.later(wait, self._again, message)

    def _again(self, message: Terminated) -> None:
        message.ready = True
        self._full = False
        self._serve_in(0.0)

    def _expire(self, message: Terminated) -> None:
        message.expired = True
        if self._air is None or self._air[1] is not message:
            self._give_up(message, "its period of validity is over")

    def _give_up(self, message: Terminated, why: str) -> None:
        self._remove(message)
        self._tell(EventKind.GIVEN_UP, message, why)
        if message.outcome is not None:
            message.outcome.gave_up()

    def _remove(self, message: Terminated) -> None:
        self.waiting.remove(message)
        for timer in (message.retry, message.expiry):
            if timer is not None:
                timer.cancel()

    def _tell(self, kind: EventKind, message: Terminated, note: str = "") -> None:
        self._emit(
            Event(
                kind=kind,
                at=self._wall(),
                imsi=self.imsi,
                number=message.number,
                sid=message.sid,
                body=message.body,
                attempt=message.attempts or None,
                note=note,
            )
        )
