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
from hardware.sim.network.events import Event, EventKind
from hardware.sim.network.line import Line, NetworkTiming, Outcome, Terminated
from hardware.sim.network.originated import Joiner, Originated
from hardware.sim.network.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hardware.sim.network.events import Observer
    from hardware.sim.radio import Scheduler, Station

SERVICE_CENTRE = pdu.Address.parse("+447700900000")
"""A number from the range that is kept for fiction."""

LEDGER = 10_000
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
    number: str
    """Its telephone number."""
    registration: int = 1
    """What a module with it is told when it attaches: 1 home, 5 roaming, 3 denied."""
    originated: Callable[[Originated], None]
    """Called with each whole message that the SIM sends."""


class SimulatedNetwork:
    """One network with one service centre; a `Network` for modules."""

    def __init__(
        self,
        scheduler: Scheduler,
        wall: Callable[[], datetime],
        emit: Observer,
        *,
        timing: NetworkTiming | None = None,
        service_centre: pdu.Address = SERVICE_CENTRE,
    ) -> None:
        self.timing = timing or NetworkTiming()
        self.service_centre = service_centre
        self.ledger: deque[Originated] = deque(maxlen=LEDGER)
        """Whole messages that SIMs have sent, oldest first, listed by a service or not."""
        self._wall = wall
        self._emit = emit
        self._scheduler = scheduler
        self._timers = Timers(scheduler)
        self._joiner = Joiner()
        self._subscriptions: dict[str, Subscription] = {}
        self._lines: dict[str, Line] = {}

    def subscribe(self, subscription: Subscription) -> None:
        """Make a SIM known."""
        imsi = subscription.imsi
        self._subscriptions[imsi] = subscription
        self._lines[imsi] = Line(imsi, self._timers, self.timing, self.service_centre, self._wall, self._emit)

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
        outcome: Outcome | None = None,
        keep: bool = True,
    ) -> Terminated:
        """Send one SMS to a SIM; `body` and `sid` are for events.

        Raises KeyError when the SIM is unknown, pdu.PduError when the message cannot be written as octets.
        """
        deliver = pdu.Deliver(
            originating_address=sender,
            service_centre_timestamp=pdu.Timestamp.of(self._wall()),
            user_data=user_data,
            data_coding_scheme=user_data.data_coding_scheme,
        )
        pdu.encode(deliver, sca=False)
        message = Terminated(
            tpdu=deliver,
            number=str(sender),
            body=body,
            sid=sid,
            outcome=outcome,
            keep=keep,
        )
        self._timers.later(self.timing.transit, self._lines[imsi].put, message)
        return message

    def redeliver(self, imsi: str, message: Terminated) -> None:
        """Offer a message again, octet by octet the same, as after a lost acknowledgement."""
        again = Terminated(
            tpdu=message.tpdu, number=message.number, body=message.body, sid=message.sid, keep=message.keep
        )
        self._tell(EventKind.REDELIVERED, imsi, again.number, again.body, sid=again.sid)
        self._lines[imsi].put(again)

    def lose_acknowledgements(self, imsi: str, count: int = 1) -> None:
        """Lose the next acknowledgements of this SIM's module on their way to the service centre."""
        self._lines[imsi].losses += count

    def waiting(self, imsi: str) -> int:
        """How many messages wait for this SIM, the one in the air included."""
        return len(self._lines[imsi].waiting)

    def acknowledge(self, station: Station, reference: int, cause: int | None) -> None:
        """See `radio.Network`."""
        line = self._lines.get(station.imsi)
        if line is not None and line.station is station:
            line.answer(reference, cause)

    def memory_available(self, station: Station) -> None:
        """See `radio.Network`."""
        line = self._lines.get(station.imsi)
        if line is not None and line.station is station:
            line.flush(self.timing.alert)

    # Being there.

    def attach(self, station: Station) -> int:
        """See `radio.Network`. A second module with the same SIM takes the place of the first."""
        subscription = self._subscriptions.get(station.imsi)
        if subscription is None or subscription.registration == DENIED:
            return DENIED
        line = self._lines[station.imsi]
        if not line.covered:
            return SEARCHING
        for other in self._lines.values():
            if other.station is station and other is not line:  # its card was changed
                other.detach()
        line.attach(station)
        self._tell(EventKind.ATTACHED, station.imsi)
        return subscription.registration

    def detach(self, station: Station) -> None:
        """See `radio.Network`."""
        line = next((line for line in self._lines.values() if line.station is station), None)
        if line is not None:
            line.detach()
            self._tell(EventKind.DETACHED, line.imsi)

    def cover(self, imsi: str, covered: bool) -> None:
        """Take the SIM out of, or back into, radio coverage: nothing reaches it and nothing comes from it."""
        line = self._lines[imsi]
        if line.covered == covered:
            return
        line.covered = covered
        self._tell(EventKind.ATTACHED if covered else EventKind.DETACHED, imsi, note="radio coverage")
        if covered:
            line.flush(self.timing.alert)

    def reachable(self, imsi: str) -> bool:
        """Whether a module with this SIM is attached and in coverage."""
        return self._lines[imsi].reachable

    # From a SIM.

    def submit(self, station: Station, token: int, tpdu: bytes) -> None:
        """See `radio.Network`."""
        self._timers.later(self.timing.transit, self._submitted, station, token, tpdu)

    def _submitted(self, station: Station, token: int, tpdu: bytes) -> None:
        line = self._lines.get(station.imsi)
        if line is None:
            station.submitted(token, UNIDENTIFIED_SUBSCRIBER)
            return
        if line.station is not station or not line.covered:
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
        self._accept(line, message)
        station.submitted(token, None)

    def _accept(self, line: Line, message: pdu.Submit) -> None:
        number = str(message.destination_address)
        body = message.text if message.text is not None else message.data
        self._tell(EventKind.ORIGINATED, line.imsi, number, body)
        if message.status_report_request:
            self._report(line, message)
        now = self._scheduler.time()
        whole = self._joiner.add(line.imsi, message, now=now, at=self._wall())
        if whole is not None:
            self.ledger.append(whole)
            self._subscriptions[line.imsi].originated(whole)

    def _report(self, line: Line, message: pdu.Submit) -> None:
        """The other side is a computer that takes everything at once: delivered, TP-ST 0."""
        now = pdu.Timestamp.of(self._wall())
        report = pdu.StatusReport(
            message_reference=message.message_reference,
            recipient_address=message.destination_address,
            service_centre_timestamp=now,
            discharge_time=now,
            status=0,
        )
        number = str(message.destination_address)
        self._timers.later(self.timing.transit, line.put, Terminated(tpdu=report, number=number, body=None))

    def _tell(
        self,
        kind: EventKind,
        imsi: str,
        number: str | None = None,
        body: str | bytes | None = None,
        *,
        sid: str | None = None,
        note: str = "",
    ) -> None:
        self._emit(Event(kind=kind, at=self._wall(), imsi=imsi, number=number, sid=sid, body=body, note=note))
