"""SMS messages to octets and back: 3GPP TS 23.040 (messages), 23.038 (alphabets), the <pdu> of 27.005.

    >>> from pdu import Address, Submit, UserData, decode, encode
    >>> encode(Submit(Address.parse("2936"), UserData.of("ok"))).hex
    '00010004819263000002EF35'

``decode`` returns one of six frozen types; ``match`` tells them apart. Everything that is wrong with octets
or values is a ``PduError`` with the dotted field and the offset of the octet.
"""

from __future__ import annotations

from pdu.address import Address, NumberingPlan, TypeOfNumber
from pdu.assembler import Assembled, Assembler, join
from pdu.coding import Alphabet, DataCoding, MessageClass, Waiting, WaitingIndication
from pdu.decoder import decode
from pdu.encoder import EncodedPdu, encode
from pdu.error import PduError
from pdu.gsm7 import septets
from pdu.header import Concatenation, InformationElement, NationalLanguage, Ports, SpecialMessage
from pdu.segmenting import segment
from pdu.status import Outcome
from pdu.timestamp import Timestamp
from pdu.tpdu import Command, Deliver, DeliverReport, StatusReport, Submit, SubmitReport, Tpdu
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

__all__ = [
    "Address",
    "Alphabet",
    "Assembled",
    "Assembler",
    "Command",
    "Concatenation",
    "DataCoding",
    "Deliver",
    "DeliverReport",
    "EncodedPdu",
    "EnhancedValidity",
    "InformationElement",
    "MessageClass",
    "NationalLanguage",
    "NumberingPlan",
    "Outcome",
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
    "Waiting",
    "WaitingIndication",
    "decode",
    "encode",
    "join",
    "segment",
    "septets",
]
