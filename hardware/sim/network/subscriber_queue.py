"""The messages that wait at the service centre for one SIM, of which one is in flight at a time.

A message is offered to the module while the module is attached and no other message is in flight. The
module answers with RP-ACK, with an error, or not at all. After an error or a timeout the message is offered
again with a backoff. A module without memory gets no messages until it reports free memory (RP-SMMA) or the
wait of a message is over; a module that is not attached, until it attaches. A message whose validity period
has passed is given up.

If an acknowledgement is lost, the module has a message that the network considers undelivered. The duplicate
that follows is simply the next attempt.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import pdu
from hardware.sim.interfaces import FCS_MEMORY_EXCEEDED, RP_MEMORY_EXCEEDED
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.network.faults import MessageRate

if TYPE_CHECKING:
    from hardware.sim.interfaces import MobileStation, TimerHandle
    from hardware.sim.network.events import EventReporter
    from hardware.sim.network.faults import NetworkFaults
    from hardware.sim.timers import TimerGroup

SERVICE_CENTRE = pdu.Address.parse("+447700900000")
"""A number from the range reserved for fiction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkTiming:
    """Delays and time limits in seconds. Of the real services only the 24 hours are published."""

    transit_s: float = 0.05
    """Between service and service centre, and from the module to the service centre. A real message takes
    about three seconds; a simulation need not wait."""
    acknowledgement_timeout_s: float = 40.0
    """Timeout for the answer of the module (TR1N of 24.011, 35 to 45 s). It is longer than the time that a
    module with direct delivery waits for +CNMA from its host."""
    retry_delays_s: tuple[float, ...] = (30.0, 120.0, 600.0, 1800.0, 3600.0)
    """Waits after the first, second ... failed attempt; the last one repeats."""
    alert_delay_s: float = 0.2
    """From RP-SMMA or an attach to the next attempt."""
    validity_s: float = 86400.0
    """Validity period: the service tries for 24 hours."""
    part_gap_s: float = 0.0
    """From one part of a long message to the attempt to deliver the next one. A real one takes a second or
    more: each part is a transaction of its own."""


class DeliveryListener(Protocol):
    """Callbacks about the delivery of one message."""

    def attempted(self) -> None:
        """Called before each attempt."""

    def acknowledged(self) -> None:
        """Called when the module has acknowledged the message."""

    def gave_up(self) -> None:
        """Called when no further attempt will be made."""

    @property
    def wants_receipt(self) -> bool:
        """True if a delivery receipt was requested."""


@dataclass(slots=True, eq=False, kw_only=True)
class MtMessage:
    """A message to a SIM (mobile terminated)."""

    tpdu: pdu.Deliver | pdu.StatusReport
    sender: str
    """Originating address, for events."""
    body: str | bytes | None
    sid: str | None = None
    listener: DeliveryListener | None = None
    store_and_forward: bool = True
    """True if the message is kept while the module cannot be reached."""
    attempt_count: int = 0
    expired: bool = False
    withdrawn: bool = False
    """True if the service does not want it delivered any more."""
    retry_timer: TimerHandle | None = None
    expiry_timer: TimerHandle | None = None

    def report_attempted(self) -> None:
        """Tell the listener, if there is still one, that an attempt begins."""
        if self.listener is not None:
            self.listener.attempted()

    def report_acknowledged(self) -> None:
        """Tell the listener, if there is still one, that the module has the message."""
        if self.listener is not None:
            self.listener.acknowledged()

    def report_given_up(self) -> None:
        """Tell the listener, if there is still one, that no further attempt will be made."""
        if self.listener is not None:
            self.listener.gave_up()


class SubscriberQueue:
    """The messages for one SIM, oldest first. Adding and removing one costs the same however many wait."""

    def __init__(
        self,
        imsi: str,
        *,
        timers: TimerGroup,
        timing: NetworkTiming,
        events: EventReporter,
        faults: NetworkFaults,
    ) -> None:
        self.imsi = imsi
        self.station: MobileStation | None = None
        self.in_coverage = True
        """False while the module is out of radio coverage."""
        self.messages: OrderedDict[MtMessage, None] = OrderedDict()
        """In order of arrival."""
        self.faults = faults
        self._timers = timers
        self._timing = timing
        self._events = events
        self._delayed: set[MtMessage] = set()
        """Messages that wait for their next attempt; all others are due."""
        self._in_flight: tuple[int, MtMessage, TimerHandle] | None = None
        self._last_reference = 255
        self._memory_full = False
        self._offer_timer: TimerHandle | None = None
        self._rate: MessageRate | None = None
        """Messages to the SIM, from the first time that its rate is limited."""
        self._next_part_at = 0.0
        """Time of the earliest attempt to deliver the next part of the message in `_last_part`."""
        self._last_part: tuple[pdu.Address, int] | None = None
        """Originating address and reference of the long message of which a part was acknowledged last."""
        self._limited_message: MtMessage | None = None
        """The message whose wait for the limited rate has been reported."""

    @property
    def is_reachable(self) -> bool:
        """True while the module is attached and in coverage."""
        return self.in_coverage and self.station is not None and self.station.attached

    def enqueue(self, message: MtMessage) -> None:
        """Add a message; without store and forward it is given up at once if the module is not reachable."""
        if message.withdrawn:
            return
        self.messages[message] = None
        self._emit_event(NetworkEventKind.HANDED, message)
        if not message.store_and_forward and not self.is_reachable:
            self._give_up(message, "the module is not attached, and this service does not store messages")
            return
        message.expiry_timer = self._timers.call_later(self._timing.validity_s, self._expire, message)
        if not (self._memory_full and message.store_and_forward):
            self._schedule_offer(0.0)

    def withdraw(self, message: MtMessage, reason: str) -> None:
        """Give up a message that waits or has not arrived yet; one in flight gets no further attempt."""
        message.withdrawn = True
        in_flight = self._in_flight is not None and self._in_flight[1] is message
        if message in self.messages and not in_flight:
            self._give_up(message, reason)

    def attach(self, station: MobileStation) -> None:
        """Process an attach of a module, perhaps another one, with this SIM; all messages become due."""
        self._abort_attempt("the module attached again")
        self.station = station
        self.retry_all(self._timing.alert_delay_s)

    def detach(self) -> None:
        """Process a detach; a message in flight may or may not have reached the module."""
        self._abort_attempt("the module detached")
        self.station = None
        for message in [message for message in self.messages if not message.store_and_forward]:
            self._give_up(message, "the module detached, and this service does not store messages")

    def retry_all(self, delay_s: float) -> None:
        """Make all waiting messages due, and offer the next one after `delay_s`."""
        self._memory_full = False
        for message in self._delayed:
            self._timers.cancel(message.retry_timer)
        self._delayed.clear()
        self._schedule_offer(delay_s)

    def handle_answer(self, reference: int, cause: int | None) -> None:
        """Process the module's answer; it is ignored unless it belongs to the message in flight."""
        if self._in_flight is None or self._in_flight[0] != reference:
            return
        _, message, timer = self._in_flight
        if cause is None and self.faults.strike("acknowledgement-lost", "to_sim"):
            self._emit_event(NetworkEventKind.ACKNOWLEDGEMENT_LOST, message)
            return
        self._timers.cancel(timer)
        self._in_flight = None
        if cause is None:
            self._remove(message)
            self._emit_event(NetworkEventKind.ACKNOWLEDGED, message)
            self._note_part(message)
            self._send_receipt(message)
        else:
            full = cause in (RP_MEMORY_EXCEEDED, FCS_MEMORY_EXCEEDED)
            self._memory_full = self._memory_full or (full and message.store_and_forward)
            reason = "no memory left in the module" if full else f"cause {cause}"
            self._emit_event(NetworkEventKind.REFUSED, message, reason)
            self._schedule_retry(message)
        self._schedule_offer(0.0)

    def _schedule_offer(self, delay_s: float) -> None:
        self._timers.cancel(self._offer_timer)
        self._offer_timer = self._timers.call_later(delay_s, self._offer_next)

    def _offer_next(self) -> None:
        station = self.station
        if self._in_flight is not None or station is None or not self.is_reachable:
            return
        # Messages without store and forward cannot wait for memory either: they get their one attempt.
        ready = (
            message
            for message in self.messages
            if message not in self._delayed and not (self._memory_full and message.store_and_forward)
        )
        following = list(islice(ready, 2))
        if not following:
            return
        message = following[0]
        if (wait_s := self._delay_s(message)) > 0:
            self._schedule_offer(wait_s)
            return
        message.attempt_count += 1
        self._last_reference = (self._last_reference + 1) % 256
        timer = self._timers.call_later(
            self._timing.acknowledgement_timeout_s, self._answer_timed_out, message
        )
        self._in_flight = (self._last_reference, message, timer)
        message.report_attempted()
        self._emit_event(NetworkEventKind.OFFERED, message)
        if self.faults.strike("transmission-lost", "to_sim"):
            self._emit_event(NetworkEventKind.FAULT, message, "transmission-lost: the module gets nothing")
            return
        tpdu = message.tpdu.replace(more_messages=len(following) > 1)
        station.deliver(self._last_reference, SERVICE_CENTRE, pdu.encode(tpdu, sca=False).octets)

    def _delay_s(self, message: MtMessage) -> float:
        """Return the seconds until a message may be offered: its gap as a part, and the limit of the rate."""
        now = self._timers.time()
        is_next_part = self._last_part is not None and _part_key(message) == self._last_part
        gap_s = self._next_part_at - now if is_next_part else 0.0
        wait_s = 0.0
        if limit := self.faults.find("rate-limited", "to_sim"):
            self._rate = self._rate or MessageRate()
            wait_s = self._rate.wait_s(now, limit.rate)
        if limit and self._rate and max(gap_s, wait_s) <= 0:
            self._rate.count(now)
        elif wait_s > 0 and message is not self._limited_message:
            self._limited_message = message
            self.faults.strike("rate-limited", "to_sim")
            self._emit_event(NetworkEventKind.FAULT, message, f"rate-limited: waits for {wait_s:.3g} s")
        return max(gap_s, wait_s)

    def _send_receipt(self, message: MtMessage) -> None:
        """Tell the service that the module has the message."""
        if message.listener is None or not message.listener.wants_receipt:
            message.report_acknowledged()
        elif self.faults.strike("receipt-lost", "to_sim"):
            self._emit_event(NetworkEventKind.FAULT, message, "receipt-lost: the service gets none")
        elif fault := self.faults.strike("receipt-delayed", "to_sim"):
            delay_s = fault.draw_seconds()
            self._emit_event(NetworkEventKind.FAULT, message, f"receipt-delayed: by {delay_s:.3g} s")
            self._timers.call_later(delay_s, message.report_acknowledged)
        else:
            message.report_acknowledged()

    def _note_part(self, message: MtMessage) -> None:
        """Set the time of the next part, if this message was one."""
        self._last_part = _part_key(message)
        if self._last_part is not None:
            fault = self.faults.strike("parts-delayed", "to_sim")
            gap_s = self._timing.part_gap_s
            if fault is not None:
                gap_s = fault.draw_seconds()
                note = f"parts-delayed: the next part waits for {gap_s:.3g} s"
                self._emit_event(NetworkEventKind.FAULT, message, note)
            self._next_part_at = self._timers.time() + gap_s

    def _answer_timed_out(self, message: MtMessage) -> None:
        self._in_flight = None
        self._emit_event(NetworkEventKind.UNANSWERED, message)
        self._schedule_retry(message)
        self._schedule_offer(0.0)

    def _abort_attempt(self, reason: str) -> None:
        if self._in_flight is not None:
            _, message, timer = self._in_flight
            self._timers.cancel(timer)
            self._in_flight = None
            self._emit_event(NetworkEventKind.UNANSWERED, message, reason)
            if message.expired:
                self._give_up(message, "its validity period is over")

    def _schedule_retry(self, message: MtMessage) -> None:
        if not message.store_and_forward:
            self._give_up(message, "one attempt only: this service does not store messages")
        elif message.withdrawn:
            self._give_up(message, "the service has withdrawn it")
        elif message.expired:
            self._give_up(message, "its validity period is over")
        else:
            self._delayed.add(message)
            waits = self._timing.retry_delays_s
            wait = waits[min(message.attempt_count, len(waits)) - 1]
            message.retry_timer = self._timers.call_later(wait, self._retry, message)

    def _retry(self, message: MtMessage) -> None:
        self._delayed.discard(message)
        self._memory_full = False
        self._schedule_offer(0.0)

    def _expire(self, message: MtMessage) -> None:
        message.expired = True
        if self._in_flight is None or self._in_flight[1] is not message:
            self._give_up(message, "its validity period is over")

    def _give_up(self, message: MtMessage, reason: str) -> None:
        self._remove(message)
        self._emit_event(NetworkEventKind.GIVEN_UP, message, reason)
        message.report_given_up()

    def _remove(self, message: MtMessage) -> None:
        del self.messages[message]
        self._delayed.discard(message)
        self._timers.cancel(message.retry_timer)
        self._timers.cancel(message.expiry_timer)

    def _emit_event(self, kind: NetworkEventKind, message: MtMessage, note: str = "") -> None:
        self._events.report(
            kind,
            self.imsi,
            message.sender,
            message.body,
            sid=message.sid,
            attempt=message.attempt_count or None,
            note=note,
        )


def _part_key(message: MtMessage) -> tuple[pdu.Address, int] | None:
    """Return originating address and reference of a part of a long message, None for any other message."""
    if not isinstance(message.tpdu, pdu.Deliver):
        return None
    part = message.tpdu.user_data.concatenation
    return None if part is None else (message.tpdu.originating_address, part.reference)
