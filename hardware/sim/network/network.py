"""The simulated network: attaches modules, brings messages to SIMs and takes messages from them.

It knows SIMs (subscriptions), not services. A message for a SIM goes through that SIM's `Line`; a message
from a SIM is decoded, acknowledged, joined if it has parts, written to the ledger and handed to whoever
subscribed the SIM. It does no I/O and keeps no time of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pdu
from hardware.sim.network.events import NetworkEvent, NetworkEventKind
from hardware.sim.network.mo_messages import MoMessage, Reassembler
from hardware.sim.network.subscriber_queue import DeliveryListener, MtMessage, NetworkTiming, SubscriberQueue
from hardware.sim.network.timers import TimerGroup

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.interfaces import MobileStation, Scheduler
    from hardware.sim.network.events import NetworkObserver

SERVICE_CENTRE = pdu.Address.parse("+447700900000")
"""A number from the range that is kept for fiction."""

MAX_MO_MESSAGES = 10_000
"""Messages from SIMs that are remembered."""

# Registration, 27.007 7.2, and causes of refusal, 24.011 E.2 and 23.040 9.2.3.22.
SEARCHING = 2
DENIED = 3
UNIDENTIFIED_SUBSCRIBER = 28
NETWORK_OUT_OF_ORDER = 38
INVALID_MANDATORY_INFORMATION = 96
TPDU_NOT_SUPPORTED = 0xB0
INVALID_ADDRESS = 0xC3


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A SIM that the network knows, and who gets its messages."""

    imsi: str
    phone_number: str
    """Its telephone number."""
    registration_stat: int = 1
    """What a module with it is told when it attaches: 1 home, 5 roaming, 3 denied."""
    on_mo_message: Callable[[MoMessage], None]
    """Called with each whole message that the SIM sends."""


class SimulatedNetwork:
    """One network with one service centre; a `Network` for modules."""

    def __init__(
        self,
        scheduler: Scheduler,
        wall_clock: Callable[[], datetime],
        emit: NetworkObserver,
        *,
        timing: NetworkTiming | None = None,
        service_centre: pdu.Address = SERVICE_CENTRE,
    ) -> None:
        self.timing = timing or NetworkTiming()
        self.service_centre = service_centre
        self.mo_messages: deque[MoMessage] = deque(maxlen=MAX_MO_MESSAGES)
        """Whole messages that SIMs have sent, oldest first, listed by a service or not."""
        self._wall_clock = wall_clock
        self._emit = emit
        self._scheduler = scheduler
        self._timers = TimerGroup(scheduler)
        self._reassembler = Reassembler()
        self._subscriptions: dict[str, Subscription] = {}
        self._queues: dict[str, SubscriberQueue] = {}

    def subscribe(self, subscription: Subscription) -> None:
        """Make a SIM known."""
        imsi = subscription.imsi
        self._subscriptions[imsi] = subscription
        self._queues[imsi] = SubscriberQueue(
            imsi, self._timers, self.timing, self.service_centre, self._wall_clock, self._emit
        )

    def close(self) -> None:
        """Nothing happens any more."""
        self._timers.close()

    # To a SIM.

    def send(
        self,
        imsi: str,
        sender: pdu.Address,
        user_data: pdu.UserData,
        *,
        body: str | bytes | None = None,
        sid: str | None = None,
        listener: DeliveryListener | None = None,
        store_and_forward: bool = True,
    ) -> MtMessage:
        """Send one SMS to a SIM; `body` and `sid` are for events.

        Raises KeyError when the SIM is unknown, pdu.PduError when the message cannot be written as octets.
        """
        deliver = pdu.Deliver(
            originating_address=sender,
            service_centre_timestamp=pdu.Timestamp.of(self._wall_clock()),
            user_data=user_data,
            data_coding_scheme=user_data.data_coding_scheme,
        )
        pdu.encode(deliver, sca=False)
        message = MtMessage(
            tpdu=deliver,
            sender=str(sender),
            body=body,
            sid=sid,
            listener=listener,
            store_and_forward=store_and_forward,
        )
        self._timers.call_later(self.timing.transit_s, self._queues[imsi].enqueue, message)
        return message

    def redeliver(self, imsi: str, message: MtMessage) -> None:
        """Offer a message again, octet by octet the same, as after a lost acknowledgement."""
        again = MtMessage(
            tpdu=message.tpdu,
            sender=message.sender,
            body=message.body,
            sid=message.sid,
            store_and_forward=message.store_and_forward,
        )
        self._emit_event(NetworkEventKind.REDELIVERED, imsi, again.sender, again.body, sid=again.sid)
        self._queues[imsi].enqueue(again)

    def lose_acknowledgements(self, imsi: str, count: int = 1) -> None:
        """Lose the next acknowledgements of this SIM's module on their way to the service centre."""
        self._queues[imsi].acks_to_drop += count

    def count_waiting(self, imsi: str) -> int:
        """How many messages wait for this SIM, the one in the air included."""
        return len(self._queues[imsi].messages)

    def acknowledge(self, station: MobileStation, reference: int, cause: int | None) -> None:
        """See `radio.Network`."""
        line = self._queues.get(station.imsi)
        if line is not None and line.station is station:
            line.handle_answer(reference, cause)

    def memory_available(self, station: MobileStation) -> None:
        """See `radio.Network`."""
        line = self._queues.get(station.imsi)
        if line is not None and line.station is station:
            line.retry_all(self.timing.alert_delay_s)

    # Being there.

    def attach(self, station: MobileStation) -> int:
        """See `radio.Network`. A second module with the same SIM takes the place of the first."""
        subscription = self._subscriptions.get(station.imsi)
        if subscription is None or subscription.registration_stat == DENIED:
            return DENIED
        line = self._queues[station.imsi]
        if not line.in_coverage:
            return SEARCHING
        for other in self._queues.values():
            if other.station is station and other is not line:  # its card was changed
                other.detach()
        line.attach(station)
        self._emit_event(NetworkEventKind.ATTACHED, station.imsi)
        return subscription.registration_stat

    def detach(self, station: MobileStation) -> None:
        """See `radio.Network`."""
        line = next((line for line in self._queues.values() if line.station is station), None)
        if line is not None:
            line.detach()
            self._emit_event(NetworkEventKind.DETACHED, line.imsi)

    def set_coverage(self, imsi: str, in_coverage: bool) -> None:
        """Take the SIM out of, or back into, radio coverage: nothing reaches it and nothing comes from it."""
        line = self._queues[imsi]
        if line.in_coverage == in_coverage:
            return
        line.in_coverage = in_coverage
        self._emit_event(
            NetworkEventKind.ATTACHED if in_coverage else NetworkEventKind.DETACHED,
            imsi,
            note="radio coverage",
        )
        if in_coverage:
            line.retry_all(self.timing.alert_delay_s)

    def is_reachable(self, imsi: str) -> bool:
        """Whether a module with this SIM is attached and in coverage."""
        return self._queues[imsi].is_reachable

    # From a SIM.

    def submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        """See `radio.Network`."""
        self._timers.call_later(self.timing.transit_s, self._handle_submit, station, token, tpdu)

    def _handle_submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        line = self._queues.get(station.imsi)
        if line is None:
            station.submitted(token, UNIDENTIFIED_SUBSCRIBER)
            return
        if line.station is not station or not line.in_coverage:
            station.submitted(token, NETWORK_OUT_OF_ORDER)
            return
        try:
            message = pdu.decode(tpdu, direction="mo", sca=False)
        except pdu.PduError:
            station.submitted(token, INVALID_MANDATORY_INFORMATION)
            return
        if not isinstance(message, pdu.Submit):
            station.submitted(token, TPDU_NOT_SUPPORTED)
            return
        if not message.destination_address.number:
            station.submitted(token, INVALID_ADDRESS)
            return
        self._accept_submit(line, message)
        station.submitted(token, None)

    def _accept_submit(self, queue: SubscriberQueue, message: pdu.Submit) -> None:
        number = str(message.destination_address)
        body = message.text if message.text is not None else message.data
        self._emit_event(NetworkEventKind.ORIGINATED, queue.imsi, number, body)
        if message.status_report_request:
            self._send_status_report(queue, message)
        now = self._scheduler.time()
        whole = self._reassembler.add(queue.imsi, message, now=now, received_at=self._wall_clock())
        if whole is not None:
            self.mo_messages.append(whole)
            self._subscriptions[queue.imsi].on_mo_message(whole)

    def _send_status_report(self, queue: SubscriberQueue, message: pdu.Submit) -> None:
        """The other side is a computer that takes everything at once: delivered, TP-ST 0."""
        now = pdu.Timestamp.of(self._wall_clock())
        report = pdu.StatusReport(
            message_reference=message.message_reference,
            recipient_address=message.destination_address,
            service_centre_timestamp=now,
            discharge_time=now,
            status=0,
        )
        number = str(message.destination_address)
        self._timers.call_later(
            self.timing.transit_s, queue.enqueue, MtMessage(tpdu=report, sender=number, body=None)
        )

    def _emit_event(
        self,
        kind: NetworkEventKind,
        imsi: str,
        number: str | None = None,
        body: str | bytes | None = None,
        *,
        sid: str | None = None,
        note: str = "",
    ) -> None:
        self._emit(
            NetworkEvent(
                kind=kind, at=self._wall_clock(), imsi=imsi, number=number, sid=sid, body=body, note=note
            )
        )
