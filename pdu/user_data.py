"""User data: TP-UDL and TP-UD, decoded only on access (23.040 9.2.3.16, 9.2.3.24)."""

from __future__ import annotations

from pdu import gsm7
from pdu.coding import Alphabet
from pdu.error import PduError
from pdu.header import (
    Concatenation,
    InformationElement,
    NationalLanguage,
    Ports,
    SpecialMessage,
    find_concatenation,
    find_national_language,
    find_ports,
    find_special_messages,
    read_header,
    write_header,
)
from pdu.packing import pack, unpack
from pdu.record import Record, fast_constructor

_GSM7, _OCTETS, _UCS2 = Alphabet.GSM7, Alphabet.OCTETS, Alphabet.UCS2
MAX_USER_DATA_OCTETS = 140  # of TP-UD in SMS-DELIVER and SMS-SUBMIT


class UserData(Record):
    """The user data of one message, as encoded octets.

    ``text`` and ``data`` are decoded at each access, so that decoding a message does no unneeded work. A
    malformed header is ignored as a whole, as the standard requires: ``header`` is empty,
    ``header_malformed`` is true, and text or data begins at the announced end of the header if that is within
    the octets.
    """

    octets: bytes  # TP-UD, header included
    length: int  # TP-UDL: septets for GSM 7-bit, else octets, header included
    alphabet: Alphabet = Alphabet.OCTETS
    has_header: bool = False  # TP-UDHI
    compressed: bool = False  # 23.042; the codec does not decompress

    @staticmethod
    def of(
        content: str | bytes,
        *,
        alphabet: Alphabet | None = None,
        header: tuple[InformationElement, ...] = (),
    ) -> UserData:
        """Return the user data of one message with this text or these octets.

        Text is GSM 7-bit if possible, else UCS-2; ``alphabet`` sets the alphabet. National language elements
        in the header select the tables. Raises PduError if the content does not fit into 140 octets, or if
        the alphabet cannot encode it.
        """
        if not isinstance(content, str):
            if alphabet is not None and alphabet is not _OCTETS:
                raise PduError("user_data.alphabet", None, f"octets cannot be encoded as {alphabet.value}")
            return UserData.pack(content, _OCTETS, header)
        if alphabet is None or alphabet is _GSM7:
            septets = _encode_gsm7(content, header) if header else gsm7.encode(content)
            if septets is not None:
                return UserData.pack(septets, _GSM7, header)
            if alphabet is not None:
                reason = "the text has characters outside the GSM 7-bit alphabet"
                raise PduError("user_data.text", None, reason)
        elif alphabet is _OCTETS:
            raise PduError("user_data.alphabet", None, "a text cannot be encoded as 8-bit data: pass octets")
        return UserData.pack(encode_ucs2(content), _UCS2, header)

    @staticmethod
    def pack(content: bytes, alphabet: Alphabet, header: tuple[InformationElement, ...] = ()) -> UserData:
        """Return the user data of septets (one per byte), UTF-16BE or octets after a header.

        Raises PduError if they do not fit into one message.
        """
        front, reserved = b"", 0
        if header:
            front = write_header(header)
            reserved = (8 * len(front) + 6) // 7  # fill bits align the text to a septet boundary
        if alphabet is _GSM7:
            length = reserved + len(content)
            if length > 160:
                raise PduError("user_data", None, f"{length} septets do not fit into one SMS (160)")
            octets = front + pack(bytes(reserved) + content)[len(front) :] if header else pack(content)
            return _make_user_data(octets, length, _GSM7, reserved > 0)
        octets = front + content
        length = len(octets)
        if length > MAX_USER_DATA_OCTETS:
            raise PduError(
                "user_data", None, f"{length} octets do not fit into one SMS ({MAX_USER_DATA_OCTETS})"
            )
        return _make_user_data(octets, length, alphabet, reserved > 0)

    @property
    def data_coding_scheme(self) -> int:
        """The TP-DCS for the alphabet without a message class: 0x00, 0x04 or 0x08."""
        alphabet = self.alphabet
        if alphabet is _GSM7:
            return 0x00
        return 0x08 if alphabet is _UCS2 else 0x04

    @property
    def header(self) -> tuple[InformationElement, ...]:
        """The elements of the header, including unknown ones."""
        return (read_header(self.octets) or ()) if self.has_header else ()

    @property
    def header_malformed(self) -> bool:
        """True if a header is announced but malformed."""
        return self.has_header and read_header(self.octets) is None

    @property
    def header_length(self) -> int:
        """Octets before text or data: the header with its length octet; 0 if it exceeds the user data."""
        if not self.has_header or not self.octets:
            return 0
        size = self.octets[0] + 1
        return size if size <= len(self.octets) else 0

    @property
    def septets(self) -> int | None:
        """Septets of the text, without header and fill bits; None for other alphabets."""
        if self.alphabet is not Alphabet.GSM7 or self.compressed:
            return None
        return max(self.length - (8 * self.header_length + 6) // 7, 0)

    @property
    def text(self) -> str | None:
        """The text; None for 8-bit and compressed data.

        In UCS-2, a lone surrogate and an odd octet at the end are decoded as U+FFFD. Join the parts of long
        texts with ``Assembler`` or ``join``, which join the octets first.
        """
        alphabet = self.alphabet
        if alphabet is _OCTETS or self.compressed:
            return None
        if alphabet is _UCS2:
            octets = self.octets[self.header_length :] if self.has_header else self.octets
            return octets.decode("utf-16-be", "replace")
        septets = unpack(self.octets, self.length)
        if not self.has_header:
            return gsm7.decode(septets)
        septets = septets[(8 * self.header_length + 6) // 7 :]
        language = self.national_language
        if language is None:
            return gsm7.decode(septets)
        from pdu import national  # noqa: PLC0415  # loads the tables at first use

        return gsm7.decode(
            septets, national.locking_table(language.locking), national.single_shift_table(language.single)
        )

    @property
    def data(self) -> bytes | None:
        """The octets of 8-bit or compressed data after the header; None for text."""
        if self.alphabet is not Alphabet.OCTETS and not self.compressed:
            return None
        return self.octets[self.header_length :]

    @property
    def concatenation(self) -> Concatenation | None:
        """The part of a concatenated message that this is; None for a single message."""
        return find_concatenation(self.header) if self.has_header else None

    @property
    def ports(self) -> Ports | None:
        """Application ports; None if there are none."""
        return find_ports(self.header)

    @property
    def national_language(self) -> NationalLanguage | None:
        """National language tables; None for the default alphabet and for other codings."""
        return find_national_language(self.header) if self.alphabet is Alphabet.GSM7 else None

    @property
    def special_messages(self) -> tuple[SpecialMessage, ...]:
        """Special SMS message indications: the number of waiting messages of each kind."""
        return find_special_messages(self.header)


_make_user_data = fast_constructor(UserData)


def encode_ucs2(text: str) -> bytes:
    """Return the UTF-16BE octets of a text. Raises PduError for a lone surrogate."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        reason = f"the text has a lone surrogate at character {error.start}"
        raise PduError("user_data.text", None, reason) from error


def _encode_gsm7(text: str, elements: tuple[InformationElement, ...]) -> bytes | None:
    """Return the septets of a text with the tables of the header; None if a character has none."""
    language = find_national_language(elements)
    if language is None:
        return gsm7.encode(text)
    from pdu import national  # noqa: PLC0415  # loads the tables at first use

    return national.make_encoder(language.single, language.locking).encode(text)
