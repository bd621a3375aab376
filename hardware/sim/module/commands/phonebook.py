"""Phonebooks: 27.007 7.1 and 8.11 to 8.14. SM is empty at first, ON has the number of the SIM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardware.sim.module import charset
from hardware.sim.module.command_outcome import CommandOutcome, Requirement
from hardware.sim.module.errors import cme_error, plain_error
from hardware.sim.module.parts import CommandDef
from hardware.sim.module.phonebook import (
    INTERNATIONAL,
    MAX_NAME_CHARACTERS,
    MAX_NUMBER_DIGITS,
    UNKNOWN_TYPE,
    Phonebook,
    PhonebookEntry,
)

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

ANY_NUMBER = range(100_000)
_DIAL_STRING = re.compile(r"[0-9*#pP]*")
"""What the SIM can store."""


def _books(module: ModuleParts) -> dict[str, Phonebook]:
    return {"SM": module.sim.contacts, "ON": module.sim.own_numbers}


def _chosen_book(module: ModuleParts) -> Phonebook:
    return _books(module)[module.settings.phonebook]


def _choose_book(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPBS="SM"|"ON"."""
    name = parameters.get_string(0).upper()
    if name not in _books(module):
        raise cme_error(50)
    module.settings.phonebook = name
    return []


def _show_book(module: ModuleParts) -> str:
    book = _chosen_book(module)
    return f'"{module.settings.phonebook}",{len(book.entries)},{book.capacity}'


def _list_entries(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPBR=<index1>[,<index2>]: the entries in use; none gives only OK."""
    book = _chosen_book(module)
    first = _parse_index(book, parameters, 0)
    last = _parse_index(book, parameters, 1) if parameters.has(1) else first
    lines = [
        f"+CPBR: {index},{_format_entry(module, entry)}"
        for index, entry in sorted(book.entries.items())
        if first <= index <= last
    ]
    return ["\r\n".join(lines)] if lines else []


def _find_entries(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPBF=<findtext>: the entries whose name begins with the text; none is +CME ERROR 22."""
    wanted = _decode(module, parameters.get_string(0)).casefold()
    lines = [
        f"+CPBF: {index},{_format_entry(module, entry)}"
        for index, entry in sorted(_chosen_book(module).entries.items())
        if entry.name.casefold().startswith(wanted)
    ]
    if not lines:
        raise cme_error(22)
    return ["\r\n".join(lines)]


def _write_entry(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CPBW=[<index>][,<number>[,<type>[,<text>]]]: without a number the entry is deleted."""
    book = _chosen_book(module)
    index = _parse_index(book, parameters, 0) if parameters.has(0) else book.find_free_index()
    if index is None:
        raise cme_error(20)
    if not parameters.has(1):
        if not parameters.has(0):
            raise plain_error()
        book.entries.pop(index, None)
        return []
    written = parameters.get_string(1)
    number = written.removeprefix("+")
    number_type = parameters.get_number(
        2, range(128, 256), INTERNATIONAL if written.startswith("+") else UNKNOWN_TYPE
    )
    name = _decode(module, parameters.get_string(3, ""))
    if not _DIAL_STRING.fullmatch(number):
        raise cme_error(27)
    if len(number) > MAX_NUMBER_DIGITS:
        raise cme_error(26)
    if len(name) > MAX_NAME_CHARACTERS:
        raise cme_error(24)
    book.entries[index] = PhonebookEntry(number, number_type, name)
    return []


def _show_own_numbers(module: ModuleParts, _parameters: CommandParameters) -> CommandOutcome:
    """+CNUM: name, number and type."""
    lines = [
        f'+CNUM: "{_encode(module, entry.name)}","{entry.written_number}",{entry.number_type}'
        for _, entry in sorted(module.sim.own_numbers.entries.items())
    ]
    return ["\r\n".join(lines)] if lines else []


def _parse_index(book: Phonebook, parameters: CommandParameters, position: int) -> int:
    """Return an index of the book; raises +CME ERROR 21 outside it."""
    index = parameters.get_number(position, ANY_NUMBER)
    if not 1 <= index <= book.capacity:
        raise cme_error(21)
    return index


def _format_entry(module: ModuleParts, entry: PhonebookEntry) -> str:
    return f'"{entry.written_number}",{entry.number_type},"{_encode(module, entry.name)}"'


def _encode(module: ModuleParts, name: str) -> str:
    return charset.encode_text(name, module.settings.cscs)


def _decode(module: ModuleParts, text: str) -> str:
    try:
        return charset.decode_text(text, module.settings.cscs)
    except ValueError:
        raise cme_error(25) from None


def _show_limits(module: ModuleParts) -> str:
    return f"(1-{_chosen_book(module).capacity}),{MAX_NUMBER_DIGITS},{MAX_NAME_CHARACTERS}"


COMMANDS = {
    "+CPBS": CommandDef(
        set=_choose_book, read=_show_book, test=lambda _: '("SM","ON")', requires=Requirement.SIM
    ),
    "+CPBR": CommandDef(set=_list_entries, test=_show_limits, max_parameters=2, requires=Requirement.SIM),
    "+CPBF": CommandDef(
        set=_find_entries,
        test=lambda _: f"{MAX_NUMBER_DIGITS},{MAX_NAME_CHARACTERS}",
        requires=Requirement.SIM,
    ),
    "+CPBW": CommandDef(
        set=_write_entry,
        test=lambda module: (
            f"(1-{_chosen_book(module).capacity}),{MAX_NUMBER_DIGITS},(129,145),{MAX_NAME_CHARACTERS}"
        ),
        max_parameters=4,
        requires=Requirement.SIM,
    ),
    "+CNUM": CommandDef(execute=_show_own_numbers, requires=Requirement.SIM),
}
