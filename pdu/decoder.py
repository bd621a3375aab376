"""Decodes octets to messages, field by field in the order of the octets (23.040 9.2.2).

One check of the length replaces the checks of the single fields; if octets are missing, ``_raise_truncated``
finds the field that they belong to. Values that the standard tells a receiver to ignore are ignored; missing
octets are a ``PduError``. Octets after the last field are fill of a SIM record (FF) or unknown; they are
ignored.
"""

from __future__ import annotations

from binascii import unhexlify

from pdu.address import Address, read_address, read_service_centre
from pdu.coding import ALPHABETS, COMPRESSED, PACKED
from pdu.error import PduError
from pdu.record import fast_constructor
from pdu.timestamp import Timestamp
from pdu.tpdu import CommandTpdu, Deliver, DeliverReport, StatusReport, Submit, SubmitReport, Tpdu
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

TYPE_CHECKING = False  # see record
if TYPE_CHECKING:
    from typing import Literal, NoReturn

_TIMESTAMP = ("service_centre_timestamp", 7)
_AFTER_ORIGINATOR = (
    ("protocol_identifier", 1),
    ("data_coding_scheme", 1),
    _TIMESTAMP,
    ("user_data.length", 1),
)
_AFTER_RECIPIENT = (_TIMESTAMP, ("discharge_time", 7), ("status", 1))
_VALIDITY_SIZES = (0, 7, 1, 7)  # by TP-VPF

# The flags of an SMS-DELIVER by its first octet: TP-MMS (inverted), TP-LP, TP-SRI, TP-RP.
_DELIVER_FLAGS = tuple(
    (not octet & 0x04, octet & 0x08 != 0, octet & 0x20 != 0, octet & 0x80 != 0) for octet in range(256)
)

_make_deliver = fast_constructor(Deliver)
_make_timestamp = fast_constructor(Timestamp)
_make_user_data = fast_constructor(UserData)


def decode(data: str | bytes, *, direction: Literal["mt", "mo"] = "mt", sca: bool = True) -> Tpdu:
    """Return the message in these octets, or in these hexadecimal digits of either case.

    The meaning of the octets depends on their direction: ``mt`` from the network to the device, as a module
    delivers them, ``mo`` from the device. With ``sca`` they begin with a service centre address, as in all AT
    commands except ``+CNMA``. Raises PduError with the offset in the given octets.
    """
    if isinstance(data, str):
        try:
            octets = unhexlify(data)
        except ValueError:
            octets = read_hex(data)
    else:
        octets = data if data.__class__ is bytes else bytes(memoryview(data))  # bytes(7) would be zeros
    at = 0
    service_centre_address = None
    if sca:
        service_centre_address, at = read_service_centre(octets, "service_centre_address")
    if at >= len(octets):
        raise PduError("first_octet", at, "the message ends before its first octet")
    kind = octets[at] & 3
    if direction == "mt":
        if kind == 2:
            return _decode_status_report(octets, at, service_centre_address)
        if kind == 1:
            return _decode_submit_report(octets, at, service_centre_address)
        return _decode_deliver(
            octets, at, service_centre_address
        )  # 3 is reserved and decoded as a DELIVER (9.2.3.1)
    if direction != "mo":
        raise ValueError(f"direction must be 'mt' or 'mo', not {direction!r}")
    if kind == 1:
        return _decode_submit(octets, at, service_centre_address)
    if kind == 2:
        return _decode_command(octets, at, service_centre_address)
    if kind == 0:
        return _decode_deliver_report(octets, at, service_centre_address)
    raise PduError("first_octet", at, "message type 3 is reserved")


def read_hex(digits: str) -> bytes:
    """Return the octets of hexadecimal digits; white space between them is ignored. Raises PduError."""
    digits = "".join(digits.split())
    for at, digit in enumerate(digits):
        if digit not in "0123456789ABCDEFabcdef":
            raise PduError("hex", at // 2, f"{digit!r} is not a hexadecimal digit")
    if len(digits) % 2:
        raise PduError("hex", len(digits) // 2, f"the number of hexadecimal digits is odd ({len(digits)})")
    return unhexlify(digits)


def _raise_truncated(octets: bytes, offset: int, fields: tuple[tuple[str, int], ...], kind: str) -> NoReturn:
    """Raise the error for the first of ``fields`` (name, size) from ``offset`` on that is incomplete."""
    for name, size in fields:
        if offset + size > len(octets):
            present = len(octets) - offset
            reason = (
                "the message ends before it"
                if not present
                else f"it is truncated: {present} of {size} octets are present"
            )
            raise PduError(f"{kind}.{name}", len(octets), reason)
        offset += size
    raise AssertionError(f"no octet of {kind} is missing")


def _decode_deliver(octets: bytes, offset: int, service_centre_address: Address | None) -> Deliver:
    first = octets[offset]
    originating_address, offset = read_address(octets, offset + 1, "deliver.originating_address")
    end = offset + 10
    if end > len(octets):
        _raise_truncated(octets, offset, _AFTER_ORIGINATOR, "deliver")
    coding = octets[offset + 1]
    more_messages, loop_prevention, status_report_indication, reply_path = _DELIVER_FLAGS[first]
    return _make_deliver(
        originating_address,
        _make_timestamp(octets[offset + 2 : offset + 9]),
        _read_user_data(octets, end, coding, first & 0x40, "deliver.user_data"),
        coding,
        octets[offset],
        more_messages,
        loop_prevention,
        status_report_indication,
        reply_path,
        service_centre_address,
        first & 0x13,
    )


def _decode_submit(octets: bytes, offset: int, service_centre_address: Address | None) -> Submit:
    first = octets[offset]
    if offset + 1 == len(octets):
        _raise_truncated(octets, offset + 1, (("message_reference", 1),), "submit")
    reference = octets[offset + 1]
    destination_address, offset = read_address(octets, offset + 2, "submit.destination_address")
    form = first >> 3 & 3
    size = _VALIDITY_SIZES[form]
    end = offset + 3 + size
    if end > len(octets):
        fields = (("protocol_identifier", 1), ("data_coding_scheme", 1), ("validity_period", size))
        _raise_truncated(octets, offset, (*fields, ("user_data.length", 1)), "submit")
    coding = octets[offset + 1]
    return Submit(
        destination_address,
        _read_user_data(octets, end, coding, first & 0x40, "submit.user_data"),
        reference,
        coding,
        octets[offset],
        read_validity(octets[offset + 2 : end - 1], form, offset + 2, "submit.validity_period")
        if form
        else None,
        first & 0x04 != 0,
        first & 0x20 != 0,
        first & 0x80 != 0,
        service_centre_address,
    )


def _decode_status_report(octets: bytes, offset: int, service_centre_address: Address | None) -> StatusReport:
    first = octets[offset]
    if offset + 1 == len(octets):
        _raise_truncated(octets, offset + 1, (("message_reference", 1),), "status_report")
    reference = octets[offset + 1]
    recipient_address, offset = read_address(octets, offset + 2, "status_report.recipient_address")
    if offset + 15 > len(octets):
        _raise_truncated(octets, offset, _AFTER_RECIPIENT, "status_report")
    end = offset + 15
    if octets.count(b"\xff", end) == len(octets) - end:  # no TP-PI: the end, or only fill of a SIM record
        indicator, more, protocol_identifier, coding, user_data = None, b"", None, None, None
    else:
        indicator, more, end = _read_parameter_indicator(octets, end, "status_report")
        protocol_identifier, coding, user_data = _read_optional_fields(
            octets, end, indicator, first, "status_report"
        )
    return StatusReport(
        reference,
        recipient_address,
        Timestamp(octets[offset : offset + 7]),
        Timestamp(octets[offset + 7 : offset + 14]),
        octets[offset + 14],
        protocol_identifier,
        user_data,
        coding,
        indicator,
        first & 0x04 == 0,
        first & 0x08 != 0,
        first & 0x20 != 0,
        service_centre_address,
        first & (0x90 if user_data is not None else 0xD0),
        more,
    )


def _decode_deliver_report(
    octets: bytes, offset: int, service_centre_address: Address | None
) -> DeliverReport:
    first = octets[offset]
    cause, offset = _read_failure_cause(octets, offset + 1, "deliver_report")
    indicator, more, offset = _read_parameter_indicator(octets, offset, "deliver_report")
    protocol_identifier, coding, user_data = _read_optional_fields(
        octets, offset, indicator, first, "deliver_report"
    )
    return DeliverReport(
        cause,
        protocol_identifier,
        user_data,
        coding,
        indicator,
        service_centre_address,
        first & (0xBC if user_data is not None else 0xFC),
        more,
    )


def _decode_submit_report(octets: bytes, offset: int, service_centre_address: Address | None) -> SubmitReport:
    first = octets[offset]
    cause, offset = _read_failure_cause(octets, offset + 1, "submit_report")
    indicator, more, offset = _read_parameter_indicator(octets, offset, "submit_report")
    if offset + 7 > len(octets):
        _raise_truncated(octets, offset, (_TIMESTAMP,), "submit_report")
    protocol_identifier, coding, user_data = _read_optional_fields(
        octets, offset + 7, indicator, first, "submit_report"
    )
    return SubmitReport(
        Timestamp(octets[offset : offset + 7]),
        cause,
        protocol_identifier,
        user_data,
        coding,
        indicator,
        service_centre_address,
        first & (0xBC if user_data is not None else 0xFC),
        more,
    )


def _decode_command(octets: bytes, offset: int, service_centre_address: Address | None) -> CommandTpdu:
    first = octets[offset]
    if offset + 5 > len(octets):
        names = ("message_reference", "protocol_identifier", "command_type", "message_number")
        _raise_truncated(octets, offset + 1, tuple((name, 1) for name in names), "command")
    reference, protocol_identifier, command_type, message_number = octets[offset + 1 : offset + 5]
    destination_address, offset = read_address(octets, offset + 5, "command.destination_address")
    if offset == len(octets):
        _raise_truncated(octets, offset, (("user_data.length", 1),), "command")
    return CommandTpdu(
        destination_address,
        command_type,
        message_number,
        reference,
        protocol_identifier,
        _read_user_data(octets, offset + 1, 0x04, first & 0x40, "command.user_data"),
        first & 0x20 != 0,
        service_centre_address,
        first & 0x9C,
    )


def _read_user_data(octets: bytes, offset: int, coding: int, header: int, field: str) -> UserData:
    """Return the user data at ``offset``, which follows its length octet."""
    length = octets[offset - 1]
    end = offset + ((7 * length + 7) // 8 if PACKED[coding] else length)
    if end > len(octets):
        reason = f"{end - offset} octets are announced, but {len(octets) - offset} are present"
        raise PduError(field, len(octets), reason)
    return _make_user_data(octets[offset:end], length, ALPHABETS[coding], header != 0, COMPRESSED[coding])


def read_validity(octets: bytes, vpf: int, offset: int, field: str) -> ValidityPeriod:
    """Return the validity period of a TP-VPF (1 enhanced, 2 relative, 3 absolute) in these octets."""
    if vpf == 2:
        return RelativeValidity(octets[0])
    if vpf == 3:
        return Timestamp(octets)
    if octets[0] & 7 > 3:
        raise PduError(field, offset, f"enhanced format {octets[0] & 7} is reserved")
    return EnhancedValidity(octets)


def _read_failure_cause(octets: bytes, offset: int, kind: str) -> tuple[int | None, int]:
    """Return TP-FCS, or None, and the offset after it. An octet below 0x80 is TP-PI, not TP-FCS."""
    if offset == len(octets):
        _raise_truncated(octets, offset, (("parameter_indicator", 1),), kind)
    return (octets[offset], offset + 1) if octets[offset] & 0x80 else (None, offset)


def _read_parameter_indicator(octets: bytes, offset: int, kind: str) -> tuple[int, bytes, int]:
    """Return TP-PI, the octets that extend it, and the offset after them (9.2.3.27)."""
    end = offset
    while end < len(octets) and octets[end] & 0x80:
        end += 1
    if end >= len(octets):
        _raise_truncated(octets, end, (("parameter_indicator", 1),), kind)
    return octets[offset], octets[offset + 1 : end + 1], end + 1


def _read_optional_fields(
    octets: bytes, offset: int, indicator: int, first: int, kind: str
) -> tuple[int | None, int | None, UserData | None]:
    """Return the fields that TP-PI announces: TP-PID, TP-DCS, and TP-UDL with TP-UD."""
    names = ("protocol_identifier", "data_coding_scheme", "user_data.length")
    present = [name for bit, name in enumerate(names) if indicator & 1 << bit]
    if offset + len(present) > len(octets):
        _raise_truncated(octets, offset, tuple((name, 1) for name in present), kind)
    values = dict(zip(present, octets[offset:], strict=False))
    coding = values.get("data_coding_scheme")
    user_data = None
    if "user_data.length" in values:
        user_data = _read_user_data(
            octets, offset + len(present), coding or 0, first & 0x40, f"{kind}.user_data"
        )
    return values.get("protocol_identifier"), coding, user_data
