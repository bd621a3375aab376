r"""User data of a Command: its body, with the SID if requested, checked against the length limits.

Text with all characters in GSM 03.38 has 160 septets, of which `^ { } [ ] ~ \ |` and the euro sign take two.
Other text is sent as UCS-2 with 70 units. The SID with its space takes 35 of either. What becomes of a text
that does not fit is a rule.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pdu
from hardware.sim.service.errors import invalid_parameter
from hardware.sim.service.rules import Admission, LongText

if TYPE_CHECKING:
    from hardware.sim.service.product import Product
    from hardware.sim.service.request import CreateRequest
    from hardware.sim.service.rules import ServiceRules

MAX_SEPTETS = 160
MAX_UCS2_UNITS = 70
SID_CHARACTERS = 35
"""34 characters and a space. The vendor's document allows 128 characters beside a SID, but 125 fit."""
DOCUMENTED_SID_CHARACTERS = 32
"""What the document leaves for the SID of the 160 characters."""


def build_user_data(
    product: Product, request: CreateRequest, sid: str, reference: int, rules: ServiceRules
) -> tuple[pdu.UserData, ...]:
    """Return the user data of one SMS, or of several for a long text that the rules split.

    `reference` (0 to 255) is the concatenation reference of a split text. Raises ServiceError if the body
    does not fit.
    """
    if request.data is not None:
        return pdu.segment(request.data)
    is_gsm = pdu.septets(request.body) is not None
    if not is_gsm and rules.ucs2 is Admission.REFUSE:
        raise invalid_parameter(product.body_parameter, "it has characters outside GSM 03.38")
    limit = MAX_SEPTETS if is_gsm else MAX_UCS2_UNITS
    room, text, treatment = limit, request.body, rules.long_text
    if request.include_sid != "none":
        room = limit - SID_CHARACTERS
        text = f"{sid} {text}" if request.include_sid == "start" else f"{text} {sid}"
        is_overrun = _length(request.body) <= limit - DOCUMENTED_SID_CHARACTERS
        treatment = rules.sid_overrun if is_overrun else LongText.REFUSE
    length = _length(request.body)
    if length > room and treatment is LongText.REFUSE:
        unit = "septets" if is_gsm else "UCS-2 units"
        reason = f"it has {length} {unit}, and one SMS carries at most {room}"
        raise invalid_parameter(product.body_parameter, reason)
    if treatment is LongText.TRUNCATE:
        text = _truncate(text, limit)
    try:
        return pdu.segment(text, reference=reference)
    except pdu.PduError as error:
        raise invalid_parameter(product.body_parameter, str(error)) from error


def _truncate(text: str, limit: int) -> str:
    """Return as many characters of a text as have at most `limit` septets or UCS-2 units."""
    is_gsm = pdu.septets(text) is not None
    length = 0
    for index, character in enumerate(text):
        length += _length(character) if is_gsm else len(character.encode("utf-16-be")) // 2
        if length > limit:
            return text[:index]
    return text


def _length(text: str) -> int:
    """Return the length in septets, or in UCS-2 units if a character is not in GSM 03.38."""
    septets = pdu.septets(text)
    return len(text.encode("utf-16-be")) // 2 if septets is None else septets
