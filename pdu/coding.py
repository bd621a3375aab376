"""What the data coding scheme says (TP-DCS, 23.038 clause 4)."""

from __future__ import annotations

from enum import Enum, IntEnum

from pdu.record import Record


class Alphabet(Enum):
    """How the user data are to be read."""

    GSM7 = "gsm7"  # GSM 7-bit: packed septets, TP-UDL counts septets
    OCTETS = "8bit"  # octets for a program
    UCS2 = "ucs2"  # 16 bits a character, read as UTF-16BE


class MessageClass(IntEnum):
    """Where a message is meant to go, when its data coding scheme has a class."""

    IMMEDIATE = 0  # to the display, not stored
    EQUIPMENT = 1
    SIM = 2
    TERMINAL = 3


class Waiting(Enum):
    """What waits for the user, in a message waiting indication."""

    VOICEMAIL = "voicemail"
    FAX = "fax"
    EMAIL = "email"
    OTHER = "other"


_WAITING = (Waiting.VOICEMAIL, Waiting.FAX, Waiting.EMAIL, Waiting.OTHER)


class WaitingIndication(Record):
    """A message waiting indication (23.038 clause 4, groups 1100 to 1110)."""

    kind: Waiting
    active: bool  # False: nothing waits any more
    store: bool  # False: the text may be thrown away


class DataCoding(Record):
    """One TP-DCS octet, read. Reserved codings read as GSM 7-bit, as the clause demands."""

    octet: int

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet; it says nothing of the text when ``compressed``."""
        octet = self.octet
        group = octet >> 4
        if group < 8:
            return (Alphabet.GSM7, Alphabet.OCTETS, Alphabet.UCS2, Alphabet.GSM7)[octet >> 2 & 3]
        if group == 0xE:
            return Alphabet.UCS2
        return Alphabet.OCTETS if group == 0xF and octet & 4 else Alphabet.GSM7

    @property
    def compressed(self) -> bool:
        """Whether the user data are compressed (23.042): they are octets then, and no text can be had."""
        return self.octet < 0x80 and bool(self.octet & 0x20)

    @property
    def message_class(self) -> MessageClass | None:
        """The class, None when the message has none."""
        octet = self.octet
        if octet >= 0xF0 or (octet < 0x80 and octet & 0x10):
            return MessageClass(octet & 3)
        return None

    @property
    def automatic_deletion(self) -> bool:
        """Whether the message is marked for deletion after reading (group 01xx)."""
        return 0x40 <= self.octet < 0x80

    @property
    def waiting(self) -> WaitingIndication | None:
        """The message waiting indication of groups 1100, 1101 and 1110, else None."""
        if not 0xC0 <= self.octet < 0xF0:
            return None
        return WaitingIndication(_WAITING[self.octet & 3], bool(self.octet & 8), self.octet >= 0xD0)

    @property
    def reserved(self) -> bool:
        """Whether the standard reserves this coding, so that its meaning is a fallback."""
        octet = self.octet
        if octet < 0x80:
            return octet & 0x0C == 0x0C
        return octet < 0xC0 or (octet >= 0xF0 and bool(octet & 8))


ALPHABETS = tuple(DataCoding(octet).alphabet for octet in range(256))
COMPRESSED = tuple(DataCoding(octet).compressed for octet in range(256))
PACKED = tuple(  # septets in octets, so that TP-UDL counts septets
    alphabet is Alphabet.GSM7 and not compressed
    for alphabet, compressed in zip(ALPHABETS, COMPRESSED, strict=True)
)
