"""The data coding scheme (TP-DCS, 23.038 clause 4)."""

from __future__ import annotations

from enum import Enum, IntEnum

from pdu.record import Record


class Alphabet(Enum):
    """The encoding of the user data."""

    GSM7 = "gsm7"  # GSM 7-bit: packed septets, TP-UDL counts septets
    OCTETS = "8bit"  # binary data
    UCS2 = "ucs2"  # 16 bits a character, read as UTF-16BE


class MessageClass(IntEnum):
    """The message class of a data coding scheme."""

    IMMEDIATE = 0  # to the display, not stored
    EQUIPMENT = 1
    SIM = 2
    TERMINAL = 3


class WaitingKind(Enum):
    """The kind of the waiting messages in a message waiting indication."""

    VOICEMAIL = "voicemail"
    FAX = "fax"
    EMAIL = "email"
    OTHER = "other"


_WAITING_KINDS = (WaitingKind.VOICEMAIL, WaitingKind.FAX, WaitingKind.EMAIL, WaitingKind.OTHER)


class WaitingIndication(Record):
    """A message waiting indication (23.038 clause 4, groups 1100 to 1110)."""

    kind: WaitingKind
    active: bool  # False: no message is waiting
    store: bool  # False: the text may be discarded


# By the octet. General groups 00xx and 01xx: bits 3..2; 1000 to 1101: 7-bit; 1110: UCS-2; 1111: bit 2.
ALPHABETS: tuple[Alphabet, ...] = (
    8 * (4 * (Alphabet.GSM7,) + 4 * (Alphabet.OCTETS,) + 4 * (Alphabet.UCS2,) + 4 * (Alphabet.GSM7,))
    + 6 * 16 * (Alphabet.GSM7,)
    + 16 * (Alphabet.UCS2,)
    + 2 * (4 * (Alphabet.GSM7,) + 4 * (Alphabet.OCTETS,))
)
COMPRESSED: tuple[bool, ...] = 2 * (32 * (False,) + 32 * (True,)) + 128 * (False,)  # general groups: bit 5
PACKED: tuple[bool, ...] = tuple(  # septets in octets, so that TP-UDL counts septets
    alphabet is Alphabet.GSM7 and not compressed
    for alphabet, compressed in zip(ALPHABETS, COMPRESSED, strict=True)
)


class DataCoding(Record):
    """One TP-DCS octet and its meaning. Reserved codings count as GSM 7-bit, as the clause requires."""

    octet: int

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet; of the uncompressed text if ``compressed``."""
        return ALPHABETS[self.octet]

    @property
    def compressed(self) -> bool:
        """True if the user data is compressed (23.042). The codec returns its octets and no text then."""
        return COMPRESSED[self.octet]

    @property
    def message_class(self) -> MessageClass | None:
        """The message class; None if the message has none."""
        octet = self.octet
        if octet >= 0xF0 or (octet < 0x80 and octet & 0x10):
            return MessageClass(octet & 3)
        return None

    @property
    def automatic_deletion(self) -> bool:
        """True if the message is marked for automatic deletion after reading (group 01xx)."""
        return 0x40 <= self.octet < 0x80

    @property
    def waiting(self) -> WaitingIndication | None:
        """The message waiting indication of groups 1100, 1101 and 1110, else None."""
        if not 0xC0 <= self.octet < 0xF0:
            return None
        return WaitingIndication(_WAITING_KINDS[self.octet & 3], bool(self.octet & 8), self.octet >= 0xD0)

    @property
    def reserved(self) -> bool:
        """True if the standard reserves this coding."""
        octet = self.octet
        if octet < 0x80:
            return octet & 0x0C == 0x0C
        return octet < 0xC0 or (octet >= 0xF0 and bool(octet & 8))
