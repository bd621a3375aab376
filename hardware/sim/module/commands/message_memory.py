"""Reading, listing, deleting and writing stored messages: 27.005 3.4.2, 3.4.3, 3.5.3, 3.5.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import tpdu
from hardware.sim.module.interpreter import Entry, Needs, Outcome, Prompt
from hardware.sim.module.memory import Status, Stored
from hardware.sim.module.refusal import cms, error

if TYPE_CHECKING:
    from hardware.sim.module.command import Values
    from hardware.sim.module.memory import Store
    from hardware.sim.module.module import SimulatedModule
    from pdu import Address

ANY_NUMBER = range(100_000)

WORDS = {status.words: status for status in Status}

DELETED = {
    1: (Status.READ,),
    2: (Status.READ, Status.SENT),
    3: (Status.READ, Status.SENT, Status.UNSENT),
    4: tuple(Status),
}
"""`<delflag>`: which statuses go, 27.005 3.5.4."""


def slot_of(module: SimulatedModule, store: Store, values: Values, place: int = 0) -> int:
    """The slot that an index means; raises +CMS ERROR 321 outside the store."""
    slot = values.number(place, ANY_NUMBER) - module.device.first_index
    if not 0 <= slot < store.capacity:
        raise cms(321)
    return slot


def _read(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGR: an unread message becomes read, the answer shows what it was."""
    values.at_most(1)
    store = module.stores[module.settings.cpms[0]]
    message = store.get(slot_of(module, store, values))
    if message is None:
        raise cms(321)
    text = module.rendering.entry("+CMGR", message)
    _mark_read(message)
    return [text]


def _list(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGL[=<stat>]: entries in the order of their index, one text."""
    values.at_most(1)
    wanted = _wanted(module, values)
    entries = []
    for slot, message in module.stores[module.settings.cpms[0]]:
        if message.status in wanted:
            entries.append(module.rendering.entry("+CMGL", message, slot + module.device.first_index))
            _mark_read(message)
    return ["\r\n".join(entries)] if entries else []


def _wanted(module: SimulatedModule, values: Values) -> tuple[Status, ...]:
    if not module.settings.text_mode:
        number = values.number(0, range(5), 0)
        return tuple(Status) if number == 4 else (Status(number),)
    words = values.string(0, "REC UNREAD").upper()
    if words == "ALL":
        return tuple(Status)
    if words not in WORDS:
        raise error()
    return (WORDS[words],)


def _statuses(module: SimulatedModule) -> str:
    if not module.settings.text_mode:
        return "(0-4)"
    return "(" + ",".join(f'"{words}"' for words in (*WORDS, "ALL")) + ")"


def _mark_read(message: Stored) -> None:
    if message.status is Status.UNREAD:
        message.status = Status.READ


def _delete(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGD=<index>[,<delflag>]: a flag other than 0 makes the index meaningless."""
    values.at_most(2)
    store = module.stores[module.settings.cpms[0]]
    flag = values.number(1, range(5), 0)
    if flag:
        values.number(0, ANY_NUMBER, 0)
        doomed = [slot for slot, message in store if message.status in DELETED[flag]]
    else:
        doomed = [slot_of(module, store, values)]
    for slot in doomed:
        store.delete(slot)
    module.interpreter.afterwards(module.arrival.space)
    return []


def _indices(module: SimulatedModule) -> str:
    base = module.device.first_index
    used = [str(slot + base) for slot, _ in module.stores[module.settings.cpms[0]]]
    return f"({','.join(used)}),(0-4)"


def _write(module: SimulatedModule, values: Values) -> Outcome:
    """+CMGW: PDU mode `=<length>[,<stat>]`, text mode `[="<oa/da>"[,<tooa/toda>[,"<stat>"]]]`."""
    if not module.settings.text_mode:
        values.at_most(2)
        length, status = values.number(0, ANY_NUMBER), Status(values.number(1, range(4), Status.UNSENT))
        return Prompt(lambda text: _keep(module, status, *module.composing.pdu(text, length)), lines=False)
    values.at_most(3)
    words = values.string(2, Status.UNSENT.words).upper()
    if words not in WORDS:
        raise error()
    status = WORDS[words]
    address = module.composing.destination(values) if values.given(0) else tpdu.address("")
    compose = module.composing.received if status.received else module.composing.submit
    return Prompt(
        lambda text: _keep(module, status, module.sim.service_centre, compose(address, text)), lines=True
    )


def _keep(module: SimulatedModule, status: Status, centre: Address | None, octets: bytes) -> Outcome:
    """Into the second store; +CMS ERROR 322 when that is full."""
    slot = module.stores[module.settings.cpms[1]].add(Stored(status, centre, octets))
    if slot is None:
        raise cms(322)
    return [f"+CMGW: {slot + module.device.first_index}"]


ENTRIES = {
    "+CMGR": Entry(set=_read, needs=Needs.MESSAGES),
    "+CMGL": Entry(execute=_list, set=_list, test=_statuses, needs=Needs.MESSAGES),
    "+CMGD": Entry(set=_delete, test=_indices, needs=Needs.MESSAGES),
    "+CMGW": Entry(execute=_write, set=_write, needs=Needs.MESSAGES),
}
