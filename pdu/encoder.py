"""Encodes messages to octets (23.040 9.2.2).

A value that does not fit its field is a ``PduError`` with the field; nothing is truncated or rounded
silently.
"""

from __future__ import annotations

from pdu.address import write_address, write_service_centre, write_value
from pdu.coding import ALPHABETS, COMPRESSED, PACKED
from pdu.error import PduError
from pdu.record import Record, fast_constructor
from pdu.timestamp import Timestamp
from pdu.tpdu import (
    CommandTpdu,
    Deliver,
    DeliverReport,
    StatusReport,
    Submit,
    SubmitReport,
    Tpdu,
    compute_parameter_indicator,
)
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity


class EncodedPdu(Record):
    """An encoded message; ``hex`` and ``length`` are the parameters of ``AT+CMGS``."""

    octets: bytes
    length: int  # octets of the TPDU without the service centre address: the <length> of 27.005

    @property
    def hex(self) -> str:
        """The octets as hexadecimal digits, upper case."""
        return self.octets.hex().upper()


_make_encoded = fast_constructor(EncodedPdu)


def encode(tpdu: Tpdu, *, sca: bool = True) -> EncodedPdu:
    """Return the octets of a message, with the service centre address in front unless ``sca`` is False.

    Raises PduError if a value does not fit its field; its ``octet`` is None.
    """
    try:
        match tpdu:
            case Submit():
                octets = _encode_submit(tpdu)
            case Deliver():
                octets = _encode_deliver(tpdu)
            case StatusReport():
                octets = _encode_status_report(tpdu)
            case DeliverReport():
                octets = _encode_deliver_report(tpdu)
            case SubmitReport():
                octets = _encode_submit_report(tpdu)
            case CommandTpdu():
                octets = _encode_command(tpdu)
    except (OverflowError, IndexError):  # from %c and from tables of 256 entries
        raise _out_of_range_error(tpdu) from None
    if not sca:
        return _make_encoded(octets, len(octets))
    address = tpdu.service_centre_address
    front = b"\0" if address is None else write_service_centre(address, "service_centre_address")
    return _make_encoded(front + octets, len(octets))


def _encode_submit(submit: Submit) -> bytes:
    destination = submit.destination_address
    number, digits = write_value(destination, "submit.destination_address")
    user_data = submit.user_data
    coding = submit.data_coding_scheme
    period = submit.validity_period
    return b"%c%c%c%c%b%c%c%b%c%b" % (
        submit.first_octet,
        submit.message_reference,
        digits,
        destination.type_of_address,
        number,
        submit.protocol_identifier,
        coding,
        b"" if period is None else _write_validity(period),
        user_data.length,
        _write_user_data(user_data, coding, 140, "submit"),
    )


def _encode_deliver(deliver: Deliver) -> bytes:
    _check_spare_bits(deliver.spare_bits, 0x13, "deliver")
    user_data = deliver.user_data
    return b"%c%b%c%c%b%c%b" % (
        deliver.first_octet,
        write_address(deliver.originating_address, "deliver.originating_address"),
        deliver.protocol_identifier,
        deliver.data_coding_scheme,
        _write_timestamp(deliver.service_centre_timestamp, "deliver.service_centre_timestamp"),
        user_data.length,
        _write_user_data(user_data, deliver.data_coding_scheme, 140, "deliver"),
    )


def _encode_status_report(report: StatusReport) -> bytes:
    _check_spare_bits(report.spare_bits, 0x90 if report.user_data is not None else 0xD0, "status_report")
    return b"%c%c%b%b%b%c%b" % (
        report.first_octet,
        report.message_reference,
        write_address(report.recipient_address, "status_report.recipient_address"),
        _write_timestamp(report.service_centre_timestamp, "status_report.service_centre_timestamp"),
        _write_timestamp(report.discharge_time, "status_report.discharge_time"),
        report.status,
        _write_optional_fields(report, 143, "status_report"),
    )


def _encode_deliver_report(report: DeliverReport) -> bytes:
    _check_spare_bits(report.spare_bits, 0xBC if report.user_data is not None else 0xFC, "deliver_report")
    cause = _write_failure_cause(report, "deliver_report")
    return b"%c%b%b" % (
        report.first_octet,
        cause,
        _write_optional_fields(report, 159 - len(cause), "deliver_report"),
    )


def _encode_submit_report(report: SubmitReport) -> bytes:
    _check_spare_bits(report.spare_bits, 0xBC if report.user_data is not None else 0xFC, "submit_report")
    cause = _write_failure_cause(report, "submit_report")
    time = _write_timestamp(report.service_centre_timestamp, "submit_report.service_centre_timestamp")
    optional = _write_optional_fields(report, 152 - len(cause), "submit_report", time)
    return b"%c%b%b" % (report.first_octet, cause, optional)


def _encode_command(command: CommandTpdu) -> bytes:
    _check_spare_bits(command.spare_bits, 0x9C, "command")
    user_data = command.user_data
    return b"%c%c%c%c%c%b%c%b" % (
        command.first_octet,
        command.message_reference,
        command.protocol_identifier,
        command.command_type,
        command.message_number,
        write_address(command.destination_address, "command.destination_address"),
        user_data.length,
        _write_user_data(user_data, 0x04, 156, "command"),
    )


def _write_user_data(user_data: UserData, coding: int, max_octets: int, kind: str) -> bytes:
    """Return the octets of the user data. Raises PduError if coding, length and octets do not agree."""
    octets = user_data.octets
    alphabet, compressed, length = user_data.alphabet, user_data.compressed, user_data.length
    if alphabet is not ALPHABETS[coding] or compressed is not COMPRESSED[coding]:
        expected = f"{ALPHABETS[coding].value}{', compressed' if COMPRESSED[coding] else ''}"
        actual = f"{alphabet.value}{', compressed' if compressed else ''}"
        reason = f"0x{coding & 0xFF:02X} means {expected}, but the user data is {actual}"
        raise PduError(f"{kind}.data_coding_scheme", None, reason)
    size = (7 * length + 7) // 8 if PACKED[coding] else length
    if len(octets) != size:
        reason = f"a length of {length} takes {size} octets, but there are {len(octets)}"
        raise PduError(f"{kind}.user_data.length", None, reason)
    if size > max_octets:
        raise PduError(f"{kind}.user_data", None, f"{size} octets do not fit; the maximum is {max_octets}")
    return octets


def _write_optional_fields(
    report: StatusReport | DeliverReport | SubmitReport, max_octets: int, kind: str, timestamp: bytes = b""
) -> bytes:
    """Return TP-PI, ``timestamp``, and the fields that TP-PI announces."""
    identifier, coding, user_data = report.protocol_identifier, report.data_coding_scheme, report.user_data
    indicator = report.parameter_indicator
    present = compute_parameter_indicator(identifier, coding, user_data)
    if (indicator or 0) & 7 != present:
        shown = "it is absent" if indicator is None else f"it is 0x{indicator:02X}"
        reason = f"{shown}, but the present fields require 0x{present:02X}"
        raise PduError(f"{kind}.parameter_indicator", None, reason)
    chain = b"" if indicator is None else b"%c%b" % (indicator, report.more_indicators)
    if not chain:
        if report.more_indicators:
            raise PduError(f"{kind}.more_indicators", None, "they need a TP-PI to extend")
        return b""
    if any(octet < 0x80 for octet in chain[:-1]) or chain[-1] >= 0x80:
        reason = "bit 7 of TP-PI and the octets that extend it disagree"
        raise PduError(f"{kind}.more_indicators", None, reason)
    parts = [chain, timestamp]
    if identifier is not None:
        parts.append(b"%c" % identifier)
    if coding is not None:
        parts.append(b"%c" % coding)
    if user_data is not None:
        parts += (b"%c" % user_data.length, _write_user_data(user_data, coding or 0, max_octets, kind))
    return b"".join(parts)


def _write_validity(period: RelativeValidity | EnhancedValidity | Timestamp) -> bytes:
    if isinstance(period, RelativeValidity):
        return b"%c" % period.octet
    if isinstance(period, Timestamp):
        return _write_timestamp(period, "submit.validity_period")
    if len(period.octets) != 7 or period.octets[0] & 7 > 3:
        reason = f"{period.octets.hex()} is not an enhanced validity period"
        raise PduError("submit.validity_period", None, reason)
    return period.octets


def _write_timestamp(timestamp: Timestamp, field: str) -> bytes:
    if len(timestamp.octets) != 7:
        raise PduError(field, None, f"a timestamp has 7 octets, not {len(timestamp.octets)}")
    return timestamp.octets


def _write_failure_cause(report: DeliverReport | SubmitReport, kind: str) -> bytes:
    cause = report.failure_cause
    if cause is None:
        if report.parameter_indicator & 0x80:
            reason = "an extended TP-PI without TP-FCS before it would be decoded as TP-FCS"
            raise PduError(f"{kind}.parameter_indicator", None, reason)
        return b""
    if cause < 0x80:
        raise PduError(f"{kind}.failure_cause", None, f"{cause} is below 0x80, the lowest cause")
    return b"%c" % cause


def _check_spare_bits(bits: int, unused: int, kind: str) -> None:
    if bits & ~unused:
        raise PduError(f"{kind}.spare_bits", None, f"0x{bits:02X} has bits that are not spare")


_KINDS = {
    Deliver: "deliver",
    Submit: "submit",
    StatusReport: "status_report",
    DeliverReport: "deliver_report",
    SubmitReport: "submit_report",
    CommandTpdu: "command",
}
_OCTET_FIELDS = (
    "failure_cause",
    "message_reference",
    "status",
    "parameter_indicator",
    "protocol_identifier",
    "data_coding_scheme",
    "command_type",
    "message_number",
)


def _out_of_range_error(tpdu: Tpdu) -> PduError:
    """Return the error for the field that does not fit its octet."""
    kind = _KINDS[type(tpdu)]
    values = [(field, getattr(tpdu, field, None)) for field in _OCTET_FIELDS]
    if isinstance(tpdu, Submit) and isinstance(tpdu.validity_period, RelativeValidity):
        values.append(("validity_period", tpdu.validity_period.octet))
    for field, value in values:
        if value is not None and not 0 <= value <= 0xFF:
            return PduError(f"{kind}.{field}", None, f"{value} does not fit an octet")
    return PduError(f"{kind}.user_data.length", None, "it does not fit an octet")
