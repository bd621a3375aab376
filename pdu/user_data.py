"""User data: what TP-UDL and TP-UD carry, read only when asked for (23.040 9.2.3.16, 9.2.3.24)."""

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
    """The user data of one message as they are on the wire.

    ``text`` and ``data`` are worked out at each call, so that reading a message costs nothing for what nobody
    wants to know. A header that is malformed is ignored as a whole, as the standard says: ``header`` is empty
    then, ``header_malformed`` true, and text or data begin where it says that it ends if that lies within.
    """

    octets: bytes  # TP-UD, header included
    length: int  # TP-UDL: septets for GSM 7-bit, else octets, header included
    alphabet: Alphabet = Alphabet.OCTETS
    has_header: bool = False  # TP-UDHI
    compressed: bool = False  # 23.042; only the raw octets can be had

    @staticmethod
    def of(
        content: str | bytes,
        *,
        alphabet: Alphabet | None = None,
        header: tuple[InformationElement, ...] = (),
    ) -> UserData:
        """Return the user data of one message with this text or these octets.

        Text takes GSM 7-bit if it can, else UCS-2, unless ``alphabet`` says otherwise. National language
        elements in the header choose the tables. Raises PduError when it does not fit into 140 octets.
        """
        if not isinstance(content, str):
            if alphabet is not None and alphabet is not _OCTETS:
                raise PduError("user_data.alphabet", None, f"octets cannot be written as {alphabet.value}")
            return pack_content(content, _OCTETS, header)
        if alphabet is None or alphabet is _GSM7:
            septets = _encode_gsm7(content, header) if header else gsm7.encode(content)
            if septets is not None:
                return pack_content(septets, _GSM7, header)
            if alphabet is not None:
                reason = "the text has characters outside the GSM 7-bit alphabet"
                raise PduError("user_data.text", None, reason)
        elif alphabet is _OCTETS:
            raise PduError("user_data.alphabet", None, "a text cannot be written as 8-bit data, give octets")
        return pack_content(encode_ucs2(content), _UCS2, header)

    @staticmethod
    def pack(content: bytes, alphabet: Alphabet, header: tuple[InformationElement, ...] = ()) -> UserData:
        """Return the user data of septets (one a byte), UTF-16BE or octets behind a header."""
        return pack_content(content, alphabet, header)

    @property
    def data_coding_scheme(self) -> int:
        """The plain TP-DCS that fits the alphabet: 0x00, 0x04 or 0x08, without a message class."""
        alphabet = self.alphabet
        if alphabet is _GSM7:
            return 0x00
        return 0x08 if alphabet is _UCS2 else 0x04

    @property
    def header(self) -> tuple[InformationElement, ...]:
        """The elements of the header, those too that the codec does not know."""
        return (read_header(self.octets) or ()) if self.has_header else ()

    @property
    def header_malformed(self) -> bool:
        """Whether a header was announced that cannot be read."""
        return self.has_header and read_header(self.octets) is None

    @property
    def header_length(self) -> int:
        """Octets before text or data: the header with its length octet, 0 if it runs past the end."""
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

        Half a surrogate pair and an odd octet at the end of UCS-2 read as U+FFFD: long texts are to be joined
        by ``Assembler``, which joins octets first.
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
        from pdu import national  # noqa: PLC0415  # the tables are loaded when a message first needs them

        return gsm7.decode(
            septets, national.locking_table(language.locking), national.single_shift_table(language.single)
        )

    @property
    def data(self) -> bytes | None:
        """The octets behind the header, of 8-bit and of compressed data; None for text."""
        if self.alphabet is not Alphabet.OCTETS and not self.compressed:
            return None
        return self.octets[self.header_length :]

    @property
    def concatenation(self) -> Concatenation | None:
        """Which part of a long message this is, None when it stands alone."""
        return find_concatenation(self.header) if self.has_header else None

    @property
    def ports(self) -> Ports | None:
        """Application ports, None without them."""
        return find_ports(self.header)

    @property
    def national_language(self) -> NationalLanguage | None:
        """National language tables in force, None for the default alphabet and other codings."""
        return find_national_language(self.header) if self.alphabet is Alphabet.GSM7 else None

    @property
    def special_messages(self) -> tuple[SpecialMessage, ...]:
        """How many messages of which kind wait, as special SMS message indications tell."""
        return find_special_messages(self.header)


_make_user_data = fast_constructor(UserData)


def pack_content(content: bytes, alphabet: Alphabet, header: tuple[InformationElement, ...] = ()) -> UserData:
    """Return the user data of septets (one a byte), UTF-16BE or octets behind a header."""
    front, reserved = b"", 0
    if header:
        front = write_header(header)
        reserved = (8 * len(front) + 6) // 7  # the text begins at a septet boundary, fill bits before it
    if alphabet is _GSM7:
        length = reserved + len(content)
        if length > 160:
            raise PduError("user_data", None, f"{length} septets do not fit into one SMS (160)")
        octets = front + pack(bytes(reserved) + content)[len(front) :] if header else pack(content)
        return _make_user_data(octets, length, _GSM7, reserved > 0)
    octets = front + content
    length = len(octets)
    if length > MAX_USER_DATA_OCTETS:
        raise PduError("user_data", None, f"{length} octets do not fit into one SMS ({MAX_USER_DATA_OCTETS})")
    return _make_user_data(octets, length, alphabet, reserved > 0)


def encode_ucs2(text: str) -> bytes:
    """Return the UTF-16BE octets of a text; raises PduError for half a surrogate pair."""
    try:
        return text.encode("utf-16-be")
    except UnicodeEncodeError as error:
        reason = f"the text has half a surrogate pair at character {error.start}"
        raise PduError("user_data.text", None, reason) from error


def _encode_gsm7(text: str, elements: tuple[InformationElement, ...]) -> bytes | None:
    """Return the septets of a text in the tables that the header names."""
    language = find_national_language(elements)
    if language is None:
        return gsm7.encode(text)
    from pdu import national  # noqa: PLC0415  # the tables are loaded when a text first needs them

    return national.make_encoder(language.single, language.locking).encode(text)
