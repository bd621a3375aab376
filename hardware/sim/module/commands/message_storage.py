"""Commands that read, list, delete and write stored messages: 27.005 3.4.2, 3.4.3, 3.5.3, 3.5.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import tpdu
from hardware.sim.module.command_outcome import CommandOutcome, Requirement, TextPrompt
from hardware.sim.module.errors import cms_error, plain_error
from hardware.sim.module.parts import CommandDef
from hardware.sim.module.stores import MessageStatus, StoredTpdu

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts
    from hardware.sim.module.stores import Store
    from pdu import Address

ANY_NUMBER = range(100_000)

STATUS_BY_TEXT = {status.text: status for status in MessageStatus}

STATUSES_BY_DELETE_FLAG = {
    1: (MessageStatus.READ,),
    2: (MessageStatus.READ, MessageStatus.SENT),
    3: (MessageStatus.READ, MessageStatus.SENT, MessageStatus.UNSENT),
    4: tuple(MessageStatus),
}
"""Statuses that `<delflag>` deletes, 27.005 3.5.4."""


def parse_slot(module: ModuleParts, store: Store, parameters: CommandParameters, position: int = 0) -> int:
    """Parse `<index>` into a slot of the store; raises +CMS ERROR 321 outside it."""
    slot = parameters.get_number(position, ANY_NUMBER) - module.profile.first_index
    if not 0 <= slot < store.capacity:
        raise cms_error(321)
    return slot


def _read_message(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGR=<index>: an unread message becomes read; the answer shows its status before."""
    leaves_status = _leaves_status(module, parameters)
    store = module.stores[module.settings.cpms[0]]
    message = store.get(parse_slot(module, store, parameters))
    if message is None:
        raise cms_error(321)
    text = module.messages.formatter.format_entry("+CMGR", message)
    if not leaves_status:
        _mark_read(message)
    return [text]


def _list_messages(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGL[=<stat>]: all entries in the order of their index, in one information text."""
    wanted = _parse_statuses(module, parameters)
    leaves_status = _leaves_status(module, parameters)
    entries = []
    for slot, message in module.stores[module.settings.cpms[0]]:
        if message.status in wanted:
            entries.append(
                module.messages.formatter.format_entry("+CMGL", message, slot + module.profile.first_index)
            )
            if not leaves_status:
                _mark_read(message)
    return [("" if module.profile.joins_list_entries else "\r\n").join(entries)] if entries else []


def _parse_statuses(module: ModuleParts, parameters: CommandParameters) -> tuple[MessageStatus, ...]:
    if not module.settings.text_mode:
        number = parameters.get_number(0, range(5), 0)
        return tuple(MessageStatus) if number == 4 else (MessageStatus(number),)
    words = parameters.get_string(0, "REC UNREAD").upper()
    if words == "ALL":
        return tuple(MessageStatus)
    if words not in STATUS_BY_TEXT:
        raise plain_error()
    return (STATUS_BY_TEXT[words],)


def _show_statuses(module: ModuleParts) -> str:
    if not module.settings.text_mode:
        return "(0-4)"
    return "(" + ",".join(f'"{words}"' for words in (*STATUS_BY_TEXT, "ALL")) + ")"


def _leaves_status(module: ModuleParts, parameters: CommandParameters) -> bool:
    """Return True if the second value of SIMCom's modules says that unread messages stay unread."""
    if not module.profile.takes_list_mode:
        parameters.require_at_most(1)
    return parameters.get_number(1, range(2), 0) == 1


def _mark_read(message: StoredTpdu) -> None:
    if message.status is MessageStatus.UNREAD:
        message.status = MessageStatus.READ


def _delete_messages(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGD=<index>[,<delflag>]: with a flag other than 0 the index is ignored."""
    store = module.stores[module.settings.cpms[0]]
    flag = parameters.get_number(1, range(5), 0)
    if flag:
        parameters.get_number(0, ANY_NUMBER, 0)
        slots = [slot for slot, message in store if message.status in STATUSES_BY_DELETE_FLAG[flag]]
    else:
        slots = [parse_slot(module, store, parameters)]
        if module.profile.delete_frees_read:
            slots += [slot for slot, message in store if message.status is MessageStatus.READ]
    for slot in slots:
        store.delete(slot)
    module.line.call_after_result(module.messages.delivery.report_memory_available)
    return []


def _show_indices(module: ModuleParts) -> str:
    base = module.profile.first_index
    used = [str(slot + base) for slot, _ in module.stores[module.settings.cpms[0]]]
    return f"({','.join(used)}),(0-4)"


def _write_message(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGW: PDU mode `=<length>[,<stat>]`, text mode `[="<oa/da>"[,<tooa/toda>[,"<stat>"]]]`."""
    if not module.settings.text_mode:
        parameters.require_at_most(2)
        length, status = (
            parameters.get_number(0, ANY_NUMBER),
            MessageStatus(parameters.get_number(1, range(4), MessageStatus.UNSENT)),
        )
        return TextPrompt(
            lambda text: _store_message(module, status, *module.messages.builder.parse_pdu(text, length)),
            text_mode=False,
        )
    words = parameters.get_string(2, MessageStatus.UNSENT.text).upper()
    if words not in STATUS_BY_TEXT:
        raise plain_error()
    status = STATUS_BY_TEXT[words]
    address = (
        module.messages.builder.parse_destination(parameters) if parameters.has(0) else tpdu.parse_address("")
    )
    compose = (
        module.messages.builder.build_deliver if status.is_received else module.messages.builder.build_submit
    )
    return TextPrompt(
        lambda text: _store_message(module, status, module.sim.service_centre, compose(address, text)),
        text_mode=True,
    )


def _store_message(
    module: ModuleParts, status: MessageStatus, service_centre: Address | None, octets: bytes
) -> CommandOutcome:
    """Store a message in `<mem2>`; raises +CMS ERROR 322 if it is full."""
    slot = module.stores[module.settings.cpms[1]].add(StoredTpdu(status, service_centre, octets))
    if slot is None:
        raise cms_error(322)
    return [f"+CMGW: {slot + module.profile.first_index}"]


COMMANDS = {
    "+CMGR": CommandDef(set=_read_message, max_parameters=2, requires=Requirement.MESSAGE_SERVICE),
    "+CMGL": CommandDef(
        execute=_list_messages,
        set=_list_messages,
        test=_show_statuses,
        max_parameters=2,
        requires=Requirement.MESSAGE_SERVICE,
    ),
    "+CMGD": CommandDef(
        set=_delete_messages, test=_show_indices, max_parameters=2, requires=Requirement.MESSAGE_SERVICE
    ),
    "+CMGW": CommandDef(
        execute=_write_message, set=_write_message, max_parameters=3, requires=Requirement.MESSAGE_SERVICE
    ),
}
