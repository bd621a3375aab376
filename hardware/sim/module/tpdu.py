"""The fields of a TPDU that a module itself reads to route and to number it.

A module passes on what it does not understand, so only the first fields are read, without any error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pdu import Address, DataCoding, NumberingPlan, PduError, TypeOfNumber
from pdu.address import write_address

SUBMIT, COMMAND = 1, 2
"""TP-MTI, mobile to network (23.040 9.2.3.1)."""


def message_type(octets: bytes) -> Literal["deliver", "report", "other"]:
    """Return the type by TP-MTI, network to mobile; the reserved value counts as DELIVER (23.040 9.2.3.1)."""
    match octets[0] & 3 if octets else 1:
        case 0 | 3:
            return "deliver"
        case 2:
            return "report"
    return "other"


@dataclass(frozen=True, slots=True)
class TpduSummary:
    """The first fields of a DELIVER; zeros if it is too short."""

    originating_address: bytes
    protocol_identifier: int
    data_coding_scheme: int

    @property
    def message_class(self) -> int | None:
        """Message class 0 to 3, or None (23.038 4)."""
        return DataCoding(self.data_coding_scheme).message_class

    @property
    def is_stored_indication(self) -> bool:
        """True for a message waiting indication of the group "store message" (23.038 4)."""
        return self.data_coding_scheme >> 4 in {0b1101, 0b1110}

    @property
    def is_for_sim(self) -> bool:
        """True for class 2, which is stored on the SIM whatever +CPMS says."""
        return self.message_class == 2

    @property
    def is_silent(self) -> bool:
        """True if the message is only acknowledged: type 0, and data download to the SIM (23.040 9.2.3.9)."""
        return self.protocol_identifier == 0x40 or (self.protocol_identifier == 0x7F and self.is_for_sim)

    def can_replace(self, other: bytes) -> bool:
        """Return True if it replaces another message: same replace type, same originator (9.2.3.9)."""
        if not 0x41 <= self.protocol_identifier <= 0x47 or message_type(other) != "deliver":
            return False
        older = summarise(other)
        return (older.protocol_identifier, older.originating_address) == (
            self.protocol_identifier,
            self.originating_address,
        )


def summarise(octets: bytes) -> TpduSummary:
    """Read the first fields of a DELIVER."""
    end = find_address_end(octets, 1)
    rest = octets[end : end + 2].ljust(2, b"\0")
    return TpduSummary(octets[1:end], rest[0], rest[1])


def find_address_end(octets: bytes, start: int) -> int:
    """Return the end of the address field at `start`; its length counts semi-octets (23.040 9.1.2.5)."""
    digits = octets[start] if len(octets) > start else 0
    return start + 2 + (digits + 1) // 2


def parse_address(number: str, type_of_address: int | None = None) -> Address:
    """Parse `<da>` and `<toda>`: `+` means international, else the type counts, else 129 (27.005 3.1).

    Raises PduError for characters that are not digits, and for more than 20 digits.
    """
    if type_of_address is None or number.startswith("+"):
        type_of_address = 145 if number.startswith("+") else 129
    result = Address(
        number.removeprefix("+"), TypeOfNumber(type_of_address >> 4 & 7), NumberingPlan(type_of_address & 15)
    )
    if result.type_of_number is TypeOfNumber.ALPHANUMERIC:
        raise PduError("address", None, "a terminal cannot enter an alphanumeric address")
    write_address(result, "address")
    return result
