"""Access to the files of the SIM: +CRSM and +CSIM (27.007 8.17 and 8.18)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hardware.sim.module import sim_files
from hardware.sim.module.command_outcome import CommandOutcome
from hardware.sim.module.errors import CommandError, plain_error
from hardware.sim.module.parts import CommandDef
from hardware.sim.module.sim_files import CardAnswer

if TYPE_CHECKING:
    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

OCTET = range(256)
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")

# Instruction octets of the card, ETSI TS 102 221 10.1.2.
_VERIFY, _UNBLOCK, _SELECT = 0x20, 0x2C, 0xA4
_PIN1, _PIN2 = 0x01, 0x81
"""P2 of VERIFY and UNBLOCK: the global PIN 1 and the PIN 2 of the application."""
_DIRECTORIES = {0x3F00, 0x7FFF, 0x7F20, 0x7F10}
_SELECT_BY_NAME = 4
"""P1 of SELECT: the data are the name of an application."""
_PIN2_RETRIES = 3


def _read_file(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CRSM=<command>[,<fileid>[,<P1>,<P2>,<P3>[,<data>[,<pathid>]]]]."""
    command = parameters.get_number(0, sim_files.CRSM_COMMANDS)
    file_id = parameters.get_number(1, range(0x10000), 0)
    p1, p2, p3 = (parameters.get_number(place, OCTET, 0) for place in (2, 3, 4))
    answer = _access(module, file_id, (command, p1, p2, p3))
    data = f',"{answer.data.hex().upper()}"' if answer.data else ""
    return [f"+CRSM: {answer.status >> 8},{answer.status & 0xFF}{data}"]


def _access(module: ModuleParts, file_id: int, request: tuple[int, int, int, int]) -> CardAnswer:
    """Access a file. Raises the +CME ERROR of a SIM that is absent or not read."""
    is_unlocked = module.sim_access.pin_state() == "READY"
    return sim_files.read_file(module.sim, is_unlocked=is_unlocked, file_id=file_id, request=request)


def _execute_apdu(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CSIM=<length>,<command>: the command of the card and its length, both in hexadecimal digits."""
    length = parameters.get_number(0, range(8, 523))
    text = parameters.get_string_or_word(1)
    if len(text) != length or not _HEX.fullmatch(text):
        raise plain_error()
    module.sim_access.pin_state()
    answer = _answer_apdu(module, bytes.fromhex(text))
    response = answer.data.hex().upper() + f"{answer.status:04X}"
    return [f'+CSIM: {len(response)},"{response}"']


def _answer_apdu(module: ModuleParts, apdu: bytes) -> CardAnswer:
    _, instruction, p1, p2 = apdu[:4]
    p3, data = (apdu[4] if len(apdu) > 4 else 0), apdu[5:]
    match instruction:
        case 0x20 | 0x2C:
            return CardAnswer(_verify(module, instruction, p2, data[:p3]))
        case 0xA4:
            return _select(module, p1, p2, data[:p3])
        case sim_files.STATUS:
            return CardAnswer(sim_files.SUCCESS)
    if module.sim_access.selected_file is None:
        return CardAnswer(sim_files.NO_FILE_SELECTED)
    return _access(module, module.sim_access.selected_file, (instruction, p1, p2, p3))


def _verify(module: ModuleParts, instruction: int, p2: int, data: bytes) -> int:
    """Return the status word of VERIFY or UNBLOCK; without data it has the remaining tries."""
    if p2 == _PIN2 and not data:
        return 0x63C0 | _PIN2_RETRIES
    if p2 != _PIN1 or len(data) not in {0, 8 if instruction == _VERIFY else 16}:
        return sim_files.INSTRUCTION_NOT_SUPPORTED
    codes = [
        data[start : start + 8].rstrip(b"\xff").decode("ascii", "replace") for start in range(0, len(data), 8)
    ]
    access = module.sim_access
    try:
        if codes and access.pin_state() == "READY":
            access.verify_pin(codes[0])
        elif codes:
            access.enter_pin(codes[0], codes[1] if len(codes) > 1 else None)
            module.line.call_after_result(module.power.resume_boot)
    except CommandError:
        pass  # the remaining tries say it
    else:
        if codes:
            return sim_files.SUCCESS
    tries = module.sim.pin_retries if instruction == _VERIFY else module.sim.puk_retries
    return 0x63C0 | tries if tries else sim_files.AUTHENTICATION_BLOCKED


def _select(module: ModuleParts, p1: int, p2: int, data: bytes) -> CardAnswer:
    if p1 == _SELECT_BY_NAME:
        return CardAnswer(sim_files.SUCCESS)
    file_id = int.from_bytes(data[-2:], "big")
    if file_id in _DIRECTORIES:
        return CardAnswer(sim_files.SUCCESS)
    answer = _access(module, file_id, (sim_files.GET_RESPONSE, 0, 0, 0))
    if answer.status == sim_files.FILE_NOT_FOUND:
        return answer
    module.sim_access.selected_file = file_id
    returns_nothing = p2 & 0x0C == 0x0C
    return CardAnswer(sim_files.SUCCESS if returns_nothing else 0x6100 | len(answer.data))


COMMANDS = {
    "+CRSM": CommandDef(set=_read_file, max_parameters=7),
    "+CSIM": CommandDef(set=_execute_apdu, max_parameters=2),
}
