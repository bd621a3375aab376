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
from hardware.sim.interfaces import FCS_MEMORY_EXCEEDED, RP_MEMORY_EXCEEDED
from hardware.sim.network.events import NetworkEvent, NetworkEventKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.interfaces import MobileStation
    from hardware.sim.network.events import NetworkObserver
    from hardware.sim.network.timers import Timer, TimerGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTiming:
    """How long things take, in seconds. None of it is published for the real services but the 24 hours."""

    transit_s: float = 0.05
    """Between service and service centre, and from the module to the service centre; a real message was
    three seconds on its whole way, but nobody wants to wait for a simulation."""
    acknowledgement_timeout_s: float = 40.0
    """For the answer of the module (TR1N of 24.011, 35 to 45 s); longer than the 17 s in which a module with
    direct delivery waits for its host."""
    retry_delays_s: tuple[float, ...] = (30.0, 120.0, 600.0, 1800.0, 3600.0)
    """Waits after the first, second ... failed attempt; the last one is repeated."""
    alert_delay_s: float = 0.2
    """From "memory available" to the next attempt."""
    validity_s: float = 86400.0
    """The service tries for 24 hours."""


class DeliveryListener(Protocol):
    """Who wants to know what became of a message to a SIM."""

    def attempted(self) -> None:
        """It goes into the air; called before each attempt."""

    def acknowledged(self) -> None:
        """The module has it."""

    def gave_up(self) -> None:
        """No further attempt will be made."""


@dataclass(slots=True, eq=False, kw_only=True)
class MtMessage:
    """A message on its way to a SIM (mobile terminated)."""

    tpdu: pdu.Deliver | pdu.StatusReport
    sender: str
    """Who sent it, for events."""
    body: str | bytes | None
    sid: str | None = None
    listener: DeliveryListener | None = None
    store_and_forward: bool = True
    """Kept for a module that cannot be reached (store and forward)."""
    attempt_count: int = 0
    due: bool = True
    """Not waiting for its next attempt."""
    expired: bool = False
    retry_timer: Timer | None = None
    expiry_timer: Timer | None = None


class SubscriberQueue:
    """The messages for one SIM, oldest first."""

    def __init__(
        self,
        imsi: str,
        timers: TimerGroup,
        timing: NetworkTiming,
        service_centre: pdu.Address,
        wall_clock: Callable[[], datetime],
        emit: NetworkObserver,
    ) -> None:
        self.imsi = imsi
        self.station: MobileStation | None = None
        self.in_coverage = True
        """False: the module is where no radio wave reaches it."""
        self.messages: list[MtMessage] = []
        self.acks_to_drop = 0
        """How many of the next acknowledgements get lost."""
        self._timers = timers
        self._timing = timing
        self._service_centre = service_centre
        self._wall_clock = wall_clock
        self._emit = emit
        self._in_flight: tuple[int, MtMessage, Timer] | None = None
        self._last_reference = 255
        self._memory_full = False
        self._offer_timer: Timer | None = None

    @property
    def is_reachable(self) -> bool:
        """Whether an attempt makes sense now."""
        return self.in_coverage and self.station is not None and self.station.attached

    def enqueue(self, message: MtMessage) -> None:
        """Take a message; without store and forward it is given up at once if nobody is there."""
        self.messages.append(message)
        self._emit_event(NetworkEventKind.HANDED, message)
        if not message.store_and_forward and not self.is_reachable:
            self._give_up(message, "the module is not attached, and this service keeps nothing")
            return
        message.expiry_timer = self._timers.call_later(self._timing.validity_s, self._expire, message)
        self._schedule_offer(0.0)

    def attach(self, station: MobileStation) -> None:
        """A module with this SIM is there, perhaps another one than before; all that waits is due."""
        self._abort_attempt("the module attached anew")
        self.station = station
        self.retry_all(self._timing.alert_delay_s)

    def detach(self) -> None:
        """The module is gone; what was in the air may or may not have reached it."""
        self._abort_attempt("the module detached")
        self.station = None
        for message in [message for message in self.messages if not message.store_and_forward]:
            self._give_up(message, "the module detached, and this service keeps nothing")

    def retry_all(self, delay_s: float) -> None:
        """Offer all that waits, whatever the waits were."""
        self._memory_full = False
        for message in self.messages:
            message.due = True
            if message.retry_timer is not None:
                message.retry_timer.cancel()
        self._schedule_offer(delay_s)

    def handle_answer(self, reference: int, cause: int | None) -> None:
        """The module's answer; one that belongs to no open attempt is ignored."""
        if self._in_flight is None or self._in_flight[0] != reference:
            return
        _, message, timer = self._in_flight
        if cause is None and self.acks_to_drop > 0:
            self.acks_to_drop -= 1
            self._emit_event(NetworkEventKind.ACKNOWLEDGEMENT_LOST, message)
            return
        timer.cancel()
        self._in_flight = None
        if cause is None:
            self._remove(message)
            self._emit_event(NetworkEventKind.ACKNOWLEDGED, message)
            if message.listener is not None:
                message.listener.acknowledged()
        else:
            full = cause in (RP_MEMORY_EXCEEDED, FCS_MEMORY_EXCEEDED)
            self._memory_full = self._memory_full or (full and message.store_and_forward)
            what = "no memory left in the module" if full else f"cause {cause}"
            self._emit_event(NetworkEventKind.REFUSED, message, what)
            self._schedule_retry(message)
        self._schedule_offer(0.0)

    def _schedule_offer(self, delay_s: float) -> None:
        if self._offer_timer is not None:
            self._offer_timer.cancel()
        self._offer_timer = self._timers.call_later(delay_s, self._offer_next)

    def _offer_next(self) -> None:
        station = self.station
        # Messages that are not kept cannot wait for memory either: they have their one attempt.
        ready = [
            message
            for message in self.messages
            if message.due and not (self._memory_full and message.store_and_forward)
        ]
        if self._in_flight is not None or station is None or not self.is_reachable or not ready:
            return
        message = ready[0]
        message.attempt_count += 1
        self._last_reference = (self._last_reference + 1) % 256
        timer = self._timers.call_later(
            self._timing.acknowledgement_timeout_s, self._answer_timed_out, message
        )
        self._in_flight = (self._last_reference, message, timer)
        if message.listener is not None:
            message.listener.attempted()
        self._emit_event(NetworkEventKind.OFFERED, message)
        tpdu = message.tpdu.replace(more_messages=len(ready) > 1)
        station.deliver(self._last_reference, self._service_centre, pdu.encode(tpdu, sca=False).octets)

    def _answer_timed_out(self, message: MtMessage) -> None:
        self._in_flight = None
        self._emit_event(NetworkEventKind.UNANSWERED, message)
        self._schedule_retry(message)
        self._schedule_offer(0.0)

    def _abort_attempt(self, why: str) -> None:
        if self._in_flight is not None:
            _, message, timer = self._in_flight
            timer.cancel()
            self._in_flight = None
            self._emit_event(NetworkEventKind.UNANSWERED, message, why)
            if message.expired:
                self._give_up(message, "its period of validity is over")

    def _schedule_retry(self, message: MtMessage) -> None:
        if not message.store_and_forward:
            self._give_up(message, "one attempt only: this service keeps nothing")
        elif message.expired:
            self._give_up(message, "its period of validity is over")
        else:
            message.due = False
            waits = self._timing.retry_delays_s
            wait = waits[min(message.attempt_count, len(waits)) - 1]
            message.retry_timer = self._timers.call_later(wait, self._retry, message)

    def _retry(self, message: MtMessage) -> None:
        message.due = True
        self._memory_full = False
        self._schedule_offer(0.0)

    def _expire(self, message: MtMessage) -> None:
        message.expired = True
        if self._in_flight is None or self._in_flight[1] is not message:
            self._give_up(message, "its period of validity is over")

    def _give_up(self, message: MtMessage, why: str) -> None:
        self._remove(message)
        self._emit_event(NetworkEventKind.GIVEN_UP, message, why)
        if message.listener is not None:
            message.listener.gave_up()

    def _remove(self, message: MtMessage) -> None:
        self.messages.remove(message)
        for timer in (message.retry_timer, message.expiry_timer):
            if timer is not None:
                timer.cancel()

    def _emit_event(self, kind: NetworkEventKind, message: MtMessage, note: str = "") -> None:
        self._emit(
            NetworkEvent(
                kind=kind,
                at=self._wall_clock(),
                imsi=self.imsi,
                number=message.sender,
                sid=message.sid,
                body=message.body,
                attempt=message.attempt_count or None,
                note=note,
            )
        )
