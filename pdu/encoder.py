"""From messages to octets (23.040 9.2.2).

What does not fit its field is a ``PduError`` that names the field; nothing is cut off or rounded in silence.
"""

from __future__ import annotations

from pdu.address import write_address, write_service_centre, write_value
from pdu.coding import ALPHABETS, COMPRESSED, PACKED
from pdu.error import PduError
from pdu.record import Record, maker
from pdu.timestamp import Timestamp
from pdu.tpdu import Command, Deliver, DeliverReport, StatusReport, Submit, SubmitReport, Tpdu, indicate
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity


class EncodedPdu(Record):
    """A message as octets: ``hex`` and ``length`` are what ``AT+CMGS`` wants."""

    octets: bytes
    length: int  # octets of the TPDU alone, without the service centre address: the <length> of 27.005

    @property
    def hex(self) -> str:
        """The octets as hexadecimal digits, upper case."""
        return self.octets.hex().upper()


_make = maker(EncodedPdu)


def encode(tpdu: Tpdu, *, sca: bool = True) -> EncodedPdu:
    """Return the octets of a message, with the service centre address in front unless ``sca`` is False.

    Raises PduError where a value does not fit its field; its ``octet`` is None.
    """
    match tpdu:
        case Submit():
            octets = _submit(tpdu)
        case Deliver():
            octets = _deliver(tpdu)
        case StatusReport():
            octets = _status_report(tpdu)
        case DeliverReport():
            octets = _deliver_report(tpdu)
        case SubmitReport():
            octets = _submit_report(tpdu)
        case Command():
            octets = _command(tpdu)
    if not sca:
        return _make(octets, len(octets))
    front = write_service_centre(tpdu.service_centre_address, "service_centre_address")
    return _make(front + octets, len(octets))


def _submit(submit: Submit) -> bytes:
    destination = submit.destination_address
    user_data = submit.user_data
    coding = submit.data_coding_scheme
    period = submit.validity_period
    try:
        number, digits = write_value(destination, "submit.destination_address")
        front = bytes((submit.first_octet, submit.message_reference, digits, destination.type_of_address))
        octets = _user_data(user_data, coding, 140, "submit")
        if period is None:
            return front + number + bytes((submit.protocol_identifier, coding, user_data.length)) + octets
        middle = bytes((submit.protocol_identifier, coding)) + _validity(period)
        return front + number + middle + bytes((user_data.length,)) + octets
    except (ValueError, IndexError) as error:
        raise _misfit(error, submit, "submit") from None


def _deliver(deliver: Deliver) -> bytes:
    user_data = deliver.user_data
    coding = deliver.data_coding_scheme
    _check_spare(deliver.spare_bits, 0x13, "deliver")
    try:
        return b"".join(
            (
                bytes((deliver.first_octet,)),
                write_address(deliver.originating_address, "deliver.originating_address"),
                bytes((deliver.protocol_identifier, coding)),
                _time(deliver.service_centre_timestamp, "deliver.service_centre_timestamp"),
                bytes((user_data.length,)),
                _user_data(user_data, coding, 140, "deliver"),
            )
        )
    except (ValueError, IndexError) as error:
        raise _misfit(error, deliver, "deliver") from None


def _status_report(report: StatusReport) -> bytes:
    _check_spare(report.spare_bits, 0x90 if report.user_data is not None else 0xD0, "status_report")
    try:
        return b"".join(
            (
                bytes((report.first_octet, report.message_reference)),
                write_address(report.recipient_address, "status_report.recipient_address"),
                _time(report.service_centre_timestamp, "status_report.service_centre_timestamp"),
                _time(report.discharge_time, "status_report.discharge_time"),
                bytes((report.status,)),
                _optional(report, 143, "status_report"),
            )
        )
    except (ValueError, IndexError) as error:
        raise _misfit(error, report, "status_report") from None


def _deliver_report(report: DeliverReport) -> bytes:
    _check_spare(report.spare_bits, 0xBC if report.user_data is not None else 0xFC, "deliver_report")
    try:
        cause = _failure_cause(report.failure_cause, "deliver_report")
        return bytes((report.first_octet,)) + cause + _optional(report, 159 - len(cause), "deliver_report")
    except (ValueError, IndexError) as error:
        raise _misfit(error, report, "deliver_report") from None


def _submit_report(report: SubmitReport) -> bytes:
    _check_spare(report.spare_bits, 0xBC if report.user_data is not None else 0xFC, "submit_report")
    try:
        cause = _failure_cause(report.failure_cause, "submit_report")
        time = _time(report.service_centre_timestamp, "submit_report.service_centre_timestamp")
        optional = _optional(report, 152 - len(cause), "submit_report", time)
        return bytes((report.first_octet,)) + cause + optional
    except (ValueError, IndexError) as error:
        raise _misfit(error, report, "submit_report") from None


def _command(command: Command) -> bytes:
    _check_spare(command.spare_bits, 0x9C, "command")
    user_data = command.user_data
    try:
        return b"".join(
            (
                bytes((command.first_octet, command.message_reference, command.protocol_identifier)),
                bytes((command.command_type, command.message_number)),
                write_address(command.destination_address, "command.destination_address"),
                bytes((user_data.length,)),
                _user_data(user_data, 0x04, 156, "command"),
            )
        )
    except (ValueError, IndexError) as error:
        raise _misfit(error, command, "command") from None


def _user_data(user_data: UserData, coding: int, most: int, kind: str) -> bytes:
    """Return the octets of the user data if they are as the coding and the length say."""
    octets = user_data.octets
    alphabet, compressed, length = user_data.alphabet, user_data.compressed, user_data.length
    if alphabet is not ALPHABETS[coding] or compressed is not COMPRESSED[coding]:
        says = f"{ALPHABETS[coding].value}{', compressed' if COMPRESSED[coding] else ''}"
        are = f"{alphabet.value}{', compressed' if compressed else ''}"
        reason = f"0x{coding:02X} says {says}, but the user data are {are}"
        raise PduError(f"{kind}.data_coding_scheme", None, reason)
    size = (7 * length + 7) // 8 if PACKED[coding] else length
    if len(octets) != size:
        reason = f"a length of {length} takes {size} octets, there are {len(octets)}"
        raise PduError(f"{kind}.user_data.length", None, reason)
    if size > most:
        raise PduError(f"{kind}.user_data", None, f"{size} octets do not fit, {most} at most")
    return octets


def _optional(
    report: StatusReport | DeliverReport | SubmitReport, most: int, kind: str, time: bytes = b""
) -> bytes:
    """Return TP-PI, then what stands behind it (``time`` first), as TP-PI announces."""
    identifier, coding, user_data = report.protocol_identifier, report.data_coding_scheme, report.user_data
    indicator = report.parameter_indicator
    present = indicate(identifier, coding, user_data)
    if (indicator or 0) & 7 != present:
        shown = "absent" if indicator is None else f"0x{indicator:02X}"
        reason = f"{shown}, but the fields that are there make it 0x{present:02X}"
        raise PduError(f"{kind}.parameter_indicator", None, reason)
    if indicator is None:
        return b""
    more = report.more_indicators
    chain = bytes((indicator,)) + more
    if any(octet < 0x80 for octet in chain[:-1]) or chain[-1] >= 0x80:
        raise PduError(
            f"{kind}.more_indicators", None, "bit 7 of TP-PI and the octets that extend it disagree"
        )
    parts = [chain, time]
    if identifier is not None:
        parts.append(bytes((identifier,)))
    if coding is not None:
        parts.append(bytes((coding,)))
    if user_data is not None:
        parts += (bytes((user_data.length,)), _user_data(user_data, coding or 0, most, kind))
    return b"".join(parts)


def _validity(period: RelativeValidity | EnhancedValidity | Timestamp) -> bytes:
    if isinstance(period, RelativeValidity):
        return bytes((period.octet,))
    if isinstance(period, Timestamp):
        return _time(period, "submit.validity_period")
    if len(period.octets) != 7 or period.octets[0] & 7 > 3:
        raise PduError(
            "submit.validity_period", None, f"{period.octets.hex()} is no enhanced validity period"
        )
    return period.octets


def _time(timestamp: Timestamp, field: str) -> bytes:
    if len(timestamp.octets) != 7:
        raise PduError(field, None, f"a timestamp has 7 octets, not {len(timestamp.octets)}")
    return timestamp.octets


def _failure_cause(cause: int | None, kind: str) -> bytes:
    if cause is None:
        return b""
    if cause < 0x80:
        raise PduError(f"{kind}.failure_cause", None, f"{cause} is below 0x80")
    return bytes((cause,))


def _check_spare(bits: int, unused: int, kind: str) -> None:
    if bits & ~unused:
        raise PduError(f"{kind}.spare_bits", None, f"0x{bits:02X} covers bits that have a meaning")


def _misfit(error: Exception, tpdu: Tpdu, kind: str) -> Exception:
    """Turn the refusal of ``bytes`` into the name of the field that does not fit an octet."""
    if isinstance(error, PduError):
        return error
    for field in (
        "message_reference",
        "protocol_identifier",
        "data_coding_scheme",
        "status",
        "command_type",
        "message_number",
        "failure_cause",
        "parameter_indicator",
    ):
        value = getattr(tpdu, field, None)
        if isinstance(value, int) and not 0 <= value <= 0xFF:
            return PduError(f"{kind}.{field}", None, f"{value} does not fit an octet")
    if isinstance(tpdu, Submit) and isinstance(tpdu.validity_period, RelativeValidity):
        return PduError("submit.validity_period", None, f"{tpdu.validity_period.octet} does not fit an octet")
    return PduError(f"{kind}.user_data.length", None, "it does not fit an octet")
