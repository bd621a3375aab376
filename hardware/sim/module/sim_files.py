"""Elementary files of a SIM, and the commands that read them (31.102, 51.011, ETSI TS 102 221).

The files are those that programs ask for at their start. They are built from the `SimCard` at each access and
cannot be written by the commands of the card.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hardware.sim.module.charset import encode_gsm7

if TYPE_CHECKING:
    from hardware.sim.module.phonebook import PhonebookEntry
    from hardware.sim.module.sim_card import SimCard

# Status words, ETSI TS 102 221 10.2.1.
SUCCESS = 0x9000
SECURITY_NOT_SATISFIED = 0x6982
AUTHENTICATION_BLOCKED = 0x6983
INCOMPATIBLE_WITH_STRUCTURE = 0x6981
NO_FILE_SELECTED = 0x6986
FILE_NOT_FOUND = 0x6A82
RECORD_NOT_FOUND = 0x6A83
WRONG_OFFSET = 0x6B00
INSTRUCTION_NOT_SUPPORTED = 0x6D00

READ_BINARY, READ_RECORD, GET_RESPONSE, UPDATE_BINARY, UPDATE_RECORD, STATUS = 176, 178, 192, 214, 220, 242
"""`<command>` of +CRSM (27.007 8.18): the instruction octet of the card."""
RETRIEVE_DATA, SET_DATA = 203, 219
CRSM_COMMANDS = (
    READ_BINARY,
    READ_RECORD,
    GET_RESPONSE,
    RETRIEVE_DATA,
    UPDATE_BINARY,
    SET_DATA,
    UPDATE_RECORD,
    STATUS,
)

EF_ICCID, EF_IMSI, EF_MSISDN, EF_SMSP, EF_SPN, EF_AD = 0x2FE2, 0x6F07, 0x6F40, 0x6F42, 0x6F46, 0x6FAD
EF_ECC = 0x6FB7
EMERGENCY_NUMBERS = ("112", "911")

_EXTENDED_DIGITS = str.maketrans("*#P", "ABC")
"""The digits for `*`, `#` and a pause (31.102 4.4.2.3)."""

ABSOLUTE_MODE = 4
"""P2 of READ RECORD: P1 is the number of the record."""


@dataclass(frozen=True, slots=True)
class ElementaryFile:
    """A transparent file, or a linear fixed one with records of equal length."""

    records: tuple[bytes, ...]
    is_linear: bool = False
    is_public: bool = False
    """True if it can be read before the PIN is verified."""


def build_files(sim: SimCard) -> dict[int, ElementaryFile]:
    """Return the files of a SIM by their identifier."""
    own = [sim.own_numbers.entries.get(index + 1) for index in range(sim.own_numbers.capacity)]
    return {
        EF_ICCID: ElementaryFile((_swap_digits(sim.iccid),), is_public=True),
        EF_IMSI: ElementaryFile((_encode_imsi(sim.imsi),)),
        # Transparent as in 51.011 10.3.27, which is how programs read it.
        EF_ECC: ElementaryFile((_pad(b"".join(map(_encode_short_number, EMERGENCY_NUMBERS)), 15),)),
        EF_MSISDN: ElementaryFile(tuple(_encode_own_number(entry) for entry in own), is_linear=True),
        EF_SMSP: ElementaryFile((_encode_sms_parameters(sim),), is_linear=True),
        # Display condition 0: the name is not required beside that of the network (31.102 4.2.12).
        EF_SPN: ElementaryFile((b"\x00" + _pad(encode_gsm7(sim.provider_name), 16),)),
        # Normal operation, and the length of the MNC (31.102 4.2.18).
        EF_AD: ElementaryFile((bytes((0, 0, 0, sim.mnc_digits)),)),
    }


def read_file(
    sim: SimCard, *, is_unlocked: bool, file_id: int, request: tuple[int, int, int, int]
) -> CardAnswer:
    """Execute a command on a file. `request` is the instruction with P1, P2 and P3."""
    command, p1, p2, length = request
    file = build_files(sim).get(file_id)
    if command == STATUS:
        return CardAnswer(SUCCESS)
    if command not in {READ_BINARY, READ_RECORD, GET_RESPONSE, UPDATE_BINARY, UPDATE_RECORD}:
        return CardAnswer(INSTRUCTION_NOT_SUPPORTED)
    if file is None:
        return CardAnswer(FILE_NOT_FOUND)
    if command == GET_RESPONSE:
        description = _describe_file(file_id, file)
        return _cut(description, length or len(description))  # the length may be left out (27.007 8.18)
    if command in {UPDATE_BINARY, UPDATE_RECORD} or not (file.is_public or is_unlocked):
        return CardAnswer(SECURITY_NOT_SATISFIED)
    if (command == READ_RECORD) != file.is_linear:
        return CardAnswer(INCOMPATIBLE_WITH_STRUCTURE)
    if command == READ_BINARY:
        offset, content = p1 << 8 | p2, file.records[0]
        return CardAnswer(WRONG_OFFSET) if offset >= len(content) else _cut(content[offset:], length)
    if p2 != ABSOLUTE_MODE:
        return CardAnswer(WRONG_OFFSET)
    if not 1 <= p1 <= len(file.records):
        return CardAnswer(RECORD_NOT_FOUND)
    return _cut(file.records[p1 - 1], length)


@dataclass(frozen=True, slots=True)
class CardAnswer:
    """Status word and data."""

    status: int
    data: bytes = b""


def _cut(content: bytes, length: int) -> CardAnswer:
    """Return `length` octets, 0 for 256; if there are fewer, the status word that names their number."""
    wanted = length or 256
    if wanted > len(content):
        return CardAnswer(0x6C00 | len(content))
    return CardAnswer(SUCCESS, content[:wanted])


def _describe_file(file_id: int, file: ElementaryFile) -> bytes:
    """Return the file control parameters, ETSI TS 102 221 11.1.1.3: structure, identifier, state, size."""
    record = len(file.records[0])
    structure = (
        bytes((0x82, 5, 0x42, 0x21, 0, record, len(file.records)))
        if file.is_linear
        else bytes((0x82, 2, 0x41, 0x21))
    )
    size = record * len(file.records)
    body = (
        structure
        + bytes((0x83, 2, file_id >> 8, file_id & 0xFF, 0x8A, 1, 5))
        + bytes((0x8B, 3, 0x6F, 0x06, 1 if file.is_public else 2))
        + bytes((0x80, 2, size >> 8, size & 0xFF))
    )
    return bytes((0x62, len(body))) + body


def _swap_digits(digits: str) -> bytes:
    """Return two digits in each octet, the first in the lower half; F fills the last one."""
    padded = digits.upper().translate(_EXTENDED_DIGITS) + "F" * (len(digits) % 2)
    return bytes(int(padded[place + 1] + padded[place], 16) for place in range(0, len(padded), 2))


def _encode_short_number(number: str) -> bytes:
    return _pad(_swap_digits(number), 3)


def _pad(octets: bytes, length: int) -> bytes:
    return octets[:length] + b"\xff" * (length - len(octets))


def _encode_imsi(imsi: str) -> bytes:
    """EF_IMSI: length, then the digits after a half with their parity (31.102 4.2.2)."""
    content = _swap_digits(("9" if len(imsi) % 2 else "1") + imsi)
    return _pad(bytes((len(content),)) + content, 9)


def _encode_number(number: str, number_type: int, length: int) -> bytes:
    content = _swap_digits(number)[: length - 1]
    return _pad(bytes((number_type,)) + content, length)


def _encode_own_number(entry: PhonebookEntry | None) -> bytes:
    """A record of EF_MSISDN: name of 14 octets, length, number, capability and extension (31.102 4.2.26)."""
    if entry is None:
        return b"\xff" * 28
    number = _encode_number(entry.number, entry.number_type, 11)
    used = 1 + (len(entry.number) + 1) // 2
    return _pad(encode_gsm7(entry.name), 14) + bytes((min(used, 11),)) + number + b"\xff\xff"


def _encode_sms_parameters(sim: SimCard) -> bytes:
    """A record of EF_SMSP with nothing but the service centre (31.102 4.2.27)."""
    digits = str(sim.service_centre).removeprefix("+")
    number_type = 0x91 if str(sim.service_centre).startswith("+") else 0x81
    centre = bytes((1 + (len(digits) + 1) // 2,)) + _encode_number(digits, number_type, 11)
    return b"\xff" * 12 + b"\xfd" + b"\xff" * 12 + centre + b"\xff" * 3
