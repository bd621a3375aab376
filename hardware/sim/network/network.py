"""The simulated network: attaches modules, delivers messages to SIMs and accepts messages from them.

It knows SIMs (subscriptions), not services. A message for a SIM goes through that SIM's `SubscriberQueue`. A
message from a SIM is decoded, acknowledged, joined if it has parts, recorded, and passed to the callback of
the subscription. The network does no I/O and has no clock of its own.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import pdu
from hardware.sim.network.events import NetworkEventKind
from hardware.sim.network.faults import MessageRate, NetworkFaults
from hardware.sim.network.message_path import MessagePath
from hardware.sim.network.subscriber_queue import DeliveryListener, MtMessage, NetworkTiming, SubscriberQueue
from hardware.sim.timers import TimerGroup

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from hardware.sim.interfaces import Arguments, MobileStation, Scheduler
    from hardware.sim.network.events import EventReporter

MAX_MO_MESSAGES = 10_000
"""Maximum number of messages from SIMs that are kept."""

REASSEMBLY_TIMEOUT_S = 3600.0
"""Seconds after which an incomplete message is dropped; modules send all parts at once."""

# Registration states of 27.007 7.2, and causes of 24.011 E.2 and 23.040 9.2.3.22.
SEARCHING = 2
DENIED = 3
UNIDENTIFIED_SUBSCRIBER = 28
NETWORK_OUT_OF_ORDER = 38
CONGESTION = 42
INVALID_MANDATORY_INFORMATION = 96
TPDU_NOT_SUPPORTED = 0xB0
INVALID_ADDRESS = 0xC3


@dataclass(frozen=True, slots=True, kw_only=True)
class MoMessage:
    """A complete message from a SIM (mobile originated)."""

    imsi: str
    destination: pdu.Address
    body: str | bytes
    """Text, or the octets of an 8-bit message."""
    received_at: datetime
    """Time at which the last part was accepted."""
    part_count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A SIM that the network knows, and the callback for its messages."""

    imsi: str
    registration_stat: int = 1
    """`<stat>` that a module with this SIM gets when it attaches: 1 home, 5 roaming, 3 denied."""
    on_mo_message: Callable[[MoMessage], None]
    """Called with each complete message that the SIM sends."""


@lru_cache(maxsize=100)
def check_sender(sender: pdu.Address) -> None:
    """Raise pdu.PduError if no message from this address can be encoded; few addresses send many."""
    empty = pdu.UserData.of("")
    pdu.encode(
        pdu.Deliver(
            originating_address=sender,
            service_centre_timestamp=pdu.Timestamp.of(datetime(2000, 1, 1, tzinfo=UTC)),
            user_data=empty,
            data_coding_scheme=empty.data_coding_scheme,
        ),
        sca=False,
    )


encode_timestamp = lru_cache(maxsize=2)(pdu.Timestamp.of)
"""Many messages have the time stamp of one second."""


class SimulatedNetwork:
    """A network with one service centre; it implements `Network` for modules."""

    def __init__(
        self,
        scheduler: Scheduler,
        wall_clock: Callable[[], datetime],
        events: EventReporter,
        *,
        timing: NetworkTiming | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self.timing = timing or NetworkTiming()
        self.mo_messages: deque[MoMessage] = deque(maxlen=MAX_MO_MESSAGES)
        """Complete messages from SIMs, oldest first, listed by a service or not."""
        self._wall_clock = wall_clock
        self._events = events
        self._scheduler = scheduler
        self._timers = TimerGroup(scheduler)
        self._seed = rng.getrandbits(64) if rng is not None else 0
        """For the chances of faults; each SIM draws for itself."""
        self._assembler = pdu.Assembler()
        self._subscriptions: dict[str, Subscription] = {}
        self._queues: dict[str, SubscriberQueue] = {}
        self._attached: dict[MobileStation, SubscriberQueue] = {}
        """The queue with which each module attached last; another module may have replaced it there."""
        self._to_sim: dict[str, MessagePath] = {}
        self._from_sim: dict[str, MessagePath] = {}
        self._submit_rates: dict[str, MessageRate] = {}
        """Messages from each SIM whose rate is limited."""

    def subscribe(self, subscription: Subscription) -> None:
        """Add a SIM."""
        imsi = subscription.imsi
        self._subscriptions[imsi] = subscription
        faults = NetworkFaults(self._scheduler.time, f"{self._seed} {imsi}")
        self._queues[imsi] = SubscriberQueue(
            imsi, timers=self._timers, timing=self.timing, events=self._events, faults=faults
        )
        self._to_sim[imsi] = MessagePath("to_sim", faults, self._timers)
        self._from_sim[imsi] = MessagePath("from_sim", faults, self._timers)

    def faults_of(self, imsi: str) -> NetworkFaults:
        """Return the faults of the messages to and from a SIM."""
        return self._queues[imsi].faults

    def call_later(
        self, delay_s: float, callback: Callable[[*Arguments], object], /, *args: *Arguments
    ) -> None:
        """Call `callback(*args)` after `delay_s` seconds, unless the network is closed before."""
        self._timers.call_later(delay_s, callback, *args)

    def close(self) -> None:
        """Cancel everything that is scheduled."""
        self._timers.close()

    # Messages to a SIM

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

        Raises KeyError if the SIM is unknown, pdu.PduError if the message cannot be encoded.
        """
        check_sender(sender)
        deliver = pdu.Deliver(
            originating_address=sender,
            service_centre_timestamp=encode_timestamp(self._wall_clock().replace(microsecond=0)),
            user_data=user_data,
            data_coding_scheme=user_data.data_coding_scheme,
        )
        message = MtMessage(
            tpdu=deliver,
            sender=str(sender),
            body=body,
            sid=sid,
            listener=listener,
            store_and_forward=store_and_forward,
        )

        def arrive_again() -> None:
            if not message.withdrawn:
                self.redeliver(imsi, message)

        arrives = self._to_sim[imsi].carry(
            lambda: self._queues[imsi].enqueue(message),
            transit_s=self.timing.transit_s,
            arrive_again=arrive_again,
            report=partial(self._report_fault, imsi, message.sender, message.body, sid),
        )
        if not arrives:
            # The service believes that the message is on its way, until the validity period is over.
            self._timers.call_later(self.timing.transit_s, message.report_attempted)
            self._timers.call_later(self.timing.validity_s, message.report_given_up)
        return message

    def redeliver(self, imsi: str, message: MtMessage) -> None:
        """Send a message again, with the same octets, as after a lost acknowledgement."""
        again = MtMessage(
            tpdu=message.tpdu,
            sender=message.sender,
            body=message.body,
            sid=message.sid,
            store_and_forward=message.store_and_forward,
        )
        self._events.report(NetworkEventKind.REDELIVERED, imsi, again.sender, again.body, sid=again.sid)
        self._queues[imsi].enqueue(again)

    def withdraw(self, imsi: str, message: MtMessage, reason: str) -> None:
        """Give up a message that waits for its SIM, or is on its way to the service centre."""
        self._queues[imsi].withdraw(message, reason)

    def call_after_transit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the time in which a message reaches the service centre."""
        self._timers.call_later(self.timing.transit_s, callback)

    def lose_acknowledgements(self, imsi: str, count: int = 1) -> None:
        """Drop the next acknowledgements of this SIM's module on the way to the service centre."""
        self.faults_of(imsi).add(f"acknowledgement-lost:times={count}")

    def count_waiting(self, imsi: str) -> int:
        """Return how many messages wait for this SIM, the one in flight included."""
        return len(self._queues[imsi].messages)

    def acknowledge(self, station: MobileStation, reference: int, cause: int | None) -> None:
        """Implement `Network.acknowledge`."""
        queue = self._queues.get(station.imsi)
        if queue is not None and queue.station is station:
            queue.handle_answer(reference, cause)

    def memory_available(self, station: MobileStation) -> None:
        """Implement `Network.memory_available`."""
        queue = self._queues.get(station.imsi)
        if queue is not None and queue.station is station:
            queue.retry_all(self.timing.alert_delay_s)

    # Registration

    def attach(self, station: MobileStation) -> int:
        """Implement `Network.attach`. A second module with the same SIM replaces the first."""
        subscription = self._subscriptions.get(station.imsi)
        if subscription is None or subscription.registration_stat == DENIED:
            return DENIED
        queue = self._queues[station.imsi]
        if not queue.in_coverage:
            return SEARCHING
        other = self._attached.get(station)
        if other is not None and other.station is station and other is not queue:  # its SIM was replaced
            other.detach()
        self._attached[station] = queue
        queue.attach(station)
        self._events.report(NetworkEventKind.ATTACHED, station.imsi)
        return subscription.registration_stat

    def detach(self, station: MobileStation) -> None:
        """Implement `Network.detach`."""
        queue = self._attached.pop(station, None)
        if queue is not None and queue.station is station:
            queue.detach()
            self._events.report(NetworkEventKind.DETACHED, queue.imsi)

    def set_coverage(self, imsi: str, in_coverage: bool) -> None:
        """Take the SIM out of radio coverage, or bring it back. Out of coverage no message passes."""
        queue = self._queues[imsi]
        if queue.in_coverage == in_coverage:
            return
        queue.in_coverage = in_coverage
        self._events.report(
            NetworkEventKind.ATTACHED if in_coverage else NetworkEventKind.DETACHED,
            imsi,
            note="radio coverage",
        )
        if in_coverage:
            queue.retry_all(self.timing.alert_delay_s)

    def is_reachable(self, imsi: str) -> bool:
        """Return True if a module with this SIM is attached and in coverage."""
        return self._queues[imsi].is_reachable

    # Messages from a SIM

    def submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        """Implement `Network.submit`."""
        self._timers.call_later(self.timing.transit_s, self._handle_submit, station, token, tpdu)

    def _handle_submit(self, station: MobileStation, token: int, tpdu: bytes) -> None:
        queue = self._queues.get(station.imsi)
        if queue is None:
            station.submitted(token, UNIDENTIFIED_SUBSCRIBER)
            return
        if queue.station is not station or not queue.in_coverage:
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
        number, body = str(message.destination_address), _submitted_body(message)
        report = partial(self._report_fault, queue.imsi, number, body, None)
        if queue.faults.strike("transmission-lost", "from_sim"):
            report("transmission-lost: the network gets nothing, and the module no answer")
            return
        if self._is_over_rate(queue):
            report("rate-limited: refused with cause 42, congestion")
            station.submitted(token, CONGESTION)
            return
        self._accept_submit(queue, message)
        if queue.faults.strike("acknowledgement-lost", "from_sim"):
            report("acknowledgement-lost: the network has the message, the module gets no answer")
            return
        station.submitted(token, None)

    def _is_over_rate(self, queue: SubscriberQueue) -> bool:
        """Return True if the SIM has sent as many messages as a fault allows within a minute."""
        fault = queue.faults.find("rate-limited", "from_sim")
        if fault is None:
            return False
        now, rate = self._scheduler.time(), self._submit_rates.setdefault(queue.imsi, MessageRate())
        if rate.wait_s(now, fault.rate) > 0:
            queue.faults.strike("rate-limited", "from_sim")
            return True
        rate.count(now)
        return False

    def _report_fault(
        self, imsi: str, number: str, body: str | bytes | None, sid: str | None, note: str
    ) -> None:
        self._events.report(NetworkEventKind.FAULT, imsi, number, body, sid=sid, note=note)

    def _accept_submit(self, queue: SubscriberQueue, message: pdu.Submit) -> None:
        number = str(message.destination_address)
        body = _submitted_body(message)
        self._events.report(NetworkEventKind.ORIGINATED, queue.imsi, number, body)
        if message.status_report_request:
            self._send_status_report(queue, message)
        now = self._scheduler.time()
        self._assembler.discard_before(now - REASSEMBLY_TIMEOUT_S)
        whole = self._assembler.add(message.user_data, (queue.imsi, message.destination_address), time=now)
        if whole is not None:
            complete = MoMessage(
                imsi=queue.imsi,
                destination=message.destination_address,
                body=_joined_body(whole),
                received_at=self._wall_clock(),
                part_count=len(whole.parts),
            )
            self.mo_messages.append(complete)
            arrive = partial(self._subscriptions[queue.imsi].on_mo_message, complete)
            self._from_sim[queue.imsi].carry(
                arrive,
                transit_s=None,
                arrive_again=arrive,
                report=partial(self._report_fault, queue.imsi, number, complete.body, None),
            )

    def _send_status_report(self, queue: SubscriberQueue, message: pdu.Submit) -> None:
        """Report the message as delivered (TP-ST 0): the service receives everything at once.

        Faults lose the report, delay it, or give it another status.
        """
        number = str(message.destination_address)
        report_fault = partial(self._report_fault, queue.imsi, number, None, None)
        if queue.faults.strike("receipt-lost", "from_sim"):
            report_fault("receipt-lost: the module gets no status report")
            return
        delay_s = 0.0
        if delayed := queue.faults.strike("receipt-delayed", "from_sim"):
            delay_s = delayed.draw_seconds()
            report_fault(f"receipt-delayed: by {delay_s:.3g} s")
        failed = queue.faults.strike("receipt-failed", "from_sim")
        if failed:
            report_fault(f"receipt-failed: the status report has TP-ST {failed.fault.status}")
        now = pdu.Timestamp.of(self._wall_clock())
        report = pdu.StatusReport(
            message_reference=message.message_reference,
            recipient_address=message.destination_address,
            service_centre_timestamp=now,
            discharge_time=now,
            status=failed.fault.status if failed else 0,
        )
        self._timers.call_later(
            self.timing.transit_s + delay_s, queue.enqueue, MtMessage(tpdu=report, sender=number, body=None)
        )


def _submitted_body(message: pdu.Submit) -> str | bytes | None:
    return message.text if message.text is not None else message.data


def _joined_body(whole: pdu.Assembled) -> str | bytes:
    if whole.text is not None:
        return whole.text
    if whole.data is not None:
        return whole.data
    return b"".join(part.octets for part in whole.parts)  # text and octets mixed: as received
