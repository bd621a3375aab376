"""Human-readable descriptions of the fields of a PDU."""

from __future__ import annotations

from pdu import header
from pdu.address import Address, TypeOfNumber
from pdu.coding import Alphabet, DataCoding
from pdu.header import Concatenation, InformationElement, NationalLanguage, Ports, SpecialMessage
from pdu.timestamp import Timestamp
from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

ALPHABET_NAMES = {Alphabet.GSM7: "GSM 7-bit", Alphabet.OCTETS: "8-bit data", Alphabet.UCS2: "UCS-2"}
_MESSAGE_CLASSES = ("class 0, immediate display", "class 1, device", "class 2, SIM", "class 3, terminal")
_PROTOCOL_IDENTIFIERS = {
    0x00: "normal message",
    0x21: "telex",
    0x22: "fax group 3",
    0x24: "voice telephone",
    0x31: "X.400",
    0x32: "e-mail",
    0x40: "type 0: acknowledged, neither shown nor stored",
    0x48: "device triggering",
    0x5E: "enhanced message service",
    0x5F: "return call",
    0x7C: "ANSI-136 R-DATA",
    0x7D: "data download to the device",
    0x7E: "de-personalisation of the device",
    0x7F: "data download to the SIM",
}
_COMMAND_TYPES = ("enquiry", "cancel the report request", "delete the message", "enable the report request")
_ELEMENT_NAMES = {
    0x00: "concatenation, 8-bit reference",
    0x01: "special SMS message indication",
    0x04: "application ports, 8-bit",
    0x05: "application ports, 16-bit",
    0x06: "service centre control",
    0x07: "header source",
    0x08: "concatenation, 16-bit reference",
    0x09: "wireless control message protocol",
    0x20: "e-mail header",
    0x21: "hyperlink",
    0x22: "reply address",
    0x23: "enhanced voice mail",
    0x24: "national language, single shift",
    0x25: "national language, locking shift",
}
_LANGUAGES = (
    *("Turkish", "Spanish", "Portuguese", "Bengali", "Gujarati", "Hindi", "Kannada"),
    *("Malayalam", "Oriya", "Punjabi", "Tamil", "Telugu", "Urdu"),
)


def describe_type_of_address(address: Address) -> str:
    """Return the type and the plan of an address."""
    kind = address.type_of_number.name.lower().replace("_", " ")
    plan = address.numbering_plan.name.lower().replace("_", " ")
    return f"{kind} number, {plan.upper() if plan == 'isdn' else plan} plan"


def describe_number(address: Address) -> str:
    """Return a number as written, or an alphanumeric address in quotes."""
    return repr(address.number) if address.type_of_number is TypeOfNumber.ALPHANUMERIC else str(address)


def describe_time(timestamp: Timestamp) -> str:
    """Return a time with its offset."""
    return "no date" if timestamp.time is None else str(timestamp)


def describe_protocol_identifier(octet: int) -> str:
    """Return the meaning of a TP-PID (9.2.3.9)."""
    if (known := _PROTOCOL_IDENTIFIERS.get(octet)) is not None:
        return known
    if octet < 0x20:
        return "no telematic interworking"
    if octet < 0x40:
        return "telematic interworking"
    if 0x41 <= octet <= 0x47:
        return f"replaces a stored message of type {octet - 0x40}"
    return "specific to the service centre" if octet >= 0xC0 else "reserved"


def describe_coding_scheme(octet: int) -> str:
    """Return the meaning of a TP-DCS."""
    scheme = DataCoding(octet)
    words = [ALPHABET_NAMES[scheme.alphabet]]
    if scheme.compressed:
        words.append("compressed")
    if scheme.message_class is not None:
        words.append(_MESSAGE_CLASSES[scheme.message_class])
    if scheme.automatic_deletion:
        words.append("to be deleted after reading")
    if (waiting := scheme.waiting) is not None:
        words.append(f"{waiting.kind.value} {'waiting' if waiting.active else 'no longer waiting'}")
        words.append("to be stored" if waiting.store else "not to be stored")
    if scheme.reserved:
        words.append("a reserved coding")
    return ", ".join(words)


def describe_validity_period(period: ValidityPeriod) -> str:
    """Return the duration of a validity period, or its end."""
    match period:
        case RelativeValidity():
            return str(period.duration)
        case Timestamp():
            return f"until {describe_time(period)}"
        case EnhancedValidity():
            once = ", one attempt only" if period.single_shot else ""
            return f"{'no period' if period.duration is None else period.duration}{once}"


def describe_command_type(octet: int) -> str:
    """Return the meaning of a TP-CT (9.2.3.19)."""
    if octet < len(_COMMAND_TYPES):
        return _COMMAND_TYPES[octet]
    return "specific to the service centre" if octet >= 0xE0 else "reserved"


def describe_element(found: InformationElement) -> str:
    """Return the name of an information element and, if the codec knows it, its value."""
    name = _ELEMENT_NAMES.get(found.identifier, "unknown to the codec")
    alone = (found,)
    carried = header.find_concatenations(alone)
    for reading in (
        *carried,
        header.find_ports(alone),
        header.find_national_language(alone),
        *header.find_special_messages(alone),
    ):
        if reading is not None:
            return f"{name}: {_describe_element_value(reading)}"
    return name


def _describe_element_value(reading: Concatenation | Ports | NationalLanguage | SpecialMessage) -> str:
    match reading:
        case Concatenation():
            part = f"part {reading.number} of {reading.total}, reference {reading.reference}"
            return part if 1 <= reading.number <= reading.total else f"{part}: invalid, ignored"
        case Ports():
            return f"destination {reading.destination}, source {reading.source}"
        case NationalLanguage():
            return _LANGUAGES[(reading.single or reading.locking or 1) - 1]
        case SpecialMessage():
            stored = "to be stored" if reading.store else "not to be stored"
            return f"{reading.count} {reading.kind.value}, {stored}"
