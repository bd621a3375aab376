"""Messages from the network: stored and announced, or handed over and acknowledged (27.005 3.4.1, 3.4.4).

The rules of +CNMI: `<mt>` 0 stores silently, 1 stores and says +CMTI, 2 hands over with +CMT what is not
bound to the card, 3 hands over class 3. With +CSMS=1 whatever is handed over is acknowledged to the network
only when the terminal has said +CNMA, and nothing further is handed over before that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.module import tpdu
from hardware.sim.module.memory import Status, Stored
from hardware.sim.module.refusal import cms
from hardware.sim.radio import MEMORY_EXCEEDED

if TYPE_CHECKING:
    from hardware.sim.module.module import SimulatedModule
    from hardware.sim.radio import Handle
    from pdu import Address

KEPT_CODES = 20
"""Codes kept in the module under mode 0 of +CNMI; the oldest is lost when one more comes."""

CARD_FULL = 0xD0
"""TP-FCS (U)SIM storage full, 23.040 9.2.3.22."""
NOT_UNDERSTOOD = 97
"""RP cause: message type not implemented, 24.011 E.2."""
PROTOCOL_ERROR = 111
"""RP cause: protocol error, unspecified, 24.011 E.2; what a missing +CNMA becomes."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One RP-DATA that the network has not been answered yet."""

    reference: int
    message: Stored


@dataclass(frozen=True, slots=True)
class Kept:
    """A code that waits in the module; `owes` when the terminal must answer it by +CNMA."""

    line: str
    owes: bool


class Arrival:
    """Routes what the network delivers."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module
        self._memory_was_exceeded = False
        self._timer: Handle | None = None
        self.forget()

    def forget(self) -> None:
        """A restart: what waited here is lost; the network never got an answer and sends it again."""
        self._module.power.cancel(self._timer)
        self._queue: deque[Delivery] = deque()
        self._kept: deque[Kept] = deque(maxlen=KEPT_CODES)
        self._owing = self._busy = False
        self._unanswered: int | None = None

    def deliver(self, reference: int, service_centre: Address, octets: bytes) -> None:
        """RP-DATA."""
        self._queue.append(Delivery(reference, Stored(Status.UNREAD, service_centre, octets)))
        self.go_on()

    def go_on(self) -> None:
        """Say what was kept, then route what waited, until the terminal owes a +CNMA."""
        if self._busy:  # the network may answer an acknowledgement with the next delivery at once
            return
        self._busy = True
        try:
            self._work()
        finally:
            self._busy = False

    def clear(self) -> None:
        """`<bfr>` 1 of +CNMI: the codes that were kept are dropped."""
        self._kept.clear()

    def acknowledge(self, cause: int | None) -> None:
        """+CNMA; raises +CMS ERROR 340 when nothing is owed."""
        if not self._owing:
            raise cms(340)
        self._module.power.cancel(self._timer)
        self._owing = False
        if self._unanswered is not None:
            self._answer(self._unanswered, cause)
        self._module.interpreter.afterwards(self.go_on)

    def space(self) -> None:
        """A message was deleted: if one had been refused for want of room, the network is told (RP-SMMA)."""
        store = self._module.stores[self._module.settings.cpms[2]]
        if self._memory_was_exceeded and len(store) < store.capacity:
            self._memory_was_exceeded = False
            if self._module.attached:
                self._module.network.memory_available(self._module)

    def _work(self) -> None:
        settings, terminal = self._module.settings, self._module.terminal
        while self._kept and settings.cnmi[0] != 0 and not terminal.entering and not self._owing:
            kept = self._kept.popleft()
            self._module.speech.unsolicited(kept.line)
            if kept.owes and settings.csms == 1:
                self._await(None)
        while self._queue and not self._owing:
            self._route(self._queue.popleft())

    def _route(self, delivery: Delivery) -> None:
        octets = delivery.message.tpdu
        match tpdu.kind(octets):
            case "deliver":
                self._route_message(delivery, tpdu.glance(octets))
            case "report":
                self._route_report(delivery)
            case _:
                self._answer(delivery.reference, NOT_UNDERSTOOD)

    def _route_message(self, delivery: Delivery, glance: tpdu.Glance) -> None:
        mt = self._module.settings.cnmi[1]
        if glance.silent:
            self._answer(delivery.reference, None)
        elif glance.for_card:
            self._store("SM", delivery, glance, announce=mt != 0)
        elif self._goes_direct(mt, glance):
            self._hand_over(delivery, self._module.rendering.direct(delivery.message))
        else:
            self._store(self._module.settings.cpms[2], delivery, glance, announce=mt != 0)

    def _goes_direct(self, mt: int, glance: tpdu.Glance) -> bool:
        """Class 0 is for immediate display, and the terminal is the only display there is."""
        if mt == 2:
            return not glance.kept_for_waiting
        if mt == 3 and glance.message_class == 3:
            return True
        return mt != 0 and glance.message_class == 0 and self._module.device.class_0_direct

    def _route_report(self, delivery: Delivery) -> None:
        match self._module.settings.cnmi[3]:
            case 1:
                self._hand_over(delivery, self._module.rendering.direct_report(delivery.message))
            case 2:
                self._store(self._module.device.report_store, delivery, None, announce=True)
            case _:  # not routed to the terminal: there is nobody to keep it for
                self._answer(delivery.reference, None)

    def _store(self, name: str, delivery: Delivery, glance: tpdu.Glance | None, *, announce: bool) -> None:
        """Put it into a store and say +CMTI or +CDSI; without room the network is told to keep it."""
        module, message = self._module, delivery.message
        store = module.stores[name]
        slot = next((at for at, other in store if glance and glance.replaces(other.tpdu)), None)
        if slot is None:
            slot = store.add(message)
        else:
            store.replace(slot, message)
        if slot is None:
            self._refuse(delivery, name)
            return
        self._answer(delivery.reference, None)
        if announce:
            code = "+CMTI" if glance is not None else "+CDSI"
            self._say(Kept(f'{code}: "{name}",{slot + module.device.first_index}', owes=False))

    def _refuse(self, delivery: Delivery, name: str) -> None:
        if name == "SM" and self._module.settings.cpms[2] != "SM":
            self._answer(delivery.reference, CARD_FULL)
            return
        if not self._memory_was_exceeded and self._module.device.full_code:
            self._module.speech.unsolicited(self._module.device.full_code.replace("{store}", name))
        self._memory_was_exceeded = True
        self._answer(delivery.reference, MEMORY_EXCEEDED)

    def _hand_over(self, delivery: Delivery, line: str) -> None:
        """+CMT or +CDS. Where it must be held back, the module answers the network itself (27.005 3.4.4)."""
        module = self._module
        if module.settings.csms == 0:
            self._answer(delivery.reference, None)
            self._say(Kept(line, owes=False))
        elif module.terminal.entering or module.settings.cnmi[0] == 0:
            self._answer(delivery.reference, None)
            self._say(Kept(line, owes=True))
        else:
            module.speech.unsolicited(line)
            self._await(delivery.reference)

    def _say(self, kept: Kept) -> None:
        """Now, or when the mode of +CNMI allows it and no +CNMA is owed; never out of order."""
        if kept.owes or self._kept or self._module.settings.cnmi[0] == 0:
            self._kept.append(kept)
        else:
            self._module.speech.unsolicited(kept.line)

    def _await(self, reference: int | None) -> None:
        self._owing, self._unanswered = True, reference
        self._timer = self._module.power.later(self._module.device.cnma_s, self._missed)

    def _missed(self) -> None:
        """No +CNMA in time: failure to the network, and direct routing is switched off."""
        mode, _, bm, _, bfr = self._module.settings.cnmi
        self._owing = False
        self._module.settings.cnmi = (mode, 0, bm, 0, bfr)
        if self._unanswered is not None:
            self._answer(self._unanswered, PROTOCOL_ERROR)
        self.go_on()

    def _answer(self, reference: int, cause: int | None) -> None:
        self._module.ledger.answered.append((reference, cause))
        self._module.network.acknowledge(self._module, reference, cause)
