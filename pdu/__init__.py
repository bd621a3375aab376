"""SMS messages to octets and back: 3GPP TS 23.040 (messages), 23.038 (alphabets), the <pdu> of 27.005.

    >>> from pdu import Address, Submit, UserData, decode, encode
    >>> encode(Submit(Address.parse("2936"), UserData.of("ok"))).hex
    '00010004819263000002EF35'

``decode`` returns one of six frozen types, which ``match`` can distinguish. Invalid octets and values raise
``PduError`` with the dotted field and the offset of the octet.

Each name is loaded at its first use: code that only catches ``PduError`` loads no tables.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see record
if TYPE_CHECKING:
    from pdu.address import Address, NumberingPlan, TypeOfNumber
    from pdu.assembler import Assembled, Assembler, join
    from pdu.coding import Alphabet, DataCoding, MessageClass, WaitingIndication, WaitingKind
    from pdu.decoder import decode
    from pdu.encoder import EncodedPdu, encode
    from pdu.error import PduError
    from pdu.gsm7 import septets
    from pdu.header import Concatenation, InformationElement, NationalLanguage, Ports, SpecialMessage
    from pdu.segmentation import segment
    from pdu.status import DeliveryOutcome
    from pdu.timestamp import Timestamp
    from pdu.tpdu import CommandTpdu, Deliver, DeliverReport, StatusReport, Submit, SubmitReport, Tpdu
    from pdu.user_data import UserData
    from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

__all__ = [
    "Address",
    "Alphabet",
    "Assembled",
    "Assembler",
    "CommandTpdu",
    "Concatenation",
    "DataCoding",
    "Deliver",
    "DeliverReport",
    "DeliveryOutcome",
    "EncodedPdu",
    "EnhancedValidity",
    "InformationElement",
    "MessageClass",
    "NationalLanguage",
    "NumberingPlan",
    "PduError",
    "Ports",
    "RelativeValidity",
    "SpecialMessage",
    "StatusReport",
    "Submit",
    "SubmitReport",
    "Timestamp",
    "Tpdu",
    "TypeOfNumber",
    "UserData",
    "ValidityPeriod",
    "WaitingIndication",
    "WaitingKind",
    "decode",
    "encode",
    "join",
    "segment",
    "septets",
]

_EXPORTS = {  # module: the names that it defines
    "address": ("Address", "NumberingPlan", "TypeOfNumber"),
    "assembler": ("Assembled", "Assembler", "join"),
    "coding": ("Alphabet", "DataCoding", "MessageClass", "WaitingIndication", "WaitingKind"),
    "decoder": ("decode",),
    "encoder": ("EncodedPdu", "encode"),
    "error": ("PduError",),
    "gsm7": ("septets",),
    "header": ("Concatenation", "InformationElement", "NationalLanguage", "Ports", "SpecialMessage"),
    "segmentation": ("segment",),
    "status": ("DeliveryOutcome",),
    "timestamp": ("Timestamp",),
    "tpdu": ("CommandTpdu", "Deliver", "DeliverReport", "StatusReport", "Submit", "SubmitReport", "Tpdu"),
    "user_data": ("UserData",),
    "validity": ("EnhancedValidity", "RelativeValidity", "ValidityPeriod"),
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}


def __getattr__(name: str) -> object:
    """Import the module that defines a name, and keep the name here."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  (`modem-agent status` needs no name of these)

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
