"""Delivery of messages from the network: stored and announced, or delivered directly (27.005 3.4.1, 3.4.4).

The rules of +CNMI: `<mt>` 0 stores silently, 1 stores and reports +CMTI, 2 delivers directly with +CMT unless
the message is for the SIM, 3 delivers class 3 directly. With +CSMS=1 a direct delivery is acknowledged to the
network only when the terminal has sent +CNMA, and the next one waits until then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.interfaces import RP_MEMORY_EXCEEDED
from hardware.sim.module import tpdu
from hardware.sim.module.errors import cms_error
from hardware.sim.module.stores import MessageStatus, StoredTpdu

if TYPE_CHECKING:
    from hardware.sim.interfaces import TimerHandle
    from hardware.sim.module.command_outcome import LineControl
    from hardware.sim.module.command_reader import CommandReader
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.message_formatter import MessageFormatter
    from hardware.sim.module.registration import NetworkRegistration
    from pdu import Address

MAX_PENDING_URCS = 20
"""URCs that are buffered under `<mode>` 0 of +CNMI; when one more arrives the oldest is lost."""

FCS_SIM_STORAGE_FULL = 0xD0
"""TP-FCS (U)SIM storage full, 23.040 9.2.3.22."""
RP_MESSAGE_TYPE_NOT_IMPLEMENTED = 97
"""RP cause: message type not implemented, 24.011 E.2."""
RP_PROTOCOL_ERROR = 111
"""RP cause: protocol error, unspecified, 24.011 E.2; sent if +CNMA is missing."""


@dataclass(frozen=True, slots=True)
class RpData:
    """An RP-DATA from the network that has not been answered yet."""

    reference: int
    message: StoredTpdu


@dataclass(frozen=True, slots=True)
class PendingUrc:
    """A buffered URC; with `needs_cnma` the terminal must answer it with +CNMA."""

    text: str
    needs_cnma: bool


class MtDelivery:
    """Routes the messages that the network delivers."""

    def __init__(
        self,
        context: ModuleContext,
        registration: NetworkRegistration,
        formatter: MessageFormatter,
        reader: CommandReader,
        line: LineControl,
    ) -> None:
        self._context = context
        self._registration = registration
        self._formatter = formatter
        self._reader = reader
        self._line = line
        self._memory_exceeded = False
        self._cnma_timer: TimerHandle | None = None
        self._cnma_pending = self._processing = False
        self._unanswered_reference: int | None = None
        self._queue: deque[RpData] = deque()
        self._pending_urcs: deque[PendingUrc] = deque(maxlen=MAX_PENDING_URCS)

    @property
    def is_cnma_awaited(self) -> bool:
        """True from a direct delivery until the terminal has sent +CNMA."""
        return self._cnma_pending

    def reset(self) -> None:
        """Drop everything after a power-off. The network got no answer and will deliver again."""
        self._context.timers.cancel(self._cnma_timer)
        self._queue.clear()
        self._pending_urcs.clear()
        self._cnma_pending = self._processing = False
        self._unanswered_reference = None

    def deliver(self, reference: int, service_centre: Address, octets: bytes) -> None:
        """Process an RP-DATA from the network."""
        self._queue.append(RpData(reference, StoredTpdu(MessageStatus.UNREAD, service_centre, octets)))
        self.process_pending()

    def process_pending(self) -> None:
        """Write the buffered URCs, then route the waiting messages, until a +CNMA is awaited."""
        if self._processing:  # the network may answer an acknowledgement with the next delivery at once
            return
        self._processing = True
        try:
            self._process_queues()
        finally:
            self._processing = False

    def drop_pending_urcs(self) -> None:
        """Drop the buffered URCs (`<bfr>` 1 of +CNMI)."""
        self._pending_urcs.clear()

    def acknowledge(self, cause: int | None) -> None:
        """Process +CNMA, or a refusal with a cause; raises +CMS ERROR 340 if none is awaited."""
        if not self._cnma_pending:
            raise cms_error(340)
        self._context.timers.cancel(self._cnma_timer)
        self._cnma_pending = False
        if self._unanswered_reference is not None:
            self._answer_network(self._unanswered_reference, cause)
        self._line.call_after_result(self.process_pending)

    def report_memory_available(self) -> None:
        """Send RP-SMMA if a message was refused for lack of memory and there is free memory now."""
        store = self._context.stores[self._context.settings.cpms[2]]
        if self._memory_exceeded and len(store) < store.capacity:
            self._memory_exceeded = False
            if self._registration.attached:
                self._context.network.memory_available(self._context.station)

    def _process_queues(self) -> None:
        settings = self._context.settings
        while (
            self._pending_urcs
            and settings.cnmi[0] != 0
            and not self._reader.is_text_entry_open
            and not self._cnma_pending
        ):
            urc = self._pending_urcs.popleft()
            self._context.output.write_urc(urc.text)
            if urc.needs_cnma and settings.csms == 1:
                self._wait_for_cnma(None)
        while self._queue and not self._cnma_pending:
            self._route(self._queue.popleft())

    def _route(self, delivery: RpData) -> None:
        octets = delivery.message.tpdu
        match tpdu.message_type(octets):
            case "deliver":
                self._route_message(delivery, tpdu.summarise(octets))
            case "report":
                self._route_status_report(delivery)
            case _:
                self._answer_network(delivery.reference, RP_MESSAGE_TYPE_NOT_IMPLEMENTED)

    def _route_message(self, delivery: RpData, summary: tpdu.TpduSummary) -> None:
        mt = self._context.settings.cnmi[1]
        if summary.is_silent:
            self._answer_network(delivery.reference, None)
        elif summary.is_for_sim:
            self._store_message("SM", delivery, summary, announce=mt != 0)
        elif self._is_direct(mt, summary):
            self._deliver_directly(delivery, self._formatter.format_cmt(delivery.message))
        else:
            self._store_message(self._context.settings.cpms[2], delivery, summary, announce=mt != 0)

    def _is_direct(self, mt: int, summary: tpdu.TpduSummary) -> bool:
        """Return True if +CNMI routes the message to the terminal. Class 0 goes there, as to a display."""
        if mt == 2:
            return not summary.is_stored_indication
        if mt == 3 and summary.message_class == 3:
            return True
        return mt != 0 and summary.message_class == 0 and self._context.profile.class_0_direct

    def _route_status_report(self, delivery: RpData) -> None:
        match self._context.settings.cnmi[3]:
            case 1:
                self._deliver_directly(delivery, self._formatter.format_cds(delivery.message))
            case 2:
                self._store_message(self._context.profile.report_store, delivery, None, announce=True)
            case _:  # not routed to the terminal, and not stored either
                self._answer_network(delivery.reference, None)

    def _store_message(
        self, name: str, delivery: RpData, summary: tpdu.TpduSummary | None, *, announce: bool
    ) -> None:
        """Store the message and report +CMTI or +CDSI; if the store is full, refuse it for lack of memory."""
        context, message = self._context, delivery.message
        store = context.stores[name]
        slot = next((at for at, other in store if summary and summary.can_replace(other.tpdu)), None)
        if slot is None:
            slot = store.add(message)
        else:
            store.replace(slot, message)
        if slot is None:
            self._refuse_for_memory(delivery, name)
            return
        self._answer_network(delivery.reference, None)
        if announce:
            code = "+CMTI" if summary is not None else "+CDSI"
            index = slot + context.profile.first_index
            shown = context.profile.notified_slot.format(store=name, index=index)
            self._emit_urc(PendingUrc(f"{code}: {shown}", needs_cnma=False))

    def _refuse_for_memory(self, delivery: RpData, name: str) -> None:
        if name == "SM" and self._context.settings.cpms[2] != "SM":
            self._answer_network(delivery.reference, FCS_SIM_STORAGE_FULL)
            return
        if not self._memory_exceeded and self._context.profile.store_full_urc:
            self._context.output.write_urc(self._context.profile.store_full_urc.replace("{store}", name))
        self._memory_exceeded = True
        self._answer_network(delivery.reference, RP_MEMORY_EXCEEDED)

    def _deliver_directly(self, delivery: RpData, line: str) -> None:
        """Write +CMT or +CDS. If it is buffered, the module answers the network itself (27.005 3.4.4)."""
        context = self._context
        if context.settings.csms == 0:
            self._answer_network(delivery.reference, None)
            self._emit_urc(PendingUrc(line, needs_cnma=False))
        elif self._reader.is_text_entry_open or context.settings.cnmi[0] == 0:
            self._answer_network(delivery.reference, None)
            self._emit_urc(PendingUrc(line, needs_cnma=True))
        else:
            context.output.write_urc(line)
            self._wait_for_cnma(delivery.reference)

    def _emit_urc(self, urc: PendingUrc) -> None:
        """Write the URC now, or buffer it until +CNMI and an awaited +CNMA allow it; the order is kept."""
        if urc.needs_cnma or self._pending_urcs or self._context.settings.cnmi[0] == 0:
            self._pending_urcs.append(urc)
        else:
            self._context.output.write_urc(urc.text)

    def _wait_for_cnma(self, reference: int | None) -> None:
        self._cnma_pending, self._unanswered_reference = True, reference
        self._cnma_timer = self._context.timers.call_after(self._context.profile.cnma_s, self._cnma_timed_out)

    def _cnma_timed_out(self) -> None:
        """Without +CNMA in time, report a failure to the network and switch direct delivery off."""
        mode, _, bm, _, bfr = self._context.settings.cnmi
        self._cnma_pending = False
        self._context.settings.cnmi = (mode, 0, bm, 0, bfr)
        if self._unanswered_reference is not None:
            self._answer_network(self._unanswered_reference, RP_PROTOCOL_ERROR)
        self.process_pending()

    def _answer_network(self, reference: int, cause: int | None) -> None:
        self._context.log.delivery_answers.append((reference, cause))
        self._context.network.acknowledge(self._context.station, reference, cause)
