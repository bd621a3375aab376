r"""User data of a Command: its body, with the SID if requested, checked against the length limits.

Text with all characters in GSM 03.38 has 160 septets, of which `^ { } [ ] ~ \ |` and the euro sign take two.
Other text is sent as UCS-2 with 70 units. The SID with its space takes 35 of either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pdu
from hardware.sim.service.errors import invalid_parameter

if TYPE_CHECKING:
    from hardware.sim.service.product import LongTextRule, Product, ServiceRules
    from hardware.sim.service.request import CreateRequest

MAX_SEPTETS = 160
MAX_UCS2_UNITS = 70
SID_CHARACTERS = 35
"""34 characters and a space."""
DOCUMENTED_CHARACTERS_WITH_SID = 128
"""Maximum with a SID in the vendor's document: 160 - 32, without the two letters and the space."""


def build_user_data(
    product: Product, rules: ServiceRules, request: CreateRequest, sid: str, reference: int
) -> tuple[pdu.UserData, ...]:
    """Return the user data of one SMS, or of several if a rule splits long text.

    `reference` (0 to 255) is the concatenation reference of a split text. Raises ServiceError if the body
    does not fit.
    """
    if request.data is not None:
        return pdu.segment(request.data)
    wide = pdu.septets(request.body) is None
    if wide and not rules.allow_ucs2:
        raise invalid_parameter(product.body_parameter, "it contains characters that are not in GSM 03.38")
    limit = MAX_UCS2_UNITS if wide else MAX_SEPTETS
    rule: LongTextRule = rules.long_text
    text = request.body
    if request.include_sid != "none":
        limit -= SID_CHARACTERS
        rule = (
            rules.long_text_with_sid
            if _length(text) <= DOCUMENTED_CHARACTERS_WITH_SID and not wide
            else "refuse"
        )
        text = f"{sid} {text}" if request.include_sid == "start" else f"{text} {sid}"
    if _length(request.body) > limit:
        if rule == "refuse":
            raise invalid_parameter(
                product.body_parameter, _explain_too_long(_length(request.body), limit, ucs2=wide)
            )
        if rule == "cut":
            text = truncate(text)
    try:
        return pdu.segment(text, reference=reference)
    except pdu.PduError as error:
        raise invalid_parameter(product.body_parameter, str(error)) from error


def truncate(text: str) -> str:
    """Cut a text to what one SMS carries; neither an escape sequence nor a surrogate pair is split."""
    if pdu.septets(text) is None:
        return text.encode("utf-16-be")[: 2 * MAX_UCS2_UNITS].decode("utf-16-be", errors="ignore")
    text = text[:MAX_SEPTETS]
    while _length(text) > MAX_SEPTETS:
        text = text[:-1]
    return text


def _length(text: str) -> int:
    """Return the length in septets, or in UCS-2 units if a character is not in GSM 03.38."""
    septets = pdu.septets(text)
    return len(text.encode("utf-16-be")) // 2 if septets is None else septets


def _explain_too_long(length: int, limit: int, *, ucs2: bool) -> str:
    unit = "UCS-2 units" if ucs2 else "septets"
    return f"it has {length} {unit}, and one SMS carries at most {limit}"
