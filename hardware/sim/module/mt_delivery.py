"""Messages from the network: stored and announced, or handed over and acknowledged (27.005 3.4.1, 3.4.4).

The rules of +CNMI: `<mt>` 0 stores silently, 1 stores and says +CMTI, 2 hands over with +CMT what is not
bound to the card, 3 hands over class 3. With +CSMS=1 whatever is handed over is acknowledged to the network
only when the terminal has said +CNMA, and nothing further is handed over before that.
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
    from hardware.sim.module.module import SimulatedModule
    from pdu import Address

MAX_PENDING_URCS = 20
"""Codes kept in the module under mode 0 of +CNMI; the oldest is lost when one more comes."""

FCS_SIM_STORAGE_FULL = 0xD0
"""TP-FCS (U)SIM storage full, 23.040 9.2.3.22."""
RP_MESSAGE_TYPE_NOT_IMPLEMENTED = 97
"""RP cause: message type not implemented, 24.011 E.2."""
RP_PROTOCOL_ERROR = 111
"""RP cause: protocol error, unspecified, 24.011 E.2; what a missing +CNMA becomes."""


@dataclass(frozen=True, slots=True)
class RpData:
    """One RP-DATA that the network has not been answered yet."""

    reference: int
    message: StoredTpdu


@dataclass(frozen=True, slots=True)
class PendingUrc:
    """A code that waits in the module; `owes` when the terminal must answer it by +CNMA."""

    text: str
    needs_cnma: bool


class MtDelivery:
    """Routes what the network delivers."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._memory_exceeded = False
        self._cnma_timer: TimerHandle | None = None
        self.reset()

    def reset(self) -> None:
        """A restart: what waited here is lost; the network never got an answer and sends it again."""
        self._module.power.cancel(self._cnma_timer)
        self._queue: deque[RpData] = deque()
        self._pending_urcs: deque[PendingUrc] = deque(maxlen=MAX_PENDING_URCS)
        self._cnma_pending = self._processing = False
        self._unanswered_reference: int | None = None

    def deliver(self, reference: int, service_centre: Address, octets: bytes) -> None:
        """RP-DATA."""
        self._queue.append(RpData(reference, StoredTpdu(MessageStatus.UNREAD, service_centre, octets)))
        self.process_pending()

    def process_pending(self) -> None:
        """Say what was kept, then route what waited, until the terminal owes a +CNMA."""
        if self._processing:  # the network may answer an acknowledgement with the next delivery at once
            return
        self._processing = True
        try:
            self._process_queues()
        finally:
            self._processing = False

    def drop_pending_urcs(self) -> None:
        """`<bfr>` 1 of +CNMI: the codes that were kept are dropped."""
        self._pending_urcs.clear()

    def acknowledge(self, cause: int | None) -> None:
        """+CNMA; raises +CMS ERROR 340 when nothing is owed."""
        if not self._cnma_pending:
            raise cms_error(340)
        self._module.power.cancel(self._cnma_timer)
        self._cnma_pending = False
        if self._unanswered_reference is not None:
            self._answer_network(self._unanswered_reference, cause)
        self._module.interpreter.call_after_result(self.process_pending)

    def report_memory_available(self) -> None:
        """A message was deleted: if one had been refused for want of room, the network is told (RP-SMMA)."""
        store = self._module.stores[self._module.settings.cpms[2]]
        if self._memory_exceeded and len(store) < store.capacity:
            self._memory_exceeded = False
            if self._module.attached:
                self._module.network.memory_available(self._module)

    def _process_queues(self) -> None:
        settings, terminal = self._module.settings, self._module.command_reader
        while (
            self._pending_urcs
            and settings.cnmi[0] != 0
            and not terminal.is_text_entry_open
            and not self._cnma_pending
        ):
            kept = self._pending_urcs.popleft()
            self._module.output.write_urc(kept.text)
            if kept.needs_cnma and settings.csms == 1:
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
        mt = self._module.settings.cnmi[1]
        if summary.is_silent:
            self._answer_network(delivery.reference, None)
        elif summary.is_for_sim:
            self._store_message("SM", delivery, summary, announce=mt != 0)
        elif self._is_direct(mt, summary):
            self._deliver_directly(delivery, self._module.message_formatter.format_cmt(delivery.message))
        else:
            self._store_message(self._module.settings.cpms[2], delivery, summary, announce=mt != 0)

    def _is_direct(self, mt: int, summary: tpdu.TpduSummary) -> bool:
        """Class 0 is for immediate display, and the terminal is the only display there is."""
        if mt == 2:
            return not summary.is_stored_indication
        if mt == 3 and summary.message_class == 3:
            return True
        return mt != 0 and summary.message_class == 0 and self._module.profile.class_0_direct

    def _route_status_report(self, delivery: RpData) -> None:
        match self._module.settings.cnmi[3]:
            case 1:
                self._deliver_directly(delivery, self._module.message_formatter.format_cds(delivery.message))
            case 2:
                self._store_message(self._module.profile.report_store, delivery, None, announce=True)
            case _:  # not routed to the terminal: there is nobody to keep it for
                self._answer_network(delivery.reference, None)

    def _store_message(
        self, name: str, delivery: RpData, summary: tpdu.TpduSummary | None, *, announce: bool
    ) -> None:
        """Put it into a store and say +CMTI or +CDSI; without room the network is told to keep it."""
        module, message = self._module, delivery.message
        store = module.stores[name]
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
            self._emit_urc(
                PendingUrc(f'{code}: "{name}",{slot + module.profile.first_index}', needs_cnma=False)
            )

    def _refuse_for_memory(self, delivery: RpData, name: str) -> None:
        if name == "SM" and self._module.settings.cpms[2] != "SM":
            self._answer_network(delivery.reference, FCS_SIM_STORAGE_FULL)
            return
        if not self._memory_exceeded and self._module.profile.store_full_urc:
            self._module.output.write_urc(self._module.profile.store_full_urc.replace("{store}", name))
        self._memory_exceeded = True
        self._answer_network(delivery.reference, RP_MEMORY_EXCEEDED)

    def _deliver_directly(self, delivery: RpData, line: str) -> None:
        """+CMT or +CDS. Where it must be held back, the module answers the network itself (27.005 3.4.4)."""
        module = self._module
        if module.settings.csms == 0:
            self._answer_network(delivery.reference, None)
            self._emit_urc(PendingUrc(line, needs_cnma=False))
        elif module.command_reader.is_text_entry_open or module.settings.cnmi[0] == 0:
            self._answer_network(delivery.reference, None)
            self._emit_urc(PendingUrc(line, needs_cnma=True))
        else:
            module.output.write_urc(line)
            self._wait_for_cnma(delivery.reference)

    def _emit_urc(self, urc: PendingUrc) -> None:
        """Now, or when the mode of +CNMI allows it and no +CNMA is owed; never out of order."""
        if urc.needs_cnma or self._pending_urcs or self._module.settings.cnmi[0] == 0:
            self._pending_urcs.append(urc)
        else:
            self._module.output.write_urc(urc.text)

    def _wait_for_cnma(self, reference: int | None) -> None:
        self._cnma_pending, self._unanswered_reference = True, reference
        self._cnma_timer = self._module.power.call_later(self._module.profile.cnma_s, self._cnma_timed_out)

    def _cnma_timed_out(self) -> None:
        """No +CNMA in time: failure to the network, and direct routing is switched off."""
        mode, _, bm, _, bfr = self._module.settings.cnmi
        self._cnma_pending = False
        self._module.settings.cnmi = (mode, 0, bm, 0, bfr)
        if self._unanswered_reference is not None:
            self._answer_network(self._unanswered_reference, RP_PROTOCOL_ERROR)
        self.process_pending()

    def _answer_network(self, reference: int, cause: int | None) -> None:
        self._module.log.delivery_answers.append((reference, cause))
        self._module.network.acknowledge(self._module, reference, cause)
