"""Sending, and acknowledging what was handed over: 27.005 3.5.1, 3.5.2, 3.5.5, 3.4.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import tpdu
from hardware.sim.module.arrival import PROTOCOL_ERROR
from hardware.sim.module.commands.message_memory import ANY_NUMBER, slot_of
from hardware.sim.module.composing import hexadecimal, readdressed
from hardware.sim.module.interpreter import Entry, Needs, Outcome, Prompt
from hardware.sim.module.memory import Status
from hardware.sim.module.refusal import cms, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.command import Values
    from hardware.sim.module.module import SimulatedModule

OCTET = range(256)


def _send(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGS: PDU mode `=<length>`, text mode `="<da>"[,<toda>]`."""
    if not module.settings.text_mode:
        return _pdu_prompt(module, values, "+CMGS", tpdu.SUBMIT)
    values.at_most(2)
    destination = module.composing.destination(values)
    answer = _answer("+CMGS")
    return Prompt(
        lambda text: module.outgoing.send(module.composing.submit(destination, text), None, answer),
        lines=True,
    )


def _pdu_prompt(module: SimulatedModule, values: Values, name: str, kind: int) -> Prompt:
    """`=<length>`, then a `<pdu>` of that kind."""
    values.at_most(1)
    length = values.number(0, ANY_NUMBER)

    def entered(text: bytes) -> Outcome:
        centre, octets = module.composing.pdu(text, length)
        if octets[0] & 3 != kind:
            raise cms(304)
        return module.outgoing.send(octets, centre, _answer(name))

    return Prompt(entered, lines=False)


def _answer(name: str) -> Callable[[int], list[str]]:
    return lambda reference: [f"{name}: {reference}"]


def _send_stored(module: SimulatedModule, values: Values) -> Outcome:
    """+CMSS=<index>[,"<da>"[,<toda>]]: from the second store; sent, it is marked so."""
    values.at_most(3)
    store = module.stores[module.settings.cpms[1]]
    message = store.get(slot_of(module, store, values))
    if message is None:
        raise cms(321)
    octets = message.tpdu
    if message.status.received or octets[0] & 3 != tpdu.SUBMIT:
        raise cms(302)
    if values.given(1):
        octets = readdressed(octets, module.composing.destination(values, 1))

    def sent(reference: int) -> list[str]:
        message.status = Status.SENT
        return [f"+CMSS: {reference}"]

    return module.outgoing.send(octets, message.service_centre, sent)


def _command(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGC: PDU mode `=<length>`, text mode `=<fo>,<ct>[,<pid>[,<mn>[,"<da>"[,<toda>]]]]`, data as hex."""
    if not module.settings.text_mode:
        return _pdu_prompt(module, values, "+CMGC", tpdu.COMMAND)
    values.at_most(6)
    first = values.number(0, OCTET, tpdu.COMMAND)
    if first & 3 != tpdu.COMMAND:
        raise cms(305)
    kind, protocol, number = (values.number(place, OCTET, 0) for place in (1, 2, 3))
    destination = module.composing.destination(values, 4)

    def entered(text: bytes) -> Outcome:
        octets = module.composing.command(first, kind, protocol, number, destination, text)
        return module.outgoing.send(octets, None, _answer("+CMGC"))

    return Prompt(entered, lines=True)


def _acknowledge(module: SimulatedModule, values: Values) -> Outcome:
    """+CNMA: text mode only bare; PDU mode `[=<n>[,<length>]]`, n = 2 refuses, a length announces a PDU."""
    if module.settings.csms == 0:
        raise cms(340)
    if module.settings.text_mode and values.items:
        raise error()
    values.at_most(2)
    positive = values.number(0, range(3), 0) < 2
    length = values.number(1, ANY_NUMBER, 0)
    if length:
        return Prompt(lambda text: _report(module, text, length, positive=positive), lines=False)
    module.arrival.acknowledge(None if positive else PROTOCOL_ERROR)
    return []


def _report(module: SimulatedModule, text: bytes, length: int, *, positive: bool) -> Outcome:
    """The DELIVER-REPORT that goes with it, without service centre field; its TP-FCS is the cause."""
    octets = hexadecimal(text)
    if len(octets) != length or octets[0] & 3 != 0:
        raise cms(304)
    failure = octets[1] if length > 1 and octets[1] >= 0x80 else PROTOCOL_ERROR
    module.arrival.acknowledge(None if positive else failure)
    return []


ENTRIES = {
    "+CMGS": Entry(set=_send, needs=Needs.MESSAGES),
    "+CMSS": Entry(set=_send_stored, needs=Needs.MESSAGES),
    "+CMGC": Entry(set=_command, needs=Needs.MESSAGES),
    "+CNMA": Entry(
        execute=_acknowledge,
        set=_acknowledge,
        test=lambda module: "" if module.settings.text_mode else "(0-2)",
        needs=Needs.MESSAGES,
    ),
}
