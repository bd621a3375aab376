"""The user data header: information elements, and the meaning of the known ones (23.040 9.2.3.24)."""

from __future__ import annotations

from pdu.coding import WaitingKind
from pdu.error import PduError
from pdu.record import Record

CONCATENATION_8 = 0x00
SPECIAL_MESSAGE = 0x01
PORTS_8 = 0x04
PORTS_16 = 0x05
CONCATENATION_16 = 0x08
NATIONAL_SINGLE = 0x24
NATIONAL_LOCKING = 0x25
LANGUAGES = range(1, 14)  # Turkish to Urdu, 23.038 6.2.1.2.4; the other codes are reserved

_WAITING_KINDS = (WaitingKind.VOICEMAIL, WaitingKind.FAX, WaitingKind.EMAIL)


class InformationElement(Record):
    """One information element, known to the codec or not."""

    identifier: int  # IEI
    data: bytes


class Concatenation(Record):
    """The part number, total and reference of a concatenated message (9.2.3.24.1, .8)."""

    reference: int  # the same in all parts; up to 255, or 65535 if wide
    total: int  # 1 to 255
    number: int  # from 1
    wide: bool = False  # a 16-bit reference

    @property
    def element(self) -> InformationElement:
        """The information element for a header. Raises PduError if a value does not fit."""
        if not 0 <= self.reference < (0x10000 if self.wide else 0x100):
            raise PduError(
                "concatenation.reference",
                None,
                f"{self.reference} does not fit {16 if self.wide else 8} bits",
            )
        if not 1 <= self.number <= self.total <= 255:
            raise PduError("concatenation.number", None, f"part {self.number} of {self.total} is impossible")
        tail = bytes((self.total, self.number))
        if self.wide:
            return InformationElement(CONCATENATION_16, self.reference.to_bytes(2, "big") + tail)
        return InformationElement(CONCATENATION_8, bytes((self.reference,)) + tail)


class Ports(Record):
    """Application ports (9.2.3.24.3, .4)."""

    destination: int  # up to 255, or 65535 if wide
    source: int
    wide: bool = True  # 16-bit port numbers

    @property
    def element(self) -> InformationElement:
        """The information element for a header. Raises PduError if a value does not fit."""
        size = 2 if self.wide else 1
        for name, port in (("destination", self.destination), ("source", self.source)):
            if not 0 <= port < 1 << 8 * size:
                raise PduError(f"ports.{name}", None, f"{port} does not fit {8 * size} bits")
        data = self.destination.to_bytes(size, "big") + self.source.to_bytes(size, "big")
        return InformationElement(PORTS_16 if self.wide else PORTS_8, data)


class NationalLanguage(Record):
    """National language tables, codes 1 to 13; None is the default table (9.2.3.24.15, .16)."""

    single: int | None = None
    locking: int | None = None

    @property
    def elements(self) -> tuple[InformationElement, ...]:
        """The information elements for a header. Raises PduError for a code that is not 1 to 13."""
        elements = []
        for name, identifier, code in (
            ("single", NATIONAL_SINGLE, self.single),
            ("locking", NATIONAL_LOCKING, self.locking),
        ):
            if code is None:
                continue
            if code not in LANGUAGES:
                raise PduError(f"national_language.{name}", None, f"{code} is not a language code (1 to 13)")
            elements.append(InformationElement(identifier, bytes((code,))))
        return tuple(elements)


class SpecialMessage(Record):
    """A special SMS message indication: the number of waiting messages of one kind (9.2.3.24.2)."""

    kind: WaitingKind
    count: int
    store: bool  # True: this message is to be stored
    profile: int = 0  # of the subscriber, 0 to 3


def read_header(octets: bytes) -> tuple[InformationElement, ...] | None:
    """Return the elements of the header at the start of ``octets``; None if it is malformed.

    A header is malformed if its length exceeds the octets or is below 2, or if the elements do not exactly
    fill its length.
    """
    end = octets[0] + 1 if octets else 0
    if end < 3 or end > len(octets):
        return None
    elements = []
    at = 1
    while at < end - 1:
        start = at + 2
        at = start + octets[at + 1]
        elements.append(InformationElement(octets[start - 2], octets[start:at]))
    return tuple(elements) if at == end else None


def write_header(elements: tuple[InformationElement, ...]) -> bytes:
    """Return the octets of a header with its length octet; empty without elements. Raises PduError."""
    if not elements:
        return b""
    body = bytearray()
    for element in elements:
        if not 0 <= element.identifier <= 0xFF:
            raise PduError("user_data.header.identifier", None, f"{element.identifier} does not fit an octet")
        if len(element.data) > 0xFF:
            raise PduError(
                "user_data.header.length", None, f"an element of {len(element.data)} octets does not fit"
            )
        body += bytes((element.identifier, len(element.data))) + element.data
    if len(body) > 0xFF:
        raise PduError("user_data.header.length", None, f"a header of {len(body)} octets does not fit")
    return bytes((len(body),)) + body


def find_concatenations(elements: tuple[InformationElement, ...]) -> list[Concatenation]:
    """Return all concatenation elements of the right length, also those with invalid numbers."""
    found = []
    for element in elements:
        data = element.data
        if element.identifier == CONCATENATION_8 and len(data) == 3:
            found.append(Concatenation(data[0], data[1], data[2]))
        elif element.identifier == CONCATENATION_16 and len(data) == 4:
            found.append(Concatenation(data[0] << 8 | data[1], data[2], data[3], wide=True))
    return found


def find_concatenation(elements: tuple[InformationElement, ...]) -> Concatenation | None:
    """Return the last valid concatenation; one with invalid numbers is ignored (9.2.3.24.1)."""
    valid = [found for found in find_concatenations(elements) if 1 <= found.number <= found.total]
    return valid[-1] if valid else None


def find_ports(elements: tuple[InformationElement, ...]) -> Ports | None:
    """Return the last valid application port addressing."""
    for element in reversed(elements):
        data = element.data
        if element.identifier == PORTS_8 and len(data) == 2:
            return Ports(data[0], data[1], wide=False)
        if element.identifier == PORTS_16 and len(data) == 4:
            return Ports(data[0] << 8 | data[1], data[2] << 8 | data[3])
    return None


def find_national_language(elements: tuple[InformationElement, ...]) -> NationalLanguage | None:
    """Return the national language tables; elements with reserved codes or a wrong length are ignored."""
    single = locking = None
    for element in elements:
        if len(element.data) == 1 and element.data[0] in LANGUAGES:
            if element.identifier == NATIONAL_SINGLE:
                single = element.data[0]
            elif element.identifier == NATIONAL_LOCKING:
                locking = element.data[0]
    return None if single is None and locking is None else NationalLanguage(single, locking)


def find_special_messages(elements: tuple[InformationElement, ...]) -> tuple[SpecialMessage, ...]:
    """Return the special message indications, one for each kind. Unknown kinds count as other."""
    found = []
    for element in elements:
        if element.identifier == SPECIAL_MESSAGE and len(element.data) == 2:
            octet, count = element.data
            kind = _WAITING_KINDS[octet & 0x1F] if octet & 0x1F < 3 else WaitingKind.OTHER
            found.append(SpecialMessage(kind, count, bool(octet & 0x80), octet >> 5 & 3))
    return tuple(found)
