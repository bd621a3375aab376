"""Decoded messages and elements as dictionaries with the names that test vectors use.

All values come from decoded objects, none from the expectations of a vector. A vector may expect only the
names that are here.
"""

from __future__ import annotations

from pdu import gsm7, header
from pdu.address import Address, NumberingPlan, read_address, read_service_centre
from pdu.coding import DataCoding
from pdu.decoder import read_validity
from pdu.error import PduError
from pdu.header import InformationElement
from pdu.packing import unpack
from pdu.timestamp import Timestamp
from pdu.tpdu import CommandTpdu, Deliver, DeliverReport, StatusReport, Submit, SubmitReport, Tpdu
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

VectorValue = None | bool | int | str | Timestamp | list["VectorValue"] | dict[str, "VectorValue"]

_PLANS = {
    NumberingPlan.UNKNOWN: "unknown",
    NumberingPlan.ISDN: "isdn",
    NumberingPlan.DATA: "data",
    NumberingPlan.TELEX: "telex",
    NumberingPlan.SERVICE_CENTRE_5: "sc_specific_5",
    NumberingPlan.SERVICE_CENTRE_6: "sc_specific_6",
    NumberingPlan.NATIONAL: "national",
    NumberingPlan.PRIVATE: "private",
    NumberingPlan.ERMES: "ermes",
}


def message_fields(tpdu: Tpdu) -> tuple[str, dict[str, VectorValue]]:
    """Return the kind of a message and its fields under the vectors' names."""
    fields: dict[str, VectorValue] = {
        "smsc": _address_value(tpdu.service_centre_address),
        "first_octet": tpdu.first_octet,
        "tp_udhi": bool(tpdu.first_octet & 0x40),
    }
    match tpdu:
        case Deliver():
            kind = "deliver"
            fields |= {
                "originator": _address_value(tpdu.originating_address),
                "scts": tpdu.service_centre_timestamp,
                "tp_mms": not tpdu.more_messages,
                "tp_lp": tpdu.loop_prevention,
                "tp_sri": tpdu.status_report_indication,
                "tp_rp": tpdu.reply_path,
            }
        case Submit():
            kind = "submit"
            fields |= {
                "destination": _address_value(tpdu.destination_address),
                "mr": tpdu.message_reference,
                "vp": _validity_value(tpdu.validity_period),
                "tp_vpf": tpdu.validity_period_format,
                "tp_rd": tpdu.reject_duplicates,
                "tp_srr": tpdu.status_report_request,
                "tp_rp": tpdu.reply_path,
            }
        case StatusReport():
            kind = "status_report"
            fields |= {
                "recipient": _address_value(tpdu.recipient_address),
                "mr": tpdu.message_reference,
                "scts": tpdu.service_centre_timestamp,
                "discharge": tpdu.discharge_time,
                "status": tpdu.status,
                "pi": tpdu.parameter_indicator,
                "tp_mms": not tpdu.more_messages,
                "tp_lp": tpdu.loop_prevention,
                "tp_srq": tpdu.on_command,
            }
        case DeliverReport():
            kind = "deliver_report"
            fields |= {"fcs": tpdu.failure_cause, "pi": tpdu.parameter_indicator}
        case SubmitReport():
            kind = "submit_report"
            fields |= {"fcs": tpdu.failure_cause, "pi": tpdu.parameter_indicator}
            fields["scts"] = tpdu.service_centre_timestamp
        case CommandTpdu():
            kind = "command"
            fields |= {
                "destination": _address_value(tpdu.destination_address),
                "mr": tpdu.message_reference,
                "command_type": tpdu.command_type,
                "message_number": tpdu.message_number,
                "tp_srr": tpdu.status_report_request,
            }
    fields["pid"] = tpdu.protocol_identifier
    if not isinstance(tpdu, CommandTpdu):
        fields["dcs"] = tpdu.data_coding_scheme
        known = tpdu.data_coding_scheme is not None or tpdu.user_data is not None
        coding = coding_scheme_fields(bytes((tpdu.coding.octet,)))
        fields |= coding if known else dict.fromkeys(coding)
    return kind, fields | _user_data_values(tpdu.user_data)


def address_fields(octets: bytes, *, service_centre: bool) -> dict[str, VectorValue]:
    """Return the fields of a single address. It must use all octets and have as many digits as announced."""
    if service_centre:
        found, end = read_service_centre(octets, "address")
        digits = 2 * end - 4 - (end > 2 and octets[end - 1] >= 0xF0)
    else:
        found, end = read_address(octets, 0, "address")
        digits = octets[0]
    if end < len(octets):
        raise PduError("address", end, f"{len(octets) - end} octets follow it")
    if found is not None and not octets[1] & 0x80:
        raise PduError("address.type_of_address", 1, f"bit 7 of 0x{octets[1]:02X} is 0")
    if found is not None and not _is_alphanumeric(found) and len(found.number) < digits:
        raise PduError(
            "address.number", None, f"a fill digit comes before the announced end ({digits} digits)"
        )
    return {"address": _address_value(found), "as_smsc": service_centre}


def timestamp_fields(octets: bytes) -> dict[str, VectorValue]:
    """Return the fields of a single timestamp."""
    if len(octets) != 7:
        raise PduError("timestamp", min(len(octets), 7), f"a timestamp has 7 octets, not {len(octets)}")
    return {"time": Timestamp(octets)}


def validity_fields(octets: bytes, vpf: int) -> dict[str, VectorValue]:
    """Return the fields of a single validity period with this TP-VPF."""
    size = (0, 7, 1, 7)[vpf]
    if len(octets) != size:
        raise PduError("vp", min(len(octets), size), f"format {vpf} has {size} octets, not {len(octets)}")
    return {"vp": _validity_value(read_validity(octets, vpf, 0, "vp") if size else None)}


def coding_scheme_fields(octets: bytes) -> dict[str, VectorValue]:
    """Return the fields of a single data coding scheme."""
    if len(octets) != 1:
        raise PduError("dcs", None, f"a data coding scheme is one octet, not {len(octets)}")
    coding = DataCoding(octets[0])
    waiting = coding.waiting
    indication: VectorValue = None
    if waiting is not None:
        indication = {"store": waiting.store, "active": waiting.active, "type": waiting.kind.value}
    return {
        "alphabet": coding.alphabet.value,
        "class": None if coding.message_class is None else int(coding.message_class),
        "compressed": coding.compressed,
        "auto_delete": coding.automatic_deletion,
        "mwi": indication,
        "reserved": coding.reserved,
    }


def header_fields(octets: bytes) -> dict[str, VectorValue]:
    """Return the fields of a single user data header; octets after it are ignored."""
    elements = header.read_header(octets)
    if elements is None:
        raise PduError("udh", 0, "the header is malformed")
    return _header_values(elements)


def septet_fields(octets: bytes, count: int, fill: int) -> dict[str, VectorValue]:
    """Return the fields of packed septets after ``fill`` fill bits."""
    needed = (fill + 7 * count + 7) // 8
    if len(octets) != needed:
        raise PduError(
            "gsm7", min(len(octets), needed), f"{count} septets take {needed} octets, not {len(octets)}"
        )
    shifted = int.from_bytes(octets, "little") >> fill
    values = unpack(shifted.to_bytes(len(octets), "little"), count)
    return {
        "text": gsm7.decode(values),
        "septet_values": values.hex(),
        "septets": len(values),
        "fill_bits": fill,
    }


def _is_alphanumeric(found: Address) -> bool:
    return found.type_of_address & 0x70 == 0x50


def _address_value(found: Address | None) -> VectorValue:
    if found is None:
        return None
    return {
        "toa": found.type_of_address,
        "ton": found.type_of_number.name.lower(),
        "npi": _PLANS.get(found.numbering_plan, "reserved"),
        "number": found.number,
    }


def _validity_value(period: ValidityPeriod | None) -> VectorValue:
    match period:
        case None:
            return None
        case RelativeValidity():
            seconds = int(period.duration.total_seconds())
            return {"format": "relative", "octet": period.octet, "seconds": seconds}
        case Timestamp():
            return {"format": "absolute", "time": period}
        case EnhancedValidity():
            duration = period.duration
            seconds_or_none = None if duration is None else int(duration.total_seconds())
            return {"format": "enhanced", "raw": period.octets.hex(), "seconds": seconds_or_none}


def _user_data_values(user_data: UserData | None) -> dict[str, VectorValue]:
    if user_data is None:
        return dict.fromkeys(("udl", "text", "data", "septets", "udh", "concat", "ports", "lang"))
    language = user_data.national_language
    return {
        "udl": user_data.length,
        "text": user_data.text,
        "data": None if user_data.data is None else user_data.data.hex(),
        "septets": user_data.septets,
        **_header_values(user_data.header),
        "lang": None if language is None else {"single": language.single, "locking": language.locking},
    }


def _header_values(elements: tuple[InformationElement, ...]) -> dict[str, VectorValue]:
    carried = header.find_concatenations(
        elements
    )  # vectors expect impossible numbers too, which messages ignore
    concatenation = header.find_concatenation(elements) or (carried[-1] if carried else None)
    ports = header.find_ports(elements)
    language = header.find_national_language(elements)
    return {
        "udh": [{"iei": element.identifier, "data": element.data.hex()} for element in elements],
        "concat": None
        if concatenation is None
        else {
            "bits": 16 if concatenation.wide else 8,
            "ref": concatenation.reference,
            "total": concatenation.total,
            "seq": concatenation.number,
        },
        "ports": None
        if ports is None
        else {"bits": 16 if ports.wide else 8, "dst": ports.destination, "src": ports.source},
        "lang": None if language is None else {"single": language.single, "locking": language.locking},
    }
